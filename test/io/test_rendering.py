# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Overlays and contact sheets."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from lang2segtrack_ros.io.rendering import contact_sheet, draw_overlay, palette, to_ascii
from lang2segtrack_ros.types.results import Track, TrackStatus
from lang2segtrack_ros.types.rle import mask_box


def make_track(mask: np.ndarray, track_id: int = 1, state: TrackStatus = TrackStatus.TRACKED, label: str = "cup") -> Track:
    """Return a track with the given mask."""
    return Track(track_id, label, state, 0.9, mask_box(mask), mask, 0.9, 5.0, float("nan"), 0)


def test_overlay_changes_pixels_near_the_mask_only() -> None:
    """Users judge masks by the overlay, so other pixels must stay as they are."""
    image = np.full((200, 200, 3), 100, np.uint8)
    mask = np.zeros((200, 200), bool)
    mask[60:160, 80:180] = True
    painted = draw_overlay(image, [make_track(mask)], opacity=0.5)
    assert (image == 100).all(), "the input must stay as it is"
    expected = 100.0 * 0.5 + np.array(palette(1)) * 0.5
    assert np.abs(painted[110, 130] - expected).max() <= 0.5
    assert (painted[180, 40] == 100).all()


@pytest.mark.parametrize("edge", [(slice(0, 5), slice(0, 5)), (slice(195, 200), slice(195, 200)), (slice(0, 200), slice(0, 200))])
def test_overlay_draws_masks_at_the_image_border(edge: tuple[slice, slice]) -> None:
    """Contours, boxes and long labels reach beyond the border there."""
    mask = np.zeros((200, 200), bool)
    mask[edge] = True
    assert draw_overlay(np.zeros((200, 200, 3), np.uint8), [make_track(mask, label="a very long label " * 5)]).any()


def test_removed_tracks_are_not_drawn() -> None:
    """A removed track stays in the result once, and has no mask."""
    image = np.full((50, 50, 3), 9, np.uint8)
    removed = make_track(np.zeros((50, 50), bool), state=TrackStatus.REMOVED)
    assert (draw_overlay(image, [removed]) == image).all()


def test_neighboring_ids_have_different_colors() -> None:
    """Objects with successive ids often appear side by side."""
    colors = [np.array(palette(track_id), float) for track_id in range(1, 20)]
    assert min(np.abs(a - b).max() for a, b in pairwise(colors)) > 100


def test_contact_sheet_has_every_image() -> None:
    """The last row can be incomplete."""
    sheet = contact_sheet([np.full((10, 20, 3), value, np.uint8) for value in (50, 100, 150)], ["a", "b", "c"], columns=2)
    assert sheet.shape == (2 * 34, 40, 3)
    assert [int(sheet[30, 5, 0]), int(sheet[30, 25, 0]), int(sheet[64, 5, 0])] == [50, 100, 150]


@pytest.mark.parametrize(
    ("text", "drawn"),
    [
        ("3 red cup 0.90", "3 red cup 0.90"),
        ("3 Tässchen à café 0.90", "3 Tasschen a cafe 0.90"),
        ("3 чашка 0.90", "3 0.90"),
        ("3 杯 lost; 4 cup lost", "3 lost; 4 cup lost"),
    ],
)
def test_letters_that_opencv_4_cannot_draw_are_replaced(text: str, drawn: str) -> None:
    """It draws "??" for each of them. The id and the score remain, and identify the object."""
    assert to_ascii(text) == drawn


@pytest.mark.parametrize("is_capable", [True, False])
def test_overlay_has_no_question_marks(monkeypatch: pytest.MonkeyPatch, is_capable: bool) -> None:
    """The text must reach OpenCV in a form that its version can draw."""
    monkeypatch.setattr("lang2segtrack_ros.io.rendering._DRAWS_UNICODE", is_capable)
    mask = np.zeros((200, 200), bool)
    mask[60:160, 80:180] = True
    image = np.full((200, 200, 3), 100, np.uint8)
    plain, accented = (draw_overlay(image, [make_track(mask, label=label)]) for label in ("Tasse", "Tässe"))
    assert np.array_equal(plain, accented) != is_capable
