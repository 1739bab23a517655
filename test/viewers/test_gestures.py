# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Clicks and drags in a window become prompts in pixels of the picture, wherever the picture lies in the window."""

from __future__ import annotations

import pytest

from lang2segtrack_ros.types.prompts import BoxPrompt, PointPrompt, PromptError
from lang2segtrack_ros.viewers.gestures import DRAG, Fit, Place, is_box, prompt_of

SAME = Fit((320, 240), (320, 240))
DOUBLE = Fit((320, 240), (640, 480))
BARS_BESIDE = Fit((320, 240), (1000, 480))  # 180 on each side
BARS_ABOVE = Fit((320, 240), (160, 320))  # half the size, 100 above and below


@pytest.mark.parametrize(
    ("fit", "place", "on_picture"),
    [
        (SAME, (10, 20), (10, 20)),
        (DOUBLE, (10, 20), (5, 10)),
        (BARS_BESIDE, (180, 0), (0, 0)),
        (BARS_BESIDE, (820, 480), (320, 240)),
        (BARS_BESIDE, (20, 100), (0, 50)),
        (BARS_ABOVE, (80, 160), (160, 120)),
        (BARS_ABOVE, (80, 10), (160, 0)),
        (BARS_ABOVE, (-50, 900), (0, 240)),
    ],
)
def test_places(fit: Fit, place: Place, on_picture: Place) -> None:
    """A place beside the picture is the nearest one on it."""
    assert fit.to_image(place) == pytest.approx(on_picture)


def test_the_picture_is_as_large_as_fits() -> None:
    assert (SAME.size, DOUBLE.size, BARS_BESIDE.size, BARS_ABOVE.size) == ((320, 240), (640, 480), (640, 480), (160, 120))
    assert Fit((4000, 10), (40, 40)).size == (40, 1), "a sliver is still drawn"


def test_a_click_is_a_point_at_a_pixels_centre() -> None:
    """The middle of the first pixel is (0, 0), and in a window of twice the size at (1, 1)."""
    prompt = prompt_of((1, 1), (1, 1), DOUBLE, "cup", 3)
    assert prompt == PointPrompt([(0, 0)], [1], "cup", 3)


@pytest.mark.parametrize("corner", [(0, 0), (1000, 0), (0, 480), (1000, 480), (820, 480)])
def test_a_click_on_an_edge_is_on_the_picture(corner: Place) -> None:
    prompt = prompt_of(corner, corner, BARS_BESIDE)
    assert isinstance(prompt, PointPrompt)
    prompt.check_fits(240, 320)


@pytest.mark.parametrize(("press", "release"), [((20, 40), (100, 80)), ((100, 80), (20, 40)), ((100, 40), (20, 80))])
def test_a_drag_is_a_box_whichever_way_it_went(press: Place, release: Place) -> None:
    assert prompt_of(press, release, DOUBLE) == BoxPrompt((10, 20, 50, 40))


def test_a_hand_that_trembles_still_clicks() -> None:
    assert not is_box((10, 10), (10 + DRAG - 1, 10 - DRAG + 1))
    assert is_box((10, 10), (10 + DRAG, 10))
    assert isinstance(prompt_of((10, 10), (13, 8), SAME), PointPrompt)


def test_a_box_beside_the_picture_is_none() -> None:
    with pytest.raises(PromptError, match="no area"):
        prompt_of((10, 10), (100, 100), BARS_BESIDE)
