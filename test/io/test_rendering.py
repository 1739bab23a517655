# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Overlays show what is tracked and nothing else."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from lang2segtrack_ros.io.rendering import contact_sheet, draw_overlay, palette
from lang2segtrack_ros.types.results import Track, TrackStatus
from lang2segtrack_ros.types.rle import mask_box


def make_track(mask: np.ndarray, track_id: int = 1, state: TrackStatus = TrackStatus.TRACKED, label: str = "cup") -> Track:
    """A track with a given mask."""
    return Track(track_id, label, state, 0.9, mask_box(mask), mask, 0.9, 5.0, float("nan"), 0)


def test_overlay_paints_inside_the_mask_only() -> None:
    image = np.full((200, 200, 3), 100, np.uint8)
    mask = np.zeros((200, 200), bool)
    mask[60:160, 80:180] = True
    painted = draw_overlay(image, [make_track(mask)], opacity=0.5)
    assert (image == 100).all(), "the input must stay as it is"
    expected = 100.0 * 0.5 + np.array(palette(1)) * 0.5
    assert np.abs(painted[110, 130] - expected).max() <= 0.5
    assert (painted[180, 40] == 100).all()


@pytest.mark.parametrize("edge", [(slice(0, 5), slice(0, 5)), (slice(195, 200), slice(195, 200)), (slice(0, 200), slice(0, 200))])
def test_overlay_at_the_border(edge: tuple[slice, slice]) -> None:
    mask = np.zeros((200, 200), bool)
    mask[edge] = True
    assert draw_overlay(np.zeros((200, 200, 3), np.uint8), [make_track(mask, label="a very long label " * 5)]).any()


def test_removed_tracks_are_not_shown() -> None:
    image = np.full((50, 50, 3), 9, np.uint8)
    removed = make_track(np.zeros((50, 50), bool), state=TrackStatus.REMOVED)
    assert (draw_overlay(image, [removed]) == image).all()


def test_palette_tells_neighbours_apart() -> None:
    colours = [np.array(palette(number), float) for number in range(1, 20)]
    assert min(np.abs(a - b).max() for a, b in pairwise(colours)) > 100


def test_contact_sheet_has_every_image() -> None:
    sheet = contact_sheet([np.full((10, 20, 3), value, np.uint8) for value in (50, 100, 150)], ["a", "b", "c"], columns=2)
    assert sheet.shape == (2 * 34, 40, 3)
    assert [int(sheet[30, 5, 0]), int(sheet[30, 25, 0]), int(sheet[64, 5, 0])] == [50, 100, 150]
