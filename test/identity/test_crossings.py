# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Identity after a crossing: two squares move towards each other on synthetic images, with tracks like those of a segmenter."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from numpy.typing import NDArray

from lang2segtrack_ros.identity.crossings import (
    Crossing,
    next_crossings,
    ownership_of,
    resolve,
    touching_pairs,
    unresolved_pairs,
    update_models,
    without,
)
from lang2segtrack_ros.identity.object_model import ObjectModel
from lang2segtrack_ros.identity.overlap_split import split_overlap
from lang2segtrack_ros.identity.region import Region
from lang2segtrack_ros.identity.track_state import Pair, TrackState
from lang2segtrack_ros.types.results import Track, TrackStatus
from lang2segtrack_ros.types.rle import Box, mask_box
from test.identity.synthetic import by_id, prompted

Color = tuple[int, int, int]
BRIGHT: Color = (230, 150, 40)
DARK: Color = (180, 110, 30)
SIZE = 12
CROSSING = 15  # the frame on which both squares have the same position


@dataclass
class Follower:
    """The crossings of two objects, followed over the frames of a stream.

    Attributes:
        states: the two objects.
        crossings: the open crossings.
        resolved: number of resolved crossings.
    """

    states: dict[int, TrackState] = field(default_factory=lambda: by_id(prompted(1), prompted(2), prompted(3)))
    crossings: dict[Pair, Crossing] = field(default_factory=dict)
    resolved: int = 0

    def finish_frame(self, frame: int, tracks: Sequence[Track], color: NDArray[np.uint8]) -> dict[int, Box]:
        """Process a finished frame as a session does, and return the corrections."""
        corrections: dict[int, Box] = {}
        self.crossings, separated = next_crossings(self.crossings, self.states, tracks, frame)
        for pair, parts in separated.items():
            assignments = resolve(pair, parts, self.states, tracks, color, frame)
            if assignments is not None:
                del self.crossings[pair]
                self.resolved += 1
                corrections |= {item.track_id: parts[item.part].box for item in assignments if not item.fits}
        remaining = [item for item in tracks if item.id not in corrections]
        self.states = update_models(self.states, self.crossings, remaining, color, frame, exposure=0.0)
        return corrections

    @property
    def pairs(self) -> list[Pair]:
        """Return the unresolved pairs."""
        return unresolved_pairs(self.crossings)


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
    return Track(track_id, label, TrackStatus.TRACKED, 0.9, mask_box(mask), mask, 0.9, 3.0, 0.9, 5)


def before(colors: tuple[Color, Color] = (BRIGHT, DARK), first: int = 0) -> Follower:
    """Process the frames until both squares mostly overlap, each with its own mask."""
    follower = Follower()
    for frame in range(first, CROSSING):
        tracks = [track(number, square(column(number, frame))) for number in (1, 2)]
        assert follower.finish_frame(frame, tracks, picture(frame, colors)) == {}
    return follower


def after(follower: Follower, masks: Sequence[Sequence[int]], colors: tuple[Color, Color] = (BRIGHT, DARK)) -> dict[int, Box]:
    """Process the frames on which the squares separate, and return the corrections. `masks` lists the squares that each track covers."""
    corrections: dict[int, Box] = {}
    for frame in range(CROSSING, CROSSING + 8):
        tracks = []
        for track_id, covered in enumerate(masks, start=1):
            parts = [square(column(number, frame)) for number in covered]
            tracks.append(track(track_id, np.logical_or.reduce(parts) if parts else np.zeros((40, 160), bool)))
        corrections |= follower.finish_frame(frame, tracks, picture(frame, colors))
        if follower.resolved:
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
    follower = before()
    corrections = after(follower, masks)
    assert follower.resolved == 1
    wrong = [track_id for track_id in (1, 2) if masks[track_id - 1] != (track_id,)]
    assert sorted(corrections) == wrong
    assert all(is_on_square(box, track_id) for track_id, box in corrections.items())


