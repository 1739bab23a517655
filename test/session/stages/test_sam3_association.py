# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The association with the rules of SAM 3: single cases, and random streams against the methods of `Sam3VideoModel`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from transformers import Sam3VideoConfig, Sam3VideoModel

from lang2segtrack_ros.detection.detector import Detection
from lang2segtrack_ros.identity.sam3_rules import Sam3State, occluded_tracks
from lang2segtrack_ros.identity.track_state import TrackState
from lang2segtrack_ros.session.actions import Action, Remove, Spawn
from lang2segtrack_ros.session.options import SessionOptions
from lang2segtrack_ros.session.stages import sam3_association
from lang2segtrack_ros.session.stages.sam3_association import Sam3Association, associate_sam3
from lang2segtrack_ros.session.state import SessionState
from lang2segtrack_ros.types.results import Track
from lang2segtrack_ros.types.rle import Box
from test.identity.synthetic import HEIGHT, WIDTH, detected
from test.session.stages.builders import boxed, context_of, detection_of, state_of, summary

LABELS = ("red circle", "blue star")
PLACES: list[Box] = [(x, y, x + 24.0, y + 14.0) for x in (2.0, 30.0, 58.0, 86.0) for y in (2.0, 22.0)]
PROBATION, STREAMING = SessionOptions(association="sam3"), SessionOptions(association="sam3-streaming")


class Reference(Sam3VideoModel):  # type: ignore[misc]
    """The rules of transformers without the networks."""

    def __init__(self) -> None:
        nn.Module.__init__(self)
        config = Sam3VideoConfig()
        for name in ("assoc_iou_thresh", "trk_assoc_iou_thresh", "new_det_thresh", "high_conf_thresh", "high_iou_thresh"):
            setattr(self, name, getattr(config, name))
        for name in ("hotstart_delay", "hotstart_unmatch_thresh", "hotstart_dup_thresh", "suppress_unmatched_only_within_hotstart"):
            setattr(self, name, getattr(config, name))
        for name in ("init_trk_keep_alive", "max_trk_keep_alive", "min_trk_keep_alive", "decrease_trk_keep_alive_for_empty_masklets"):
            setattr(self, name, getattr(config, name))
        self.suppress_overlapping_based_on_recent_occlusion_threshold = config.suppress_overlapping_based_on_recent_occlusion_threshold
        self.metadata: dict[str, Any] = {name: defaultdict(list) for name in ("unmatched_frame_inds", "overlap_pair_to_frame_inds")}
        self.metadata |= {"obj_first_frame_idx": {}, "trk_keep_alive": defaultdict(int), "removed_obj_ids": set()}
        self.metadata["suppressed_obj_ids"] = defaultdict(set)

    def frame(self, index: int, detections: Sequence[Detection], tracks: Sequence[Track], next_id: int) -> tuple[Any, ...]:
        """Return the new detections, the tracks by detection, the sure detections, and the removed objects of one frame."""
        found = [boxed(1, item.box).mask for item in detections]
        scores = torch.tensor([item.score for item in detections])
        ids = [track.id for track in tracks]
        masks = (tensor(found), scores, tensor(track.mask for track in tracks), ids)
        prompts = (labels_of(item.label for item in detections), labels_of(track.label for track in tracks))
        new, unmatched, matched, sure, empty = self._associate_det_trk(*masks, *prompts)
        new_ids = list(range(next_id, next_id + len(new)))
        removed, self.metadata = self._process_hotstart(None, index, False, matched, new_ids, empty, unmatched, self.metadata)
        return new, matched, sure, removed


def tensor(masks: Iterable[Any]) -> Tensor:
    return torch.from_numpy(np.array([*masks], np.float32).reshape(-1, HEIGHT, WIDTH))


def labels_of(labels: Iterable[str]) -> Tensor:
    return torch.tensor([LABELS.index(label) for label in labels], dtype=torch.long)


def run(state: SessionState, tracks: Sequence[Track], *detections: Detection, options: SessionOptions = PROBATION, **changes: Any) -> Any:
    """Return the state and the actions after one run of a detector whose scores have the scale of SAM 3."""
    context = detection_of(context_of(*tracks, options=options, **changes), *detections, phrases=LABELS, default_threshold=0.5)
    return associate_sam3(state, context)


def shifted(box: Box, x: float) -> Box:
    return box[0] + x, box[1], box[2] + x, box[3]


