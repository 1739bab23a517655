# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Foxglove annotations: outlines and boxes lie on the objects, captions name them."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from std_msgs.msg import Header

from lang2segtrack_ros.io.rendering import palette
from lang2segtrack_ros.ros.outputs.annotations import annotations_message
from lang2segtrack_ros.ros.support.interfaces import ANNOTATIONS
from lang2segtrack_ros.types.results import FrameResult, TrackStatus
from test.io.test_rendering import make_track

pytest.importorskip("foxglove_msgs", reason="foxglove_msgs is not installed")
HEIGHT, WIDTH = 240, 320


def header() -> Header:
    made = Header(frame_id="camera")
    made.stamp.sec = 7
    return made


def star() -> np.ndarray:
    """Return a non-convex mask with a hole and a second region."""
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    angles = np.arange(10) * np.pi / 5
    radius = np.where(np.arange(10) % 2, 25, 60)
    corners = np.stack((160 + radius * np.sin(angles), 120 - radius * np.cos(angles)), 1).round().astype(np.int32)
    cv2.fillPoly(mask, [corners], 1)
    mask[118:122, 158:162] = 0
    mask[200:220, 20:50] = 1
    return mask.astype(bool)


def drawn(message: object) -> np.ndarray:
    """Return the areas enclosed by the outlines. (0, 0) is the corner of the first pixel, as in a viewer."""
    canvas = np.zeros((HEIGHT, WIDTH), np.uint8)
    for line in message.points:  # type: ignore[attr-defined]
        if line.thickness == 2.0:
            corners = np.array([(point.x - 0.5, point.y - 0.5) for point in line.points])
            cv2.fillPoly(canvas, [corners.round().astype(np.int32)], 1)
    return canvas.astype(bool)


def test_outlines_enclose_mask_and_box_equals_track_box() -> None:
    mask = star()
    track = make_track(mask, 3)
    assert track.box is not None
    message = annotations_message(FrameResult(0, 0, HEIGHT, WIDTH, (track,)), header())
    assert isinstance(message, ANNOTATIONS.message_class)
    filled = mask.copy()
    filled[118:122, 158:162] = True  # only outer outlines are drawn
    assert (drawn(message) & filled).sum() / (drawn(message) | filled).sum() > 0.97
    (box,) = [line for line in message.points if line.thickness == 1.0]
    x1, y1, x2, y2 = track.box
    assert [(point.x, point.y) for point in box.points] == [(x1, y1), (x2, y1), (x2, y2), (x1, y2)]
    assert len(message.points) == 3
    assert {line.type for line in message.points} == {type(box).LINE_LOOP}
    assert max(len(line.points) for line in message.points) < 40, "an outline with a corner per pixel needs megabytes"
    for line in message.points:
        color = line.outline_color
        assert (color.r, color.g, color.b, color.a) == pytest.approx((*(value / 255 for value in palette(3)), 1.0))
        assert line.timestamp.sec == 7, "a viewer draws annotations on the image with this stamp"
    (text,) = message.texts
    assert text.text == "3 cup 0.90"
    assert (text.position.x, text.position.y) == (x1, y1)


def test_hidden_tracks_are_listed_but_tentative_and_removed_are_not() -> None:
    nothing = np.zeros((HEIGHT, WIDTH), bool)
    top = nothing.copy()
    top[0:30, 0:30] = True
    tracks = (
        make_track(top, 1),
        make_track(nothing, 2, TrackStatus.OCCLUDED),
        make_track(nothing, 3, TrackStatus.REMOVED),
        make_track(star(), 4, TrackStatus.TENTATIVE),
    )
    message = annotations_message(FrameResult(0, 0, HEIGHT, WIDTH, tracks), header())
    assert [text.text for text in message.texts] == ["1 cup 0.90", "2 cup occluded"]
    first, hidden = message.texts
    assert first.position.y >= first.font_size, "a caption above the image cannot be read"
    assert hidden.position.y < HEIGHT
    assert len(message.points) == 2


def test_result_without_tracks_gives_empty_message() -> None:
    message = annotations_message(FrameResult(0, 0, HEIGHT, WIDTH), header())
    assert not message.points
    assert not message.texts