def test_correct_tracks_stay_unchanged_after_a_crossing() -> None:
    follower = before()
    assert after(follower, ((1,), (2,))) == {}
    assert follower.resolved == 1


def test_trajectory_decides_for_objects_of_one_color() -> None:
    follower = before((BRIGHT, BRIGHT))
    corrections = after(follower, ((1, 2), (1, 2)), (BRIGHT, BRIGHT))
    assert sorted(corrections) == [1, 2]
    assert all(is_on_square(box, track_id) for track_id, box in corrections.items())


def test_part_of_an_untracked_object_is_not_assigned() -> None:
    """The part that separates from an object may be an object without a track. It must not be assigned to the hidden object."""
    follower = before()
    assert after(follower, ((1, 2), ()), (BRIGHT, (40, 80, 210))) == {}
    assert follower.resolved == 0


def test_objects_that_start_beside_each_other_are_separated_by_their_first_frames() -> None:
    """They are never alone. The masks of their prompts are reliable, so their first frames give the models."""
    follower = before(first=CROSSING - 3)
    corrections = after(follower, ((2,), (1,)))
    assert follower.resolved == 1
    assert all(is_on_square(corrections[number], number) for number in (1, 2))


def test_close_pass_without_overlap_opens_no_crossing() -> None:
    """Only the boxes touch, and the masks do not. Afterwards the models are updated again, and no crossing stays open."""
    follower = Follower()
    for frame in range(30):
        low = np.zeros((40, 160), bool)
        low[26 : 26 + SIZE, column(2, frame) : column(2, frame) + SIZE] = True
        color = np.full((40, 160, 3), 90, np.uint8)
        upper = square(column(1, frame))
        color[upper], color[low] = BRIGHT, DARK
        assert follower.finish_frame(frame, [track(1, upper), track(2, low)], color) == {}
    assert (follower.resolved, follower.pairs, follower.crossings) == (0, [], {})
    model = follower.states[1].model
    assert model is not None
    assert model.trajectory[-1][0] == 29


def test_overlapping_pixels_are_split_by_color() -> None:
    """While two objects separate, both masks may cover both objects, or each mask the wrong object."""
    follower = before()
    apart = CROSSING + 2
    together = [track(number, square(column(number, CROSSING))) for number in (1, 2)]
    follower.finish_frame(CROSSING, together, picture(CROSSING))
    assert follower.pairs == [(1, 2)]
    own = [square(column(number, apart)) for number in (1, 2)]
    for masks in ((own[0] | own[1], own[0] | own[1]), (own[1], own[0])):
        tracks = {number: track(number, mask) for number, mask in enumerate(masks, start=1)}
        ownership = ownership_of((1, 2), follower.states, tracks, picture(apart), 0.0)
        assert ownership is not None
        assert ownership.image[own[0] & ~own[1]].mean() > 0.8
        assert ownership.image[own[1]].mean() < -0.8, "square 2 is in front"


def test_ownership_inside_the_box_of_both_masks_equals_that_of_the_whole_image() -> None:
    """The split works on the common box of the masks, wherever it lies in the image."""
    follower = before()
    tracks = {number: track(number, square(column(number, CROSSING))) for number in (1, 2)}
    models = [follower.states[number].model for number in (1, 2)]
    assert models[0] is not None
    assert models[1] is not None
    ownership = ownership_of((1, 2), follower.states, tracks, picture(CROSSING), 0.0)
    assert ownership is not None
    assert ownership.values.size < picture(CROSSING)[..., 0].size / 2
    union = tracks[1].mask | tracks[2].mask
    whole = split_overlap(picture(CROSSING), union, (models[0].color_model, models[1].color_model), 0.0)
    assert whole.any()
    np.testing.assert_array_equal(ownership.image, whole)


