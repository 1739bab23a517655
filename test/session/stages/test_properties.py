# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Properties of the stages: the order of detections and the numbers of objects change nothing but ids."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lang2segtrack_ros.session.actions import Spawn
from lang2segtrack_ros.session.options import SessionOptions
from lang2segtrack_ros.session.pipeline import Stage
from lang2segtrack_ros.session.stages.associate import associate
from lang2segtrack_ros.session.stages.finish import finish
from lang2segtrack_ros.session.stages.resolve_crossings import resolve_crossings
from lang2segtrack_ros.session.stages.verify import verify
from test.session.stages.builders import detection_of
from test.session.stages.plain import plain
from test.session.stages.worlds import (
    SURE_THRESHOLD,
    World,
    comparable,
    detected_worlds,
    ids_of,
    numberings,
    renumbered,
    renumbered_actions,
    renumbered_context,
    renumbered_result,
    worlds,
)

relaxed = settings(
    max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
ORDERS = pytest.mark.parametrize("in_order", [True, False], ids=["ascending", "any"])


@relaxed
@given(detected_worlds(), st.data())
def test_order_of_detections_changes_nothing_but_ids(world: World, data: st.DataObject) -> None:
    state, context = world
    assert context.detection is not None
    shuffled = data.draw(st.permutations(context.detection.detections))
    outputs = []
    for detections in (context.detection.detections, shuffled):
        after, actions = associate(
            state, detection_of(context, *detections, phrases=context.detection.request.phrases, default_threshold=SURE_THRESHOLD)
        )
        started = {action.predicted.prompt.box: action.track_id for action in actions if isinstance(action, Spawn)}  # type: ignore[union-attr]
        ids = {track_id: 1000 + rank for rank, (_, track_id) in enumerate(sorted(started.items()))}
        outputs.append(comparable(renumbered(after, ids), renumbered_actions(actions, ids)))
    assert outputs[0] == outputs[1]


def check_stage(stage: Stage, world: World, numbers: list[int]) -> None:
    """Check that a stage gives the same on renumbered inputs as renumbered outputs on the original ones."""
    state, context = world
    ids = ids_of(state, numbers)
    after, actions = stage(state, context)
    renamed, renamed_actions = stage(renumbered(state, ids), renumbered_context(context, ids))
    assert comparable(renamed, renamed_actions) == comparable(renumbered(after, ids), renumbered_actions(actions, ids))


@ORDERS
def test_numbers_of_objects_do_not_matter_to_associate(in_order: bool) -> None:
    relaxed(given(detected_worlds(), numberings(in_order))(lambda world, numbers: check_stage(associate, world, numbers)))()


@ORDERS
def test_numbers_of_objects_do_not_matter_to_verify(in_order: bool) -> None:
    relaxed(given(worlds(), numberings(in_order))(lambda world, numbers: check_stage(verify, world, numbers)))()


@ORDERS
def test_numbers_of_objects_do_not_matter_to_resolve_crossings(in_order: bool) -> None:
    relaxed(given(worlds(), numberings(in_order))(lambda world, numbers: check_stage(resolve_crossings, world, numbers)))()


def check_finish(world: World, numbers: list[int], data: st.DataObject) -> None:
    """Check `finish` as `check_stage` does."""
    state, context = world
    ids = ids_of(state, numbers)
    known = sorted(state.tracks)
    removed, started = (data.draw(st.sets(st.sampled_from(known))) if known else set() for _ in range(2))
    after, result = finish(state, context, removed, started, 7, 2)
    renamed, renamed_result = finish(
        renumbered(state, ids), renumbered_context(context, ids), {ids[key] for key in removed}, {ids[key] for key in started}, 7, 2
    )
    assert plain(renamed_result) == plain(renumbered_result(result, ids))
    assert comparable(renamed) == comparable(renumbered(after, ids))


@relaxed
@given(worlds(), numberings(in_order=True), st.data())
def test_numbers_of_objects_do_not_matter_to_finish(world: World, numbers: list[int], data: st.DataObject) -> None:
    check_finish(world, numbers, data)


@relaxed
@given(worlds(SessionOptions(merge_frames=0)), numberings(in_order=False), st.data())
def test_order_of_ids_matters_only_to_duplicates(world: World, numbers: list[int], data: st.DataObject) -> None:
    """Of two duplicates, the older id stays by design. Without merging, any numbers give the same result."""
    check_finish(world, numbers, data)
