# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The static functions of a tracked frame: the same results as usual, no hidden dependence on values, and a fallback."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from lang2segtrack_ros.history.frame_history import FrameHistory
from lang2segtrack_ros.runtime import graphs
from lang2segtrack_ros.runtime.graphs import GraphError, StaticFunction, check_static, leaves
from lang2segtrack_ros.segmentation.candidates import Candidates
from lang2segtrack_ros.segmentation.sam2 import Sam2Segmenter
from lang2segtrack_ros.session.session import Session
from lang2segtrack_ros.toyworld.scene import SceneFrame
from lang2segtrack_ros.tracking.memory_bank import MemoryBank
from lang2segtrack_ros.tracking.policies.base import Choice
from lang2segtrack_ros.tracking.policies.samurai import SamuraiPolicy
from lang2segtrack_ros.tracking.static_step import StaticStep
from lang2segtrack_ros.tracking.static_transfers import MAX_SIZES
from lang2segtrack_ros.tracking.stream_tracker import StreamTracker
from lang2segtrack_ros.types.frame import Frame
from lang2segtrack_ros.types.prompts import BoxPrompt, PointPrompt, TextPrompt
from lang2segtrack_ros.types.results import Track
from test.conftest import body_box, iou

Changes = dict[int, list[int]]


def run(tracker: StreamTracker, frames: list[SceneFrame], prompts: Changes, removals: Changes) -> list[list[Track]]:
    """Track through frames. `prompts` gives the bodies to box, `removals` the tracks to remove, by frame."""
    results = []
    for number, frame in enumerate(frames):
        for body in prompts.get(number, ()):
            tracker.add(BoxPrompt(body_box(frame, body), str(body)))
        for track_id in removals.get(number, ()):
            tracker.remove(track_id)
        results.append(tracker.step(frame.color))
    return results


@pytest.mark.parametrize("policy", ["samurai", "sam2", "distractor"])
def test_static_frames_equal_usual_frames_to_the_last_bit(segmenter: Sam2Segmenter, frames: list[SceneFrame], policy: str) -> None:
    """One, two and four objects fill their rows, so both paths run the same sizes. Removed objects leave old memories in unused rows."""
    prompts, removals = {0: [1], 3: [2], 6: [3, 1]}, {9: [2, 3]}
    usual, static = StreamTracker(segmenter, policy), StreamTracker(segmenter, policy)
    prepared = static.prepare(4)
    expected, found = run(usual, frames[:14], prompts, removals), run(static, frames[:14], prompts, removals)
    for number, (one, two) in enumerate(zip(expected, found)):
        for a, b in zip(one, two):
            for name in ("id", "box", "score", "object_score", "frames_since_seen"):
                assert getattr(a, name) == getattr(b, name), f"frame {number}, track {a.id}"
            assert (a.mask == b.mask).all(), f"frame {number}, track {a.id}"
    assert prepared.failure == ""
    assert prepared.frames == {"static": 13, "usual": 0}, "the first frame has no objects"


def test_unused_rows_change_results_by_rounding_only(segmenter: Sam2Segmenter, frames: list[SceneFrame]) -> None:
    """Three objects run in four rows. The size of a product decides how a library rounds it."""
    usual, static = StreamTracker(segmenter), StreamTracker(segmenter)
    static.prepare(4)
    for one, two in zip(*(run(tracker, frames[:8], {0: [1, 2, 3]}, {}) for tracker in (usual, static))):
        for a, b in zip(one, two):
            assert a.object_score == pytest.approx(b.object_score, abs=1e-3)
            assert iou(a.mask, b.mask) > 0.99


