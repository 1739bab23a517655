# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Identity after a crossing: two squares move towards each other on synthetic images, with tracks like those of a segmenter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from lang2segtrack_ros.identity.crossings import Crossings
from lang2segtrack_ros.types.results import Track, TrackStatus
from lang2segtrack_ros.types.rle import Box

Color = tuple[int, int, int]
BRIGHT: Color = (230, 150, 40)
DARK: Color = (180, 110, 30)
SIZE = 12
CROSSING = 15  # the frame on which both squares have the same position


def square(x: int) -> NDArray[np.bool_]:
    mask = np.zeros((40, 160), bool)
    mask[14 : 14 + SIZE, max(x, 0) : x + SIZE] = True
    return mask


def column(number: int, frame: int) -> int:
    """Return the column of a square: square 1 moves to the right, square 2 moves to the left in front of it."""
    return 74 + 4 * (frame - CROSSING) * (1 if number == 1 else -1)


def picture(frame: int, colors: tuple[Color, Color] = (BRIGHT, DARK)) -> NDArray[np.uint8]:
    color = np.full((40, 160, 3), 90.0)
    for number in (1, 2):
        color[square(column(number, frame))] = colors[number - 1]
    return np.clip(color + np.random.default_rng(frame).normal(0, 4, color.shape), 0, 255).astype(np.uint8)


def track(track_id: int, mask: NDArray[np.bool_], label: str = "orange square") -> Track:
    rows, columns = np.nonzero(mask)
    box: Box | None = None
    if len(rows):
        box = float(columns.min()), float(rows.min()), float(columns.max() + 1), float(rows.max() + 1)
    return Track(track_id, label, TrackStatus.TRACKED, 0.9, box, mask, 0.9, 3.0, 0.9, 5)


def finish_frame(crossings: Crossings, tracks: Sequence[Track], color: NDArray[np.uint8]) -> dict[int, Box]:
    """Process a finished frame as a session does, and return the corrections."""
    corrections = crossings.update(tracks, color)
    crossings.update_appearance([item for item in tracks if item.id not in corrections], color, exposure=0.0)
    return corrections


def before(crossings: Crossings, colors: tuple[Color, Color] = (BRIGHT, DARK), first: int = 0) -> None:
    """Process the frames until both squares mostly overlap, each with its own mask."""
    for frame in range(first, CROSSING):
        tracks = [track(number, square(column(number, frame))) for number in (1, 2)]
        assert finish_frame(crossings, tracks, picture(frame, colors)) == {}


def after(
    crossings: Crossings, masks: Sequence[Sequence[int]], colors: tuple[Color, Color] = (BRIGHT, DARK), last: int = CROSSING + 8
) -> dict[int, Box]:
    """Process the frames on which the squares separate, and return the corrections. `masks` lists the squares that each track covers."""
    corrections: dict[int, Box] = {}
    for frame in range(CROSSING, CROSSING + 8):
        tracks = []
        for track_id, covered in enumerate(masks, start=1):
            parts = [square(column(number, frame)) for number in covered]
            tracks.append(track(track_id, np.logical_or.reduce(parts) if parts else np.zeros((40, 160), bool)))
        corrections |= finish_frame(crossings, tracks, picture(frame, colors))
        if crossings.resolved:
            break
    return corrections


def is_on_square(box: Box, number: int) -> bool:
    """Return True if a box lies on the square, on the frame that resolved the crossing."""
    return any(abs(box[0] - column(number, frame)) <= 1 for frame in range(CROSSING + 3, CROSSING + 6))


