# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Who is who after a meeting: two squares that move towards each other on made pictures, and tracks as a segmenter gives them."""

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
MET = 15  # the frame on which both squares are at the same place


def square(x: int) -> NDArray[np.bool_]:
    mask = np.zeros((40, 160), bool)
    mask[14 : 14 + SIZE, max(x, 0) : x + SIZE] = True
    return mask


def place(number: int, frame: int) -> int:
    """Column of square 1, which goes to the right, or 2, which goes to the left and passes in front of it."""
    return 74 + 4 * (frame - MET) * (1 if number == 1 else -1)


def picture(frame: int, colors: tuple[Color, Color] = (BRIGHT, DARK)) -> NDArray[np.uint8]:
    color = np.full((40, 160, 3), 90.0)
    for number in (1, 2):
        color[square(place(number, frame))] = colors[number - 1]
    return np.clip(color + np.random.default_rng(frame).normal(0, 4, color.shape), 0, 255).astype(np.uint8)


def track(track_id: int, mask: NDArray[np.bool_], label: str = "orange square") -> Track:
    rows, columns = np.nonzero(mask)
    box: Box | None = None
    if len(rows):
        box = float(columns.min()), float(rows.min()), float(columns.max() + 1), float(rows.max() + 1)
    return Track(track_id, label, TrackStatus.TRACKED, 0.9, box, mask, 0.9, 3.0, 0.9, 5)


def frame_of(crossings: Crossings, tracks: Sequence[Track], color: NDArray[np.uint8]) -> dict[int, Box]:
    """A finished frame, as a session tells of it."""
    corrections = crossings.update(tracks, color)
    crossings.update_appearance([item for item in tracks if item.id not in corrections], color, exposure=0.0)
    return corrections


def before(crossings: Crossings, colors: tuple[Color, Color] = (BRIGHT, DARK), first: int = 0) -> None:
    """Both squares until they overlap for the most part, each with its own mask."""
    for frame in range(first, MET):
        tracks = [track(number, square(place(number, frame))) for number in (1, 2)]
        assert frame_of(crossings, tracks, picture(frame, colors)) == {}


def after(
    crossings: Crossings, masks: Sequence[Sequence[int]], colors: tuple[Color, Color] = (BRIGHT, DARK), last: int = MET + 8
) -> dict[int, Box]:
    """The frames on which they part again; `masks` says which squares each track covers. Returns the corrections."""
    corrections: dict[int, Box] = {}
    for frame in range(MET, MET + 8):
        tracks = []
        for track_id, covered in enumerate(masks, start=1):
            parts = [square(place(number, frame)) for number in covered]
            tracks.append(track(track_id, np.logical_or.reduce(parts) if parts else np.zeros((40, 160), bool)))
        corrections |= frame_of(crossings, tracks, picture(frame, colors))
        if crossings.resolved:
            break
    return corrections


def on(box: Box, number: int) -> bool:
    """Whether a box lies on the square, on the frame that settled the meeting."""
    return any(abs(box[0] - place(number, frame)) <= 1 for frame in range(MET + 3, MET + 6))