def test_objects_beyond_the_prepared_number_run_as_usual(segmenter: Sam2Segmenter, frames: list[SceneFrame]) -> None:
    """A new storage has other addresses, so its objects must not use the functions of the old one."""
    tracker = StreamTracker(segmenter)
    prepared = tracker.prepare(2)
    usual = StreamTracker(segmenter)
    for made in (tracker, usual):
        results = run(made, frames[:6], {0: [1, 2], 2: [3, 1, 2]}, {4: [3], 5: [4]})
    found = run(tracker, frames[6:8], {}, {})
    assert prepared.frames["static"] == 2
    assert [track.id for track in found[-1]] == [1, 2, 5]
    assert len(results[-1]) == 3


def test_corrected_objects_stay_on_the_static_path(segmenter: Sam2Segmenter, frames: list[SceneFrame]) -> None:
    """Corrections add memories, of which up to four are read. Results equal those of the usual path but for rounding."""
    results = []
    for is_static in (False, True):
        tracker = StreamTracker(segmenter)
        prepared = tracker.prepare(2) if is_static else None
        tracker.add(BoxPrompt(body_box(frames[0], 1)))
        for number in range(9):
            if number in (2, 4):
                x1, y1, x2, y2 = body_box(frames[number], 1)
                tracker.add(PointPrompt([((x1 + x2) / 2, (y1 + y2) / 2)], track_id=1))
            (track,) = tracker.step(frames[number].color)
            results.append(track)
    assert prepared is not None
    assert prepared.frames == {"static": 8, "usual": 0}
    for one, two in zip(results[:9], results[9:]):
        assert one.object_score == pytest.approx(two.object_score, abs=1e-3)
        assert iou(one.mask, two.mask) > 0.99


def test_session_on_static_functions_gives_the_same_results(segmenter: Sam2Segmenter, detector: Any, frames: list[SceneFrame]) -> None:
    """Detections, corrections and the background detector's late results use features of earlier images, which must not be overwritten."""
    results = []
    for is_static in (False, True):
        session = Session(segmenter, detector)
        if is_static:
            session.tracker.prepare(4)
        session.prompt(TextPrompt("red circle. blue star.", interval=3))
        results.append([session.step(Frame(frame.color, number * 66_000_000)) for number, frame in enumerate(frames[:16])])
        assert session.tracker.static is None or session.tracker.static.frames["static"] > 8
    for one, two in zip(*results):
        for name in ("id", "label", "state"):
            assert [getattr(track, name) for track in one.tracks] == [getattr(track, name) for track in two.tracks]
        assert all(iou(a.mask, b.mask) > 0.99 or not a.mask.any() for a, b in zip(one.tracks, two.tracks))


def test_backward_pass_runs_on_the_static_path(segmenter: Sam2Segmenter, frames: list[SceneFrame]) -> None:
    """The pass has memories and graphs of its own. The history gives it features, which must be moved to their fixed addresses."""
    results, passes = [], []
    for is_static in (False, True):
        session = Session(segmenter, history=FrameHistory(keep_features=True))
        if is_static:
            session.tracker.prepare(2)
        for number, frame in enumerate(frames[:12]):
            if number == 6:
                session.prompt(BoxPrompt(body_box(frame, 1), "circle"))
            session.step(Frame(frame.color, number * 66_000_000))
        passes.append(session.backward(prepare=True))
        results.append(list(passes[-1].run()))
    assert passes[1].reused > 0
    static = passes[1]._tracker._tracker.static  # type: ignore[attr-defined]
    assert static is not None
    assert static.frames["static"] > 4
    for one, two in zip(*results):
        assert [(track.id, track.state) for track in one.tracks] == [(track.id, track.state) for track in two.tracks]
        assert all(iou(a.mask, b.mask) > 0.99 for a, b in zip(one.tracks, two.tracks) if a.mask.any())
    assert results[1][1].tracks[0].mask.any()


