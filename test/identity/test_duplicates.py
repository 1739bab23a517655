# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Two tracks of one label on the same pixels are one object, unless they were seen apart before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from lang2segtrack_ros.identity.duplicates import DuplicateOptions, Duplicates, PairHistory, find_duplicates
from lang2segtrack_ros.identity.track_state import Pair
from lang2segtrack_ros.types.results import Track
from test.identity.synthetic import track


def frames(*images: list[Track], merge_frames: int = 3) -> list[Duplicates]:
    """Return the relations after each of several frames."""
    pairs: Mapping[Pair, PairHistory] = {}
    found = []
    for tracks in images:
        found.append(find_duplicates(pairs, tracks, DuplicateOptions(merge_frames)))
        pairs = found[-1].pairs
    return found


def test_tracks_on_the_same_pixels_are_merged() -> None:
    found = frames(*[[track(1), track(2, 11)]] * 3)
    assert [item.duplicates for item in found] == [(), (), (2,)], "the older id stays"


def test_order_of_the_tracks_does_not_matter() -> None:
    assert frames(*[[track(2, 11), track(1)]] * 3)[-1].duplicates == (2,)


def test_passing_objects_are_not_merged() -> None:
    found = frames(*[[track(1), track(2, x)] for x in (14, 11, 11, 14, 11)])  # together for two frames, then apart
    assert [item.duplicates for item in found] == [()] * 5


@pytest.mark.parametrize(("scores", "suspected"), [((0.9, 0.6), 2), ((0.6, 0.9), 1)])
def test_tracks_seen_apart_are_not_merged(scores: tuple[float, float], suspected: int) -> None:
    """One track has moved to the other object. Both tracks stay, and the less certain one is suspected."""
    apart = [track(1), track(2, 60)]
    together = [replace(track(number), score=score) for number, score in zip((1, 2), scores)]
    found = frames(*[apart] * 6, *[together] * 3)
    assert [item.duplicates for item in found] == [()] * 9
    assert [item.suspected for item in found] == [()] * 8 + [(suspected,)]
    assert found[-1].pairs == {(1, 2): PairHistory(frames_apart=6)}, "the next suspicion takes as many frames again"


def test_tracks_of_different_labels_are_not_merged() -> None:
    assert frames([track(1), track(2, label="red thing")], merge_frames=1)[0] == Duplicates({})


def test_hidden_tracks_are_on_no_pixels() -> None:
    assert frames([track(1), track(2, None)], merge_frames=1)[0] == Duplicates({})


def test_zero_frames_disable_the_merging() -> None:
    assert frames(*[[track(1), track(2)]] * 9, merge_frames=0)[-1] == Duplicates({})