@pytest.mark.parametrize(
    "masks",
    [((1, 2), (1, 2)), ((2,), (1,)), ((1, 2), ()), ((), (1, 2)), ((1, 2), (2,))],
    ids=["both cover both", "swapped", "one covers both, the other nothing", "the other way round", "one covers both"],
)
def test_each_object_goes_on_where_its_colour_does(masks: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    crossings = Crossings()
    before(crossings)
    corrections = after(crossings, masks)
    assert crossings.resolved == 1
    wrong = [track_id for track_id in (1, 2) if masks[track_id - 1] != (track_id,)]
    assert sorted(corrections) == wrong
    assert all(on(box, track_id) for track_id, box in corrections.items())


def test_tracks_that_came_through_are_left_alone() -> None:
    crossings = Crossings()
    before(crossings)
    assert after(crossings, ((1,), (2,))) == {}
    assert (crossings.resolved, crossings.corrected) == (1, 0)


def test_the_same_colour_is_told_by_its_course() -> None:
    crossings = Crossings()
    before(crossings, (BRIGHT, BRIGHT))
    corrections = after(crossings, ((1, 2), (1, 2)), (BRIGHT, BRIGHT))
    assert sorted(corrections) == [1, 2]
    assert all(on(box, track_id) for track_id, box in corrections.items())


def test_a_third_thing_is_nobody() -> None:
    """What parts from an object may be something that no track followed; it must not be given to the one that is hidden."""
    crossings = Crossings()
    before(crossings)
    assert after(crossings, ((1, 2), ()), (BRIGHT, (40, 80, 210))) == {}
    assert crossings.resolved == 0


def test_objects_that_were_never_seen_alone_are_not_judged() -> None:
    crossings = Crossings()
    before(crossings, first=MET - 3)
    assert after(crossings, ((2,), (1,))) == {}
    assert crossings.resolved == 0


def test_passing_close_by_changes_nothing() -> None:
    """Boxes touch, masks do not: colours are learnt on afterwards, and nothing is to be settled."""
    crossings = Crossings()
    for frame in range(30):
        low = np.zeros((40, 160), bool)
        low[26 : 26 + SIZE, place(2, frame) : place(2, frame) + SIZE] = True
        color = np.full((40, 160, 3), 90, np.uint8)
        upper = square(place(1, frame))
        color[upper], color[low] = BRIGHT, DARK
        assert frame_of(crossings, [track(1, upper), track(2, low)], color) == {}
    assert (crossings.resolved, crossings.pairs) == (0, [])


def test_pixels_of_two_that_overlap_are_shared_out_by_colour() -> None:
    """While two objects part, both masks may cover both, or each the wrong one."""
    crossings = Crossings()
    before(crossings)
    apart = MET + 2
    frame_of(crossings, [track(1, square(place(1, MET))), track(2, square(place(2, MET)))], picture(MET))
    own = [square(place(number, apart)) for number in (1, 2)]
    for masks in ((own[0] | own[1], own[0] | own[1]), (own[1], own[0])):
        tracks = [track(number, mask) for number, mask in enumerate(masks, start=1)]
        ((pair, ownership),) = crossings.split_overlap(tracks, picture(apart), 0.0)
        assert pair == (1, 2)
        assert ownership[own[0] & ~own[1]].mean() > 0.8
        assert ownership[own[1]].mean() < -0.8, "square 2 is in front"


def test_only_of_two_that_meet_and_are_both_seen_is_anything_shared_out() -> None:
    crossings = Crossings()
    before(crossings)
    both = square(place(2, MET))
    hidden = track(1, np.zeros_like(both))
    assert crossings.split_overlap([hidden, track(2, both)], picture(MET), 0.0) == []
    crossings.forget(2)
    assert crossings.split_overlap([track(1, both), track(2, both)], picture(MET), 0.0) == []


def test_a_mask_that_fits_but_is_not_sure_begins_anew() -> None:
    """Its share of the pixels is right, but what it remembers is both objects: on the next image it would cover both again."""
    crossings = Crossings()
    before(crossings)
    corrections: dict[int, Box] = {}
    for frame in range(MET, MET + 8):
        sure, unsure = (track(number, square(place(number, frame))) for number in (1, 2))
        corrections |= frame_of(crossings, [sure, replace(unsure, predicted_iou=0.45)], picture(frame))
    assert crossings.resolved == 1
    assert list(corrections) == [2]
    assert on(corrections[2], 2)


def test_an_object_that_is_gone_meets_nobody() -> None:
    crossings = Crossings()
    before(crossings)
    assert crossings.pairs == [(1, 2)]
    crossings.forget(1)
    assert crossings.pairs == []
    assert after(crossings, ((), (1, 2))) == {}


def test_a_frame_that_fails_leaves_no_trace() -> None:
    crossings = Crossings()
    before(crossings)
    kept = crossings.snapshot()
    told = repr(crossings)
    after(crossings, ((2,), (1,)))
    frame_of(crossings, [replace(track(1, square(5)), id=3)], picture(0))
    kept.restore()
    assert repr(crossings) == told


def test_an_answer_from_before_the_meeting_does_not_end_it() -> None:
    """A slow detector tells of an image on which both were still apart; who slips later must still be set right."""
    crossings = Crossings()
    before(crossings)
    then = MET - 6
    parts = [square(place(number, then)) for number in (1, 2)]
    tracks = [track(number, part) for number, part in enumerate(parts, start=1)]
    assert crossings.resolve((1, 2), parts, tracks, picture(then), late=MET - 1 - then) is None
    assert crossings.pairs == [(1, 2)]
    assert sorted(after(crossings, ((2,), (1,)))) == [1, 2]
