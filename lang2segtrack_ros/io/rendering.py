# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures of results: masks, boxes, ids and labels, drawn on the image."""

from __future__ import annotations

import colorsys
import unicodedata
from collections.abc import Iterable, Mapping, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from lang2segtrack_ros.types.results import Track, TrackStatus

_GOLDEN_RATIO = 0.618033988749895  # successive ids get hues that are far apart
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_DRAWS_UNICODE = int(cv2.__version__.split(".")[0]) >= 5


def palette(track_id: int) -> tuple[int, int, int]:
    """Return the RGB color of a track id. It is always the same, and differs clearly from the colors of neighboring ids."""
    red, green, blue = colorsys.hsv_to_rgb((track_id * _GOLDEN_RATIO) % 1.0, 0.75, 1.0)
    return round(red * 255), round(green * 255), round(blue * 255)


def hex_color(track_id: int) -> str:
    """Return the color of a track id as #rrggbb, for web pages and Tk."""
    return "#{:02x}{:02x}{:02x}".format(*palette(track_id))


def caption(track: Track) -> str:
    """Return the text beside a visible track: "id label score"."""
    return f"{track.id} {track.label} {track.score:.2f}".replace("  ", " ")


def hidden_caption(tracks: Iterable[Track]) -> str:
    """Return the text for the hidden tracks, which are neither visible nor removed; an empty string if there are none."""
    hidden = [track for track in tracks if track.state is not TrackStatus.REMOVED and track.box is None]
    return "; ".join(f"{track.id} {track.label} {track.state.name.lower()}" for track in hidden)


def outlines(track: Track) -> list[NDArray[np.int32]]:
    """Return the outer contours of a visible track's mask, one for each region: (x, y) in pixels, int32 [N, 1, 2] each."""
    x1, y1, x2, y2 = _pixels(track)
    contours, _ = cv2.findContours(track.mask[y1:y2, x1:x2].astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return [np.asarray(contour + np.array([x1, y1], np.int32), np.int32) for contour in contours]


def draw_overlay(color: NDArray[np.uint8], tracks: Iterable[Track], opacity: float = 0.5) -> NDArray[np.uint8]:
    """Draw tracks on a copy of an image: mask with outline, box, and "id label score". Removed tracks are not drawn.

    Args:
        color: RGB uint8 [H, W, 3]; it stays unchanged.
        tracks: the tracks.
        opacity: weight of the track color inside a mask, 0 to 1.

    Returns:
        RGB uint8 [H, W, 3].
    """
    image = color.copy()
    shown = [track for track in tracks if track.state is not TrackStatus.REMOVED]
    visible = [track for track in shown if track.box is not None]
    for track in visible:
        x1, y1, x2, y2 = _pixels(track)
        window, mask = image[y1:y2, x1:x2], track.mask[y1:y2, x1:x2]
        solid = np.full_like(window, palette(track.id))
        cv2.copyTo(cv2.addWeighted(window, 1 - opacity, solid, opacity, 0), mask.view(np.uint8), window)
        cv2.drawContours(image, outlines(track), -1, palette(track.id), 2)
    scale = max(0.4, min(image.shape[:2]) / 900)
    for track in visible:
        x1, y1, x2, y2 = _pixels(track)
        cv2.rectangle(image, (x1, y1), (x2 - 1, y2 - 1), palette(track.id), 1)
        _draw_text(image, caption(track), x1, y1, palette(track.id), scale)
    hidden = hidden_caption(shown)
    if hidden:
        _draw_text(image, hidden, 2, image.shape[0] - 2, (200, 200, 200), scale)
    return image


def _pixels(track: Track) -> tuple[int, int, int, int]:
    assert track.box is not None
    x1, y1, x2, y2 = (int(value) for value in track.box)
    return x1, y1, x2, y2


def to_ascii(text: str) -> str:
    """Return a text that OpenCV 4 can draw: without accents, and without the words in other scripts, which it would draw as "???"."""
    plain = "".join(letter for letter in unicodedata.normalize("NFKD", text) if not unicodedata.combining(letter))
    return " ".join(word for word in plain.split() if word.isascii())


def _draw_text(image: NDArray[np.uint8], text: str, x: int, y: int, background: tuple[int, int, int], scale: float) -> None:
    text = text if _DRAWS_UNICODE else to_ascii(text)
    (width, height), base = cv2.getTextSize(text, _FONT, scale, 1)
    x = max(0, min(x, image.shape[1] - width - 2))
    bottom = y if y - height - base - 2 >= 0 else y + height + base + 4
    cv2.rectangle(image, (x, bottom - height - base - 2), (x + width + 2, bottom), background, cv2.FILLED)
    cv2.putText(image, text, (x + 1, bottom - base), _FONT, scale, (0, 0, 0), 1, cv2.LINE_AA)


def draw_label(image: NDArray[np.uint8], text: str, x: int, y: int, background: tuple[int, int, int]) -> None:
    """Draw a short text into an image, in place: above a point, or below it if there is no room above.

    Args:
        image: RGB uint8 [H, W, 3].
        text: the text.
        x: left edge of the text, pixels.
        y: bottom edge of the text, pixels.
        background: RGB color behind the text.
    """
    _draw_text(image, text, x, y, background, max(0.4, min(image.shape[:2]) / 900))


def contact_sheet(images: Sequence[NDArray[np.uint8]], captions: Sequence[str], columns: int = 4) -> NDArray[np.uint8]:
    """Arrange images in a grid, each with a line of text above it.

    Args:
        images: RGB uint8 [H, W, 3], all of the same size.
        captions: one for each image. A long one is drawn smaller.
        columns: images in a row.

    Returns:
        RGB uint8; unused cells of the grid are dark gray.
    """
    bar_height = 24
    cells = []
    for image, caption in zip(images, captions):
        head = np.full((bar_height, image.shape[1], 3), 32, np.uint8)
        text = caption if _DRAWS_UNICODE else to_ascii(caption)
        width = cv2.getTextSize(text, _FONT, 0.5, 1)[0][0]
        scale = 0.5 * min(1.0, (image.shape[1] - 12) / max(width, 1))
        cv2.putText(head, text, (6, 17), _FONT, scale, (255, 255, 255), 1, cv2.LINE_AA)
        cells.append(np.vstack((head, image)))
    while len(cells) % columns:
        cells.append(np.full_like(cells[0], 32))
    return np.vstack([np.hstack(cells[start : start + columns]) for start in range(0, len(cells), columns)])


def draw_note(image: NDArray[np.uint8], text: str) -> None:
    """Draw a line of text into the top left corner of an image, in place."""
    _draw_text(image, text, 2, 0, (200, 200, 200), max(0.4, min(image.shape[:2]) / 900))


def draw_trace(height: int, width: int, tracks: Iterable[Track], paths: Mapping[int, Sequence[tuple[float, float]]]) -> NDArray[np.uint8]:
    """Draw masks on a black image, with the path of each visible track.

    Args:
        height: of the image, pixels.
        width: of the image, pixels.
        tracks: the tracks.
        paths: points (x, y) in pixels for each track id, oldest first.

    Returns:
        RGB uint8 [height, width, 3].
    """
    image = np.zeros((height, width, 3), np.uint8)
    visible = [track for track in tracks if track.box is not None]
    for track in visible:
        image[track.mask] = palette(track.id)
    for track in visible:
        path = np.round(np.array(paths.get(track.id, ())).reshape(-1, 1, 2)).astype(np.int32)
        cv2.polylines(image, [path], False, (255, 255, 255), 2, cv2.LINE_AA)
    return image
