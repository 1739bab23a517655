# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Clicks and drags on the canvas become prompts in image pixels, for every placement of the image on the canvas."""

from __future__ import annotations

import pytest

from lang2segtrack_ros.types.prompts import BoxPrompt, PointPrompt
from lang2segtrack_ros.viewers.gestures import MIN_DRAG, CanvasPoint, Fit, ImagePoint, is_box, make_prompt

SAME_SIZE = Fit((320, 240), (320, 240))
DOUBLE_SIZE = Fit((320, 240), (640, 480))
SIDE_BARS = Fit((320, 240), (1000, 480))  # 180 canvas pixels on each side
TOP_BARS = Fit((320, 240), (160, 320))  # half the size, 100 canvas pixels above and below


@pytest.mark.parametrize(
    ("fit", "point", "expected"),
    [
        (SAME_SIZE, (10, 20), (10, 20)),
        (DOUBLE_SIZE, (10, 20), (5, 10)),
        (SIDE_BARS, (180, 0), (0, 0)),
        (SIDE_BARS, (820, 480), (320, 240)),
        (SIDE_BARS, (20, 100), (0, 50)),
        (TOP_BARS, (80, 160), (160, 120)),
        (TOP_BARS, (80, 10), (160, 0)),
        (TOP_BARS, (-50, 900), (0, 240)),
    ],
)
def test_canvas_points_map_to_image_points(fit: Fit, point: CanvasPoint, expected: ImagePoint) -> None:
    """A point beside the image maps to the nearest point of the image."""
    assert fit.to_edge(point) == pytest.approx(expected)


def test_image_is_as_large_as_the_canvas_allows() -> None:
    assert (SAME_SIZE.size, DOUBLE_SIZE.size, SIDE_BARS.size, TOP_BARS.size) == ((320, 240), (640, 480), (640, 480), (160, 120))
    assert Fit((4000, 10), (40, 40)).size == (40, 1), "a very flat image keeps one pixel of height"


def test_click_is_a_point_with_pixel_centers_at_integers() -> None:
    """The center of the first pixel is (0, 0). On a canvas of twice the size, it is at (1, 1)."""
    prompt = make_prompt((1, 1), (1, 1), DOUBLE_SIZE, "cup", 3)
    assert prompt == PointPrompt([(0, 0)], [1], "cup", 3)


@pytest.mark.parametrize("corner", [(180, 0), (819, 0), (180, 479), (819, 479)])
def test_click_on_an_edge_is_inside_the_image(corner: CanvasPoint) -> None:
    prompt = make_prompt(corner, corner, SIDE_BARS)
    assert isinstance(prompt, PointPrompt)
    prompt.check_fits(240, 320)


@pytest.mark.parametrize(("press", "release"), [((20, 40), (100, 80)), ((100, 80), (20, 40)), ((100, 40), (20, 80))])
def test_drag_in_any_direction_is_the_same_box(press: CanvasPoint, release: CanvasPoint) -> None:
    assert make_prompt(press, release, DOUBLE_SIZE) == BoxPrompt((10, 20, 50, 40))


def test_small_movement_is_a_click() -> None:
    assert not is_box((10, 10), (10 + MIN_DRAG - 1, 10 - MIN_DRAG + 1))
    assert is_box((10, 10), (10 + MIN_DRAG, 10))
    assert isinstance(make_prompt((10, 10), (13, 8), SAME_SIZE), PointPrompt)


BESIDE = [((10, 10), (10, 10)), ((10, 10), (100, 100)), ((179, 100), (179, 100)), ((820, 100), (820, 100))]


@pytest.mark.parametrize(("press", "release"), BESIDE)
def test_gesture_beside_the_image_is_no_prompt(press: CanvasPoint, release: CanvasPoint) -> None:
    """A prompt at the edge of the image would track the background."""
    assert make_prompt(press, release, SIDE_BARS) is None


def test_box_from_beside_the_image_reaches_its_edge() -> None:
    """An object at the edge is easier to box with a margin."""
    assert make_prompt((10, 40), (220, 80), SIDE_BARS) == BoxPrompt((0, 20, 20, 40))