@pytest.mark.parametrize(
    "masks",
    [((1, 2), (1, 2)), ((2,), (1,)), ((1, 2), ()), ((), (1, 2)), ((1, 2), (2,))],
    ids=["both_cover_both", "swapped", "first_covers_both", "second_covers_both", "first_covers_both_and_second_is_right"],
)
def test_each_object_continues_on_its_color(masks: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    crossings = Crossings()
    before(crossings)
    corrections = after(crossings, masks)
    assert crossings.resolved == 1
    wrong = [track_id for track_id in (1, 2) if masks[track_id - 1] != (track_id,)]
    assert sorted(corrections) == wrong
    assert all(is_on_square(box, track_id) for track_id, box in corrections.items())


def test_correct_tracks_stay_unchanged_after_a_crossing() -> None:
    crossings = Crossings()
    before(crossings)
    assert after(crossings, ((1,), (2,))) == {}
    assert (crossings.resolved, crossings.corrected) == (1, 0)


def test_trajectory_decides_for_objects_of_one_color() -> None:
    crossings = Crossings()
    before(crossings, (BRIGHT, BRIGHT))
    corrections = after(crossings, ((1, 2), (1, 2)), (BRIGHT, BRIGHT))
    assert sorted(corrections) == [1, 2]
    assert all(is_on_square(box, track_id) for track_id, box in corrections.items())


def test_part_of_an_untracked_object_is_not_assigned() -> None:
    """The part that separates from an object may be an object without a track. It must not be assigned to the hidden object."""
    crossings = Crossings()
    before(crossings)
    assert after(crossings, ((1, 2), ()), (BRIGHT, (40, 80, 210))) == {}
    assert crossings.resolved == 0


def test_objects_that_were_never_alone_are_not_resolved() -> None:
    crossings = Crossings()
    before(crossings, first=CROSSING - 3)
    assert after(crossings, ((2,), (1,))) == {}
    assert crossings.resolved == 0


def test_close_pass_without_overlap_opens_no_crossing() -> None:
    """Only the boxes touch, and the masks do not. Afterwards the models are updated again, and no crossing stays open."""
    crossings = Crossings()
    for frame in range(30):
        low = np.zeros((40, 160), bool)
        low[26 : 26 + SIZE, column(2, frame) : column(2, frame) + SIZE] = True
        color = np.full((40, 160, 3), 90, np.uint8)
        upper = square(column(1, frame))
        color[upper], color[low] = BRIGHT, DARK
        assert finish_frame(crossings, [track(1, upper), track(2, low)], color) == {}
    assert (crossings.resolved, crossings.pairs) == (0, [])


def test_overlapping_pixels_are_split_by_color() -> None:
    """While two objects separate, both masks may cover both objects, or each mask the wrong object."""
    crossings = Crossings()
    before(crossings)
    apart = CROSSING + 2
    finish_frame(crossings, [track(1, square(column(1, CROSSING))), track(2, square(column(2, CROSSING)))], picture(CROSSING))
    own = [square(column(number, apart)) for number in (1, 2)]
    for masks in ((own[0] | own[1], own[0] | own[1]), (own[1], own[0])):
        tracks = [track(number, mask) for number, mask in enumerate(masks, start=1)]
        ((pair, ownership),) = crossings.split_overlap(tracks, picture(apart), 0.0)
        assert pair == (1, 2)
        assert ownership[own[0] & ~own[1]].mean() > 0.8
        assert ownership[own[1]].mean() < -0.8, "square 2 is in front"


def test_split_needs_two_visible_objects_in_a_crossing() -> None:
    crossings = Crossings()
    before(crossings)
    both = square(column(2, CROSSING))
    hidden = track(1, np.zeros_like(both))
    assert crossings.split_overlap([hidden, track(2, both)], picture(CROSSING), 0.0) == []
    crossings.forget(2)
    assert crossings.split_overlap([track(1, both), track(2, both)], picture(CROSSING), 0.0) == []


def test_uncertain_mask_on_its_part_is_reinitialized() -> None:
    """The mask covers the right pixels, but its memories show both objects. On the next image it would cover both objects again."""
    crossings = Crossings()
    before(crossings)
    corrections: dict[int, Box] = {}
    for frame in range(CROSSING, CROSSING + 8):
        confident, uncertain = (track(number, square(column(number, frame))) for number in (1, 2))
        corrections |= finish_frame(crossings, [confident, replace(uncertain, predicted_iou=0.45)], picture(frame))
    assert crossings.resolved == 1
    assert list(corrections) == [2]
    assert is_on_square(corrections[2], 2)


def test_removed_object_has_no_crossing() -> None:
    crossings = Crossings()
    before(crossings)
    assert crossings.pairs == [(1, 2)]
    crossings.forget(1)
    assert crossings.pairs == []
    assert after(crossings, ((), (1, 2))) == {}


def test_snapshot_restores_the_state_after_a_failed_frame() -> None:
    crossings = Crossings()
    before(crossings)
    snapshot = crossings.snapshot()
    state = repr(crossings)
    after(crossings, ((2,), (1,)))
    finish_frame(crossings, [replace(track(1, square(5)), id=3)], picture(0))
    snapshot.restore()
    assert repr(crossings) == state


def test_detections_from_before_a_crossing_do_not_resolve_it() -> None:
    """A slow detector returns boxes of an image on which both objects were still apart. A later id switch must still be corrected."""
    crossings = Crossings()
    before(crossings)
    earlier = CROSSING - 6
    parts = [square(column(number, earlier)) for number in (1, 2)]
    tracks = [track(number, part) for number, part in enumerate(parts, start=1)]
    assert crossings.resolve((1, 2), parts, tracks, picture(earlier), frames_ago=CROSSING - 1 - earlier) is None
    assert crossings.pairs == [(1, 2)]
    assert sorted(after(crossings, ((2,), (1,)))) == [1, 2]
