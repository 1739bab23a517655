# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Random states and frames for the properties of stages, and the renumbering of their objects."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st
from numpy.typing import NDArray

from lang2segtrack_ros.detection.detector import Detection
from lang2segtrack_ros.detection.schedule import DetectionSchedule
from lang2segtrack_ros.identity.appearance import appearance_of
from lang2segtrack_ros.identity.association import box_iou
from lang2segtrack_ros.identity.crossings import Crossing
from lang2segtrack_ros.identity.duplicates import PairHistory
from lang2segtrack_ros.identity.feature_appearance import FeatureModel
from lang2segtrack_ros.identity.scene_cut import SceneCutOptions, SceneState
from lang2segtrack_ros.identity.shape import ShapeModel, shape_of
from lang2segtrack_ros.identity.track_state import Origin, Pair, TrackState, Verification
from lang2segtrack_ros.session.actions import Action, SplitOverlap
from lang2segtrack_ros.session.context import FrameContext
from lang2segtrack_ros.session.options import SessionOptions
from lang2segtrack_ros.session.prompt_queue import PromptEntry, PromptQueue
from lang2segtrack_ros.session.state import SessionState
from lang2segtrack_ros.types.prompt_handle import PromptOutcome, PromptStatus
from lang2segtrack_ros.types.prompts import TextPrompt
from lang2segtrack_ros.types.results import FrameResult, Track
from lang2segtrack_ros.types.rle import Box
from test.identity.synthetic import HEIGHT, WIDTH, observation
from test.session.stages.builders import RectanglePredictor, boxed, detection_of, modeled, queue_of, rectangle
from test.session.stages.plain import plain

World = tuple[SessionState, FrameContext]
Ids = Mapping[int, int]
Value = TypeVar("Value")
LABELS = ("red circle", "blue star")
NEXT_ID = 100
INDEX = 6
SURE_THRESHOLD = 0.5  # a score of 0.9 is sure, and one of 0.5 is not