class LaunchCounter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """A counter of the operations outside static functions that are more than a view. On a GPU, each is a launch by the host."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.names: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        is_view = any(item.alias_info is not None and not item.alias_info.is_write for item in func._schema.returns)
        if not graphs.is_static() and not is_view:
            self.names.append(str(func))
        return func(*args, **(kwargs or {}))


def test_steady_frame_has_few_operations_outside_the_graphs(segmenter: Sam2Segmenter, frames: list[SceneFrame]) -> None:
    """The host's launches set the speed on a fast GPU: copies in and out, the frame's number, and one launch for each graph."""
    tracker = StreamTracker(segmenter)
    tracker.prepare(2)
    run(tracker, frames[:5], {0: [1, 2]}, {})
    for frame in frames[5:8]:
        with LaunchCounter() as counter:
            tracker.step(frame.color)
        assert sorted(counter.names) == ["aten.copy_.default", "aten.copy_.default", "aten.fill_.Scalar"]


def test_image_size_may_change(segmenter: Sam2Segmenter, frames: list[SceneFrame]) -> None:
    """The functions for a new size are prepared after its first frame. Old sizes are dropped, so memory does not grow."""
    usual, static = StreamTracker(segmenter), StreamTracker(segmenter)
    prepared = static.prepare(1)
    for tracker in (usual, static):
        tracker.add(BoxPrompt(body_box(frames[0], 1)))
    for number, frame in enumerate(frames[:14]):
        # Six sizes, each twice, so that both ways of each size run.
        image = np.ascontiguousarray(frame.color[: 240 - 16 * (number // 2)])
        (one,), (two,) = usual.step(image), static.step(image)
        assert (one.mask == two.mask).all(), f"frame {number}"
    assert prepared._transfers is not None
    assert len(prepared._transfers._sizes) == MAX_SIZES


def test_depth_policy_runs_on_the_static_path(segmenter: Sam2Segmenter, frames: list[SceneFrame]) -> None:
    """Depth has a fixed address, too. A frame without depth must not use the depth of an earlier frame."""
    usual, static = StreamTracker(segmenter, "depth"), StreamTracker(segmenter, "depth")
    prepared = static.prepare(2)
    for tracker in (usual, static):
        tracker.add(BoxPrompt(body_box(frames[0], 1)))
        tracker.add(BoxPrompt(body_box(frames[0], 2)))
    for number, frame in enumerate(frames[:10]):
        image = Frame(frame.color, number, frame.depth_m if number % 3 else None)
        for one, two in zip(usual.step(image), static.step(image)):
            assert (one.mask == two.mask).all(), f"frame {number}"
        assert usual.bank.distance.tolist() == pytest.approx(static.bank.distance.tolist(), nan_ok=True)
    assert usual.bank.distance.isfinite().all()
    assert prepared.frames == {"static": 9, "usual": 0}


def filled(segmenter: Sam2Segmenter, frames: list[SceneFrame], start: int) -> tuple[Any, MemoryBank, Any]:
    """Return encoded features, memories and the tracker after some frames from `start` on."""
    tracker = StreamTracker(segmenter)
    run(tracker, frames[start : start + 5], {0: [1, 2]}, {})
    return tracker.encode(Frame(frames[start + 5].color)), tracker.bank, tracker


def test_functions_depend_on_no_value(segmenter: Sam2Segmenter, frames: list[SceneFrame]) -> None:
    """A CUDA graph repeats the operations of its capture, whatever the values. The recorder compares two runs on other frames."""
    static = StreamTracker(segmenter).prepare(2)
    row = static._rows[2, 1]
    with torch.inference_mode():
        features, banks = [], []
        for start in (0, 20):
            encoded, bank, _ = filled(segmenter, frames, start)
            features.append(encoded)
            banks.append(bank)
        pixels = [segmenter.preprocess(frames[number].color) for number in (0, 20)]
        check_static(segmenter.encode, *((item,) for item in pixels))
        numbers = [torch.tensor([value], device=segmenter.device) for value in (5, 9)]
        read = static._predictor.read_memory
        check_static(read, *((image, bank, number, 1) for image, bank, number in zip(features, banks, numbers)))
        outputs = [read(image, bank, number, 1) for image, bank, number in zip(features, banks, numbers)]
        cases = [(i, b, n, o.prediction, o.choice) for i, b, n, o in zip(features, banks, numbers, outputs)]
        check_static(static._stage, *cases)
        check_static(row.write._function, *((case[1], *static._stage(*case)) for case in cases))


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda x: x * float(x.sum()), "_local_scalar_dense depends on the values"),
        (lambda x: x[x > 0], "index by a mask depends on the values"),
        (lambda x: x + torch.tensor([1.0, 2.0, 3.0]), "lift_fresh depends on the values"),
    ],
)
def test_recorder_refuses_what_a_graph_cannot_hold(function: Any, words: str) -> None:
    with pytest.raises(GraphError, match=words):
        check_static(function, (torch.tensor([1.0, 2.0, -3.0]),), (torch.tensor([-1.0, 2.0, 3.0]),))


def test_recorder_compares_operations() -> None:
    """A branch on a value outside of tensors shows no synchronization, but the operations differ."""
    calls: list[int] = []

    def function(x: Tensor) -> Tensor:
        calls.append(1)
        return x + 1 if len(calls) == 1 else x * 2

    with pytest.raises(GraphError, match="operation 0 depends on the values"):
        check_static(function, (torch.ones(3),), (torch.ones(3),))


def test_outputs_are_overwritten_by_the_next_run() -> None:
    """As those of a CUDA graph, so that tests on a CPU find a reader that comes too late."""
    x = torch.ones(3)
    function = StaticFunction(lambda value: (value * 2, value + 1), (x,))
    first = function.run()[0]
    x.fill_(5.0)
    assert function.run()[0] is first
    assert first.tolist() == [10.0, 10.0, 10.0]


class BranchingPolicy(SamuraiPolicy):
    """A policy that looks at a value, as a plug-in may do."""

    def choose(self, bank: MemoryBank, frame: Any, candidates: Candidates) -> Choice:
        if graphs.is_static():
            raise RuntimeError("operation not permitted when stream is capturing")
        return super().choose(bank, frame, candidates)


def test_failed_capture_falls_back_for_good(segmenter: Sam2Segmenter, frames: list[SceneFrame], caplog: pytest.LogCaptureFixture) -> None:
    tracker = StreamTracker(segmenter, BranchingPolicy())
    prepared = tracker.prepare(2)
    assert prepared.failure == "RuntimeError: operation not permitted when stream is capturing"
    assert [record.getMessage() for record in caplog.records] == [
        "frames run without CUDA graphs, which is slower: RuntimeError: operation not permitted when stream is capturing"
    ]
    found = run(tracker, frames[:4], {0: [1]}, {})
    assert iou(found[-1][0].mask, frames[3].instances == 1) > 0.7
    assert prepared.frames == {"static": 0, "usual": 3}


def test_wrong_replay_falls_back_for_good(segmenter: Sam2Segmenter, frames: list[SceneFrame], monkeypatch: pytest.MonkeyPatch) -> None:
    """A replay that gives other values than the function, as a fault of a driver would make it. Masks must stay right."""

    def capture(function: Any, args: Any, pool: Any) -> Any:
        outputs = function(*args)
        graphs._compare([leaf * 3 + 100 for leaf in leaves(outputs)], leaves(outputs))
        return None, outputs

    monkeypatch.setattr(graphs, "_capture", capture)
    tracker = StreamTracker(segmenter)
    static = StaticStep(segmenter, tracker.policy)
    static.prepare(tracker.prepare(2)._rows[2, 1].bank, pool="a pool", max_seconds=60, report=lambda _: None)
    assert static.failure.startswith("GraphError: output 0 of the replay differs by")
    tracker.static = static
    found = run(tracker, frames[:4], {0: [1]}, {})
    assert iou(found[-1][0].mask, frames[3].instances == 1) > 0.7