def after(state: SessionState, actions: Iterable[Action]) -> SessionState:
    """Return the state without the removed objects, as `finish` leaves it."""
    for action in actions:
        if isinstance(action, Remove):
            state = state.without_track(action.track_id)
    return state


def test_frame_without_detections_changes_nothing() -> None:
    state = state_of(detected(1))
    assert associate_sam3(state, context_of(boxed(1, PLACES[0]), options=PROBATION)) == (state, [])


@pytest.mark.parametrize("seed", range(3))
def test_random_streams_agree_with_transformers(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tracks jump between eight places, half of them as duplicates of others, and detections come and go with random scores."""
    monkeypatch.setattr(sam3_association, "CONDITIONING_RUNS", 1)
    rng, reference, state = np.random.default_rng(seed), Reference(), state_of()
    places: dict[int, int | None] = {}
    removals = conditioned = 0
    for index in range(45):
        for key in places:
            if rng.random() < 0.06:
                places[key] = None if rng.random() < 0.3 else int(rng.integers(len(PLACES)))
        offsets = rng.choice([0.0, 2.0, 9.0], len(PLACES), p=[0.6, 0.2, 0.2])
        boxes = {key: None if place is None else shifted(PLACES[place], float(offsets[key % 8])) for key, place in places.items()}
        tracks = [boxed(key, box, state.tracks[key].label) for key, box in boxes.items()]
        shown = rng.permutation(len(PLACES))[: rng.integers(0, 6)]
        scores = np.sort(rng.uniform(0.5, 1.0, len(shown)))[::-1]
        names = rng.choice(LABELS, len(shown), p=[0.8, 0.2])
        detections = [Detection(str(name), float(score), PLACES[place]) for name, score, place in zip(names, scores, shown)]
        new, matched, sure, removed = reference.frame(index, detections, tracks, state.next_track_id)
        context = detection_of(context_of(*tracks, options=PROBATION), *detections, phrases=LABELS, default_threshold=0.5)
        association = Sam3Association(replace(state, sam3=replace(state.sam3, runs=index)), context, context.detection)  # type: ignore[arg-type]
        association.run()
        spawned = [key for row, key in sorted(association.found.items()) if key >= state.next_track_id]
        assert [row for row, key in sorted(association.found.items()) if key in spawned] == new
        assert {*association.found} == {row for row, ids in matched.items() if ids} | {*new}
        assert {action.track_id for action in association.actions if isinstance(action, Remove)} == removed
        corrected = [key for name, key in summary(association.actions) if name == "Correct"]
        assert corrected == list(sure)
        places |= {key: int(shown[row]) for row, key in association.found.items() if key in spawned}
        places = {key: place for key, place in places.items() if key not in removed}
        state = after(association.state, association.actions)
        removals, conditioned = removals + len(removed), conditioned + len(corrected)
    assert removals > 0
    assert conditioned > 0


@pytest.mark.parametrize("seed", range(20))
def test_occlusion_agrees_with_transformers(seed: int) -> None:
    rng = np.random.default_rng(seed)
    tracks = [
        boxed(key, shifted(PLACES[int(rng.integers(2))], float(rng.integers(4))) if rng.random() < 0.9 else None) for key in range(1, 7)
    ]
    hidden = {track.id: int(rng.integers(-1, 4)) for track in tracks}
    masks, last = tensor(track.mask for track in tracks) > 0, torch.tensor([*hidden.values()])
    expected = Reference()._get_objects_to_suppress_based_on_most_recently_occluded(masks, last, [*hidden])
    assert occluded_tracks(tracks, {key: frame for key, frame in hidden.items() if frame >= 0}) == {
        track.id for track, is_hidden in zip(tracks, expected.tolist()) if is_hidden
    }


def test_tentative_object_is_confirmed_after_its_probation() -> None:
    """SAM 3 holds its results back by 15 frames, and the object of frame 0 may still go on frame 14."""
    state, actions = run(state_of(), [], Detection("red circle", 0.9, PLACES[0]))
    assert summary(actions) == [("Spawn", 1)]
    for index in range(1, 15):
        assert not state.tracks[1].confirmed, index
        state, _ = run(state, [boxed(1, PLACES[0])], Detection("red circle", 0.9, PLACES[0]))
    assert state.tracks[1].confirmed


def test_stream_has_no_probation() -> None:
    """A false track of a live stream stays, because SAM 3 removes none there."""
    state, _ = run(state_of(), [], Detection("red circle", 0.9, PLACES[0]), options=STREAMING)
    assert state.tracks[1].confirmed
    for _ in range(20):
        state, actions = run(state, [boxed(1, PLACES[0])], options=STREAMING)
        assert actions == []


def test_tentative_object_without_detections_is_removed() -> None:
    """The eight missed runs need not be consecutive: every third detection is there."""
    state, _ = run(state_of(), [], Detection("red circle", 0.9, PLACES[0]))
    actions: list[Action] = []
    misses = 0
    for index in range(1, 15):
        assert actions == []
        found = [Detection("red circle", 0.9, PLACES[0])] if index % 3 == 0 else []
        misses += not found
        state, actions = run(state, [boxed(1, PLACES[0])], *found)
        if misses == 8:
            break
    assert (summary(actions), state.counters.false_alarms) == ([("Remove", 1)], 1)


def test_tentative_duplicate_is_removed_and_the_older_track_stays() -> None:
    state = state_of(detected(1, confirmed=True), detected(2), sam3=Sam3State(born={2: 0}))
    for _ in range(8):
        tracks = [boxed(1, PLACES[0]), boxed(2, shifted(PLACES[0], 3))]
        state, actions = run(state, tracks, Detection("red circle", 0.9, PLACES[0]))
    assert (summary(actions), state.counters.duplicates_merged) == ([("Remove", 2)], 1)


def test_object_that_the_user_confirmed_is_never_removed() -> None:
    state = state_of(replace(detected(1), confirmed=True), sam3=Sam3State(born={1: 0}, unmatched={1: 7}))
    assert run(state, [boxed(1, PLACES[0])])[1] == []


@pytest.mark.parametrize(
    ("runs", "score", "object_score", "box", "conditions"),
    [
        (16, 0.85, 3.0, PLACES[0], True),
        (15, 0.85, 3.0, PLACES[0], False),
        (16, 0.75, 3.0, PLACES[0], False),
        (16, 0.85, 0.7, PLACES[0], False),
        (16, 0.85, 3.0, shifted(PLACES[0], 4), False),
    ],
)
def test_sure_detection_conditions_its_track(runs: int, score: float, object_score: float, box: Box, conditions: bool) -> None:
    """All conditions hold in the first case, and one fails in each other case: run, score, object score, IoU."""
    state = state_of(detected(1, confirmed=True), sam3=Sam3State(runs=runs))
    track = replace(boxed(1, PLACES[0]), object_score=object_score)
    state, actions = run(state, [track], Detection("red circle", score, box))
    assert summary(actions) == ([("Correct", 1)] if conditions else [])


def test_late_detection_conditions_no_track() -> None:
    """The memory of an earlier frame is written already, so its detections start and remove objects only."""
    context = context_of(boxed(1, PLACES[0]), options=PROBATION)
    context = detection_of(context, Detection("red circle", 0.9, PLACES[0]), phrases=LABELS, default_threshold=0.5)
    assert context.detection is not None
    association = Sam3Association(state_of(detected(1, confirmed=True)), context, context.detection, is_late=True)
    association.run()
    assert association.actions == []


def test_detection_on_a_better_one_of_its_label_is_dropped() -> None:
    """The IoU of both is 0.2. Without tracks, every remaining detection starts an object, also below the minimum score."""
    found = (Detection("red circle", 0.9, PLACES[0]), Detection("red circle", 0.85, shifted(PLACES[0], 16)))
    state, actions = run(state_of(), [], *found, Detection("blue star", 0.55, PLACES[0]))
    assert [state.tracks[action.track_id].label for action in actions if isinstance(action, Spawn)] == ["red circle", "blue star"]


def test_scores_are_relative_to_the_threshold_of_the_detector() -> None:
    """0.45 of a detector with the threshold 0.3 is 0.75 for SAM 3, and 0.4 is 0.67."""
    for score, count in ((0.45, 1), (0.4, 0)):
        context = context_of(boxed(1, PLACES[0]), options=PROBATION)
        context = detection_of(context, Detection("red circle", score, PLACES[2]), default_threshold=0.3)
        assert len(associate_sam3(state_of(confirmed(1)), context)[1]) == count


def confirmed(track_id: int) -> TrackState:
    return detected(track_id, confirmed=True)
