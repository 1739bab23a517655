# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Images for a vision-language model: scaled down, and with the outlines and numbers of tracks."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from lang2segtrack_ros.types.results import Track

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_GOLDEN_RATIO = 0.618034


def scaled_down(color: NDArray[np.uint8], max_edge: int) -> NDArray[np.uint8]:
    """Return an image whose longer edge has at most `max_edge` pixels. A smaller image is returned as it is.

    Args:
        color: uint8 [H, W, 3], RGB.
        max_edge: longer edge in pixels.
    """
    height, width = color.shape[:2]
    factor = max_edge / max(height, width)
    if factor >= 1:
        return color
    size = (max(round(width * factor), 1), max(round(height * factor), 1))
    return np.asarray(cv2.resize(color, size, interpolation=cv2.INTER_AREA), np.uint8)


def with_numbers(color: NDArray[np.uint8], tracks: Sequence[Track], image_size: tuple[int, int]) -> NDArray[np.uint8]:
    """Return a copy of an image with the outline and the id of each track.

    Args:
        color: uint8 [h, w, 3], RGB, scaled down from the image of the tracks.
        tracks: visible tracks.
        image_size: width and height of the image of the tracks in pixels.
    """
    image = color.copy()
    height, width = image.shape[:2]
    thickness = max(1, round(min(height, width) / 300))
    for track in tracks:
        mask = cv2.resize(track.mask.view(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST)
        contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        cv2.drawContours(image, contours, -1, _shade(track.id), thickness)
    scale = max(0.4, min(height, width) / 900)
    for track in tracks:  # above all outlines
        assert track.box is not None
        x, y = round(track.box[0] * width / image_size[0]), round(track.box[1] * height / image_size[1])
        _draw_number(image, str(track.id), x, y, _shade(track.id), scale)
    return image


def _shade(number: int) -> tuple[int, int, int]:
    """Return a bright color. Consecutive numbers have different hues."""
    red, green, blue = colorsys.hsv_to_rgb(number * _GOLDEN_RATIO % 1, 0.75, 1.0)
    return round(255 * red), round(255 * green), round(255 * blue)


def _draw_number(image: NDArray[np.uint8], text: str, x: int, y: int, background: tuple[int, int, int], scale: float) -> None:
    """Draw a number above a point, or below it at the upper edge of the image."""
    (width, height), base = cv2.getTextSize(text, _FONT, scale, 1)
    x = max(0, min(x, image.shape[1] - width - 2))
    bottom = y if y >= height + base + 2 else y + height + base + 2
    cv2.rectangle(image, (x, bottom - height - base - 2), (x + width + 2, bottom), background, cv2.FILLED)
    cv2.putText(image, text, (x + 1, bottom - base), _FONT, scale, (0, 0, 0), 1, cv2.LINE_AA)
