# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Results as Foxglove image annotations: outlines, boxes and captions that the viewer draws over any image of the camera.

Available only if the package foxglove_msgs is installed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from std_msgs.msg import Header

from lang2segtrack_ros.io.rendering import caption, hidden_caption, outlines, palette
from lang2segtrack_ros.ros.support.conversions import RosMessages
from lang2segtrack_ros.ros.support.interfaces import ANNOTATIONS
from lang2segtrack_ros.types.results import FrameResult, Track

LINE_LOOP = 2
FONT_SHARE = 1 / 30
"""Height of a caption relative to the height of the image."""
TOLERANCE = 1.0
"""Maximum distance in pixels between an outline and the mask's border."""
GRAY = (200, 200, 200)
_library = RosMessages()
_make = _library.make


def annotations_message(result: FrameResult, header: Header) -> Any:
    """Return the announced tracks as foxglove_msgs/ImageAnnotations.

    Each visible track gets its box, its outlines and the caption "id label score" above the box, all in the track's color. One caption
    at the lower border of the image lists the hidden tracks.

    Args:
        result: result of one frame.
        header: header of the frame's image.
    """
    visible = [track for track in result.announced if track.box is not None]
    font = max(8.0, result.height * FONT_SHARE)
    lines: list[Any] = []
    texts: list[Any] = []
    for track in visible:
        color, box = palette(track.id), _box(track)
        lines += [_loop(box, color, 1.0, header), *(_loop(outline, color, 2.0, header) for outline in _outlines(track))]
        x, y = box[0]
        texts.append(_text(caption(track), x, max(y, font), font, color, header))
    hidden = hidden_caption(result.announced)
    if hidden:
        texts.append(_text(hidden, 2.0, result.height - 2.0, font, GRAY, header))
    return _make(ANNOTATIONS.type_name, points=lines, texts=texts)


def _box(track: Track) -> NDArray[np.float64]:
    assert track.box is not None
    x1, y1, x2, y2 = track.box
    return np.array(((x1, y1), (x2, y1), (x2, y2), (x1, y2)), np.float64)


def _outlines(track: Track) -> list[NDArray[np.float64]]:
    """Return corners [N, 2] of each region of the mask. (0, 0) is the corner of the image's first pixel, not its center."""
    return [np.asarray(cv2.approxPolyDP(part, TOLERANCE, True).reshape(-1, 2) + 0.5, np.float64) for part in outlines(track)]


def _loop(corners: NDArray[np.float64], color: tuple[int, int, int], thickness: float, header: Header) -> Any:
    points = [_make("foxglove_msgs/msg/Point2", x=float(x), y=float(y)) for x, y in corners]
    return _make(
        "foxglove_msgs/msg/PointsAnnotation",
        timestamp=header.stamp,
        type=LINE_LOOP,
        points=points,
        outline_color=_color(color),
        thickness=thickness,
    )


def _text(text: str, x: float, y: float, font: float, background: Sequence[int], header: Header) -> Any:
    return _make(
        "foxglove_msgs/msg/TextAnnotation",
        timestamp=header.stamp,
        position=_make("foxglove_msgs/msg/Point2", x=float(x), y=float(y)),
        text=text,
        font_size=font,
        text_color=_color((0, 0, 0)),
        background_color=_color(background),
    )


def _color(rgb: Sequence[int]) -> Any:
    red, green, blue = (value / 255 for value in rgb)
    return _make("foxglove_msgs/msg/Color", r=red, g=green, b=blue, a=1.0)