def scenery(seed: int) -> NDArray[np.uint8]:
    """Return an image of tiles in random colors, with noise, so that no two places look the same."""
    rng = np.random.default_rng(seed)
    tiles = rng.integers(20, 236, (HEIGHT // 10, WIDTH // 10, 3)).repeat(10, 0).repeat(10, 1)
    return np.clip(tiles + rng.normal(0, 6, tiles.shape), 0, 255).astype(np.uint8)


def boxes() -> st.SearchStrategy[Box]:
    """Return boxes of at least 6 pixels inside the image."""

    def box(x: int, y: int, width: int, height: int) -> Box:
        return float(x), float(y), float(min(x + width, WIDTH)), float(min(y + height, HEIGHT))

    return st.builds(box, st.integers(0, WIDTH - 6), st.integers(0, HEIGHT - 6), st.integers(6, 40), st.integers(6, 30))


def moved(box: Box, percents: tuple[int, int, int, int]) -> Box:
    """Return a box whose edges moved by percents of its size, inside the image and at least 2 pixels large."""
    sizes = (box[2] - box[0], box[3] - box[1]) * 2
    x1, y1, x2, y2 = (edge + percent * size / 100 for edge, percent, size in zip(box, percents, sizes))
    x1, y1 = min(max(x1, 0.0), WIDTH - 2.0), min(max(y1, 0.0), HEIGHT - 2.0)
    return x1, y1, min(max(x2, x1 + 2), float(WIDTH)), min(max(y2, y1 + 2), float(HEIGHT))


def shape_model(mask: NDArray[np.bool_]) -> ShapeModel | None:
    """Return the model of the shape of one mask."""
    shape = shape_of(mask)
    return ShapeModel.updated(None, shape) if shape is not None else None


@st.composite
def objects(draw: st.DrawFn, track_id: int, color: NDArray[np.uint8]) -> tuple[TrackState, Track]:
    """Return an object and its track, which may be hidden."""
    home, label = draw(boxes()), draw(st.sampled_from(LABELS))
    box = draw(st.one_of(st.none(), st.just(home), boxes()))
    state = TrackState(
        track_id,
        label,
        draw(st.sampled_from(Origin)),
        confirmed=draw(st.booleans()),
        hits=draw(st.integers(1, 3)),
        misses=draw(st.integers(0, 6)),
        loose_fits=draw(st.integers(0, 1)),
        unseen_ns=draw(st.sampled_from([0, 950_000_000, 3_000_000_000])),
        verification=draw(st.sampled_from(Verification)),
        detected_box=draw(st.one_of(st.none(), st.just(home))),
        appearance=appearance_of(color, rectangle(*home)) if draw(st.booleans()) else None,
        features=FeatureModel.of(observation(context=draw(st.integers(0, 5)))) if draw(st.booleans()) else None,
        waiting_since=draw(st.sampled_from([None, INDEX - 30, INDEX - 1])),
        shape=shape_model(rectangle(*home)) if draw(st.booleans()) else None,
    )
    if draw(st.booleans()):
        state = modeled(state, [(frame, boxed(track_id, home, label), color) for frame in range(3)])
    track = boxed(track_id, box, label, draw(st.sampled_from([0.4, 0.9])))
    return state, replace(track, score=draw(st.integers(1, 999)) / 1000 if box is not None else 0.0)


@st.composite
def worlds(draw: st.DrawFn, options: SessionOptions | None = None) -> World:
    """Return a state and a frame with up to five objects, their crossings and their relations."""
    color = scenery(draw(st.integers(0, 9)))
    ids = draw(st.lists(st.integers(1, 40), max_size=5, unique=True).map(sorted))
    items = [draw(objects(track_id, color)) for track_id in ids]
    tracks = {state.id: state for state, _ in items}
    crossings, relations = {}, {}
    for index, one in enumerate(ids):
        for other in ids[index + 1 :]:
            if tracks[one].model is not None and tracks[other].model is not None and draw(st.booleans()):
                crossings[one, other] = Crossing(draw(st.integers(3, INDEX)), draw(st.booleans()), draw(st.integers(0, 1)))
            if tracks[one].label == tracks[other].label and draw(st.booleans()):
                history = PairHistory(draw(st.integers(0, 6)), draw(st.integers(0, 3)), draw(st.integers(-99, 99)) / 100)
                relations[one, other] = history
    names = draw(st.lists(st.sampled_from(LABELS), unique=True))
    schedule = DetectionSchedule().added(TextPrompt(". ".join(names)), 0)[0] if names else DetectionSchedule()
    state = SessionState(
        frame_index=INDEX,
        next_track_id=NEXT_ID,
        scene=SceneState().next(scenery(draw(st.integers(0, 9))), SceneCutOptions())[0],
        tracks=tracks,
        crossings=crossings,
        pairs=relations,
        schedule=schedule,
    )
    visible = tuple(track for _, track in items)
    options = options or draw(st.builds(SessionOptions, remove_after_s=st.sampled_from([0.0, 3.0]), max_misses=st.sampled_from([0, 3])))
    prompted = frozenset(draw(st.sets(st.sampled_from(ids)))) if ids else frozenset()
    return state, FrameContext(INDEX, color, 100_000_000, visible, options, RectanglePredictor(ids), prompted=prompted)


@st.composite
def detected_worlds(draw: st.DrawFn) -> World:
    """Return a state and a frame with detections, most of them close to an object, and with text prompts that wait for them."""
    state, context = draw(worlds())
    near = [track.box for track in context.tracks if track.box is not None]
    place = boxes()
    if near:
        targets = draw(st.lists(st.sampled_from(near), min_size=1, max_size=2))
        close = st.builds(moved, st.sampled_from(targets), st.tuples(*[st.one_of(st.just(0), st.integers(-45, 45))] * 4))
        place = close if draw(st.booleans()) else st.one_of(close, place)
    detections = st.builds(Detection, st.sampled_from(LABELS), st.sampled_from([0.5, 0.9]), place)
    found = draw(st.lists(detections, max_size=4, unique_by=lambda item: item.box))
    phrases = tuple(draw(st.lists(st.sampled_from(LABELS), unique=True, min_size=1)))
    texts = [TextPrompt(". ".join(LABELS), draw(st.sampled_from(["once", "continuous"]))), TextPrompt(LABELS[0])][: draw(st.integers(0, 2))]
    state = replace(state, prompts=queue_of(*texts, status=PromptStatus.DETECTING))
    assume_no_ties(context, found)
    return state, detection_of(context, *found, phrases=phrases, default_threshold=SURE_THRESHOLD)


def assume_no_ties(context: FrameContext, detections: Iterable[Detection]) -> None:
    """Reject a frame on which two choices are equally good. Then the first one wins, whatever the ids are."""
    tables = [track.box for track in context.tracks if track.box is not None], [item.box for item in detections]
    if all(tables):
        overlaps = box_iou(np.array(tables[0]), np.array(tables[1]))
        overlaps = overlaps[overlaps > 0].round(9)
        assume(len(np.unique(overlaps)) == len(overlaps))


def numberings(in_order: bool) -> st.SearchStrategy[list[int]]:
    """Return new ids for the objects of a frame, in ascending order or in any order."""
    ids = st.lists(st.integers(1, NEXT_ID - 1), min_size=5, max_size=5, unique=True)
    return ids.map(sorted) if in_order else ids


def ids_of(state: SessionState, numbers: list[int]) -> Ids:
    """Return the new ids of all objects of a state. Objects that start later keep theirs."""
    return dict(zip(sorted(state.tracks), numbers))


def renumbered_context(context: FrameContext, ids: Ids) -> FrameContext:
    """Return a frame with other ids."""
    return replace(
        context,
        tracks=_tracks(context.tracks, ids),
        masks=RectanglePredictor([ids.get(key, key) for key in context.masks.known]),  # type: ignore[attr-defined]
        prompted=frozenset(ids.get(key, key) for key in context.prompted),
    )


def renumbered(state: SessionState, ids: Ids) -> SessionState:
    """Return a state with other ids. In a pair, the lower id stands first."""
    tracks = {ids.get(key, key): replace(track, id=ids.get(key, key)) for key, track in state.tracks.items()}
    relations = {}
    for pair, history in state.pairs.items():
        renamed, swapped = _pair(pair, ids)
        relations[renamed] = replace(history, score_difference=history.score_difference * (-1 if swapped else 1))
    return replace(
        state,
        tracks=tracks,
        crossings={_pair(pair, ids)[0]: crossing for pair, crossing in state.crossings.items()},
        pairs=relations,
        prompts=PromptQueue(tuple(_entry(entry, ids) for entry in state.prompts)),
        last=renumbered_result(state.last, ids) if state.last is not None else None,
        removed=_tracks(state.removed, ids),
    )


def renumbered_result(result: FrameResult, ids: Ids) -> FrameResult:
    """Return a result with other ids."""
    return replace(result, tracks=_tracks(result.tracks, ids), prompted=tuple(sorted(ids.get(key, key) for key in result.prompted)))


def renumbered_actions(actions: Iterable[Action], ids: Ids) -> list[Action]:
    """Return actions with other ids."""
    renamed: list[Action] = []
    for action in actions:
        if isinstance(action, SplitOverlap):
            pair, swapped = _pair(action.pair, ids)
            ownership = replace(action.ownership, values=-action.ownership.image if swapped else action.ownership.image, x=0, y=0)
            renamed.append(SplitOverlap(pair, ownership))
        else:
            renamed.append(replace(action, track_id=ids.get(action.track_id, action.track_id)))
    return renamed


def comparable(state: SessionState, actions: Iterable[Action] = ()) -> Any:
    """Return a state and actions without the order of the actions and of the ids in an outcome. Both have no effect."""
    entries = []
    for entry in state.prompts:
        outcome = entry.outcome
        pairs = sorted(zip(outcome.track_ids, outcome.labels)) if outcome is not None else []
        entries.append((plain(entry.handle), entry.status, pairs, outcome and (outcome.error, outcome.notes)))
    ordered = sorted((_rounded(action) for action in actions), key=repr)
    return plain(replace(state, prompts=PromptQueue())), entries, ordered


def _rounded(action: Action) -> Any:
    if isinstance(action, SplitOverlap):  # ownerships are computed in another order for a swapped pair
        return plain((action.pair, np.round(action.ownership.image, 4) + np.float32(0)))
    return plain(action)


def _pair(pair: Pair, ids: Ids) -> tuple[Pair, bool]:
    """Return the new pair, and True if its objects are swapped."""
    one, other = (ids.get(key, key) for key in pair)
    return ((one, other), False) if one < other else ((other, one), True)


def _tracks(tracks: Iterable[Track], ids: Ids) -> tuple[Track, ...]:
    renamed = (replace(track, id=ids.get(track.id, track.id)) for track in tracks)
    return tuple(sorted(renamed, key=lambda track: track.id))


def _entry(entry: PromptEntry, ids: Ids) -> PromptEntry:
    outcome: PromptOutcome | None = entry.outcome
    if outcome is None:
        return entry
    return replace(entry, outcome=replace(outcome, track_ids=tuple(ids.get(key, key) for key in outcome.track_ids)))