def test_split_needs_two_visible_objects_in_a_crossing() -> None:
    follower = before()
    both = square(column(2, CROSSING))
    assert ownership_of((1, 2), follower.states, {2: track(2, both)}, picture(CROSSING), 0.0) is None
    assert unresolved_pairs(without(follower.crossings, 2)) == []


def test_uncertain_mask_on_its_part_is_reinitialized() -> None:
    """The mask covers the right pixels, but its memories show both objects. On the next image it would cover both objects again."""
    follower = before()
    corrections: dict[int, Box] = {}
    for frame in range(CROSSING, CROSSING + 8):
        confident, uncertain = (track(number, square(column(number, frame))) for number in (1, 2))
        corrections |= follower.finish_frame(frame, [confident, replace(uncertain, predicted_iou=0.45)], picture(frame))
    assert follower.resolved == 1
    assert list(corrections) == [2]
    assert is_on_square(corrections[2], 2)


def test_removed_object_has_no_crossing() -> None:
    follower = before()
    assert follower.pairs == [(1, 2)]
    follower.crossings = without(follower.crossings, 1)
    follower.states = {key: state for key, state in follower.states.items() if key != 1}
    assert follower.pairs == []
    assert after(follower, ((), (1, 2))) == {}


def test_frame_leaves_the_values_of_the_frame_before_unchanged() -> None:
    """A frame that fails is undone by keeping the old values."""
    follower = before()
    states, crossings = follower.states, follower.crossings
    saved = pickle.dumps((states, crossings))
    after(follower, ((2,), (1,)))
    follower.finish_frame(CROSSING + 9, [track(3, square(5))], picture(0))
    assert pickle.dumps((states, crossings)) == saved


def test_detections_from_before_a_crossing_leave_it_open() -> None:
    """A slow detector returns boxes of an image on which both objects were still apart. A later id switch must still be corrected."""
    follower = before()
    earlier = CROSSING - 6
    assert follower.crossings[1, 2].first_frame > earlier, "the stage compares both frame numbers"
    assert follower.pairs == [(1, 2)]
    assert sorted(after(follower, ((2,), (1,)))) == [1, 2]


def test_detections_of_a_later_image_resolve_a_crossing() -> None:
    """The tracks still cover both objects there."""
    follower = before()
    later = CROSSING + 5
    own = [square(column(number, later)) for number in (1, 2)]
    parts = [region for region in map(Region.of, own) if region is not None]
    both = [track(number, own[0] | own[1]) for number in (1, 2)]
    assignments = resolve((1, 2), parts[::-1], follower.states, both, picture(later), later)
    assert assignments is not None
    assert [(item.track_id, item.part, item.fits) for item in assignments] == [(1, 1, False), (2, 0, False)]


def test_touching_pairs_are_those_whose_boxes_are_close() -> None:
    tracks = [track(3, square(0)), track(1, square(SIZE + 1)), track(2, square(SIZE // 2)), track(4, square(100))]
    touching = touching_pairs([*tracks, track(5, np.zeros((40, 160), bool))])
    assert set(touching) == {(1, 2), (1, 3), (2, 3)}, "the older id stands first, and a gap of one pixel counts as touch"
    assert touching[1, 3] == 0.0
    assert touching[2, 3] == pytest.approx(1 / 3)


def test_model_of_an_object_starts_with_its_first_reliable_mask() -> None:
    """Uncertain masks and masks of a few pixels say nothing reliable about the object."""
    states = by_id(prompted(1))
    uncertain = replace(track(1, square(20)), predicted_iou=0.4)
    assert update_models(states, {}, [uncertain], picture(0), 0, 0.0)[1].model is None
    tiny = np.zeros((40, 160), bool)
    tiny[3:5, 3:5] = True
    assert update_models(states, {}, [track(1, tiny)], picture(0), 0, 0.0)[1].model is None
    model = update_models(states, {}, [track(1, square(column(1, 0)))], picture(0), 0, 0.0)[1].model
    assert isinstance(model, ObjectModel)
    assert (model.frames, model.area) == (1, SIZE * SIZE)
