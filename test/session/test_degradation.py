# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""A session whose work fails half-way: out of memory, where CUDA would say so, and for any other reason. Nothing is lost."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from copy import copy
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from lang2segtrack_ros.detection.grounding_dino import GroundingDinoDetector
from lang2segtrack_ros.detection.worker import DetectionRequest, run_detection
from lang2segtrack_ros.identity.associator import Associator
from lang2segtrack_ros.models.loading import load_detector
from lang2segtrack_ros.segmentation.sam2 import Sam2Segmenter
from lang2segtrack_ros.session.degradation import degrade, describe, is_out_of_memory
from lang2segtrack_ros.session.options import SessionOptions
from lang2segtrack_ros.session.session import Session
from lang2segtrack_ros.toyworld.scene import SceneFrame
from lang2segtrack_ros.types.frame import Frame
from lang2segtrack_ros.types.prompt_handle import MAX_ATTEMPTS, PromptHandle
from lang2segtrack_ros.types.prompts import BoxPrompt, TextPrompt
from lang2segtrack_ros.types.results import FrameResult
from test.conftest import body_box, iou
from test.logits import LogitsProbe

PERIOD_NS = 66_666_667
OUT = "CUDA out of memory. Tried to allocate 2.00 GiB"


def step(session: Session, frames: list[SceneFrame], index: int) -> FrameResult:
    return session.step(Frame(frames[index].color, index * PERIOD_NS))


def prompted(segmenter: Sam2Segmenter, frames: list[SceneFrame], bodies: int = 3) -> Session:
    session = Session(segmenter)
    for body in range(1, bodies + 1):
        session.prompt(BoxPrompt(body_box(frames[0], body)))
    return session


def raise_in(
    monkeypatch: pytest.MonkeyPatch, name: str, error: Exception, when: Callable[..., bool], owner: type = Sam2Segmenter
) -> list[Any]:
    """Makes a method raise where `when` says so of its arguments; the list gets one entry for each time."""
    real = getattr(owner, name)
    raised: list[Any] = []

    def failing(self: Any, *args: Any, **kwargs: Any) -> Any:
        if when(self, *args):
            raised.append(args)
            raise error
        return real(self, *args, **kwargs)

    monkeypatch.setattr(owner, name, failing)
    return raised


def test_fewer_objects_at_once_give_the_same_masks(
    segmenter: Sam2Segmenter, frames: list[SceneFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory for one object only, from the fourth frame on: the frame on which it runs out is done all the same."""
    calm, short = prompted(segmenter, frames), prompted(segmenter, frames)
    wanted, found = LogitsProbe(calm.tracker), LogitsProbe(short.tracker)
    expected = []
    for index in range(8):
        step(calm, frames, index)
        expected.append(wanted.stacked())
    raise_in(monkeypatch, "attend", torch.OutOfMemoryError(OUT), lambda _, __, read: len(read.memory) > 1 and short_now)
    for index in range(8):
        short_now = index >= 3
        result = step(short, frames, index)
        assert [track.id for track in result.tracks] == [1, 2, 3]
        np.testing.assert_allclose(found.stacked(), expected[index], atol=1e-3)
    assert short.degraded_to == "1 objects at once, images at 192 px"
    assert segmenter.batch_limit == 0, "others that share the network are not touched"


def test_smaller_images_keep_ids_and_objects(segmenter: Sam2Segmenter, frames: list[SceneFrame], monkeypatch: pytest.MonkeyPatch) -> None:
    """The image encoder does not fit any more, which fewer objects cannot mend."""
    session = prompted(segmenter, frames, 2)
    for index in range(3):
        step(session, frames, index)
    raise_in(monkeypatch, "encode", torch.OutOfMemoryError(OUT), lambda self, _: self.image_size > 128)
    for index in range(3, 12):
        result = step(session, frames, index)
    assert session.degraded_to == "1 objects at once, images at 128 px"
    assert [track.id for track in result.tracks] == [1, 2]
    for track in result.tracks:
        assert iou(track.mask, frames[11].instances == track.id) > 0.6


def test_the_prompt_that_was_too_much_is_applied_on_the_same_frame(
    segmenter: Sam2Segmenter, frames: list[SceneFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    session = prompted(segmenter, frames, 3)
    step(session, frames, 0)
    handle = session.prompt(BoxPrompt(body_box(frames[1], 4), "late"))
    raised = raise_in(monkeypatch, "encode_memory", torch.OutOfMemoryError(OUT), lambda _, __, masks, *___: len(masks) > 3)
    assert [track.label for track in step(session, frames, 1).tracks] == ["", "", "", "late"]
    assert len(raised) == 1
    assert handle.done
    assert not handle.error
    assert len(handle.track_ids) == 1


def test_nothing_left_to_save_is_told_and_nothing_is_lost(
    segmenter: Sam2Segmenter, frames: list[SceneFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    session = prompted(segmenter, frames, 2)
    step(session, frames, 0)
    handle = session.prompt(BoxPrompt(body_box(frames[1], 3)))
    with monkeypatch.context() as patch:
        raise_in(patch, "encode", torch.OutOfMemoryError(OUT), lambda *_: True)
        for _ in range(MAX_ATTEMPTS + 1):
            with pytest.raises(torch.OutOfMemoryError, match="even with 1 objects at once, images at 64 px: remove objects"):
                step(session, frames, 1)
    assert not handle.done
    result = step(session, frames, 2)
    assert handle.done
    assert session.degraded_to == "", "less did not help, so with memory again nothing has been given up"
    for track in result.tracks:
        assert iou(track.mask, frames[2].instances == track.id) > 0.6


def test_a_detector_out_of_memory_looks_at_smaller_images(
    segmenter: Sam2Segmenter, frames: list[SceneFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    detector = load_detector("toy", device="cpu")
    largest = detector.shortest_edge
    session = Session(segmenter, detector)
    handle = session.prompt(TextPrompt("red circle. blue star.", mode="once"))
    error = torch.OutOfMemoryError(OUT)
    raised = raise_in(monkeypatch, "detect_batch", error, lambda self, *_: self.shortest_edge == largest, GroundingDinoDetector)
    for index in range(3):
        step(session, frames, index)
    assert len(raised) == 1
    assert sorted(handle.labels) == ["blue star", "red circle"]
    assert session.degraded_to == "the detector looks at smaller images"
    assert detector.shortest_edge == largest, "others that share the detector are not touched"


@pytest.mark.parametrize("function", ["encode", "attend", "decode", "encode_memory"])
@pytest.mark.parametrize("failing", [1, 4, 6])
def test_a_frame_that_fails_anywhere_leaves_no_trace(
    segmenter: Sam2Segmenter,
    detector: GroundingDinoDetector,
    frames: list[SceneFrame],
    monkeypatch: pytest.MonkeyPatch,
    function: str,
    failing: int,
) -> None:
    """Frames with prompts, looks of the detector and plain ones: shown again, each gives what it would have given without the failure."""

    def run(spoil: bool) -> list[FrameResult]:
        session = Session(segmenter, detector, options=SessionOptions(detect_every=3))
        session.prompt(TextPrompt("red circle. blue star."))
        results = []
        for index in range(9):
            if index == 4:
                session.prompt(BoxPrompt(body_box(frames[index], 3), "pointed"))
            if spoil and index == failing:
                with monkeypatch.context() as patch:
                    raise_in(patch, function, RuntimeError("lightning"), lambda *_: True)
                    with pytest.raises(RuntimeError, match="lightning"):
                        step(session, frames, index)
            results.append(step(session, frames, index))
        return results

    for spoilt, calm in zip(run(True), run(False)):
        assert [(track.label, track.state, track.box) for track in spoilt.tracks] == [
            (track.label, track.state, track.box) for track in calm.tracks
        ]


def asked(segmenter: Sam2Segmenter, detector: GroundingDinoDetector, frames: list[SceneFrame]) -> tuple[Session, PromptHandle]:
    """A session whose detector has found on its own thread what a prompt named, on frame 0; the answer waits for frame 1."""
    session = Session(segmenter, detector, background=True)
    handle = session.prompt(TextPrompt("red circle.", "once"))
    step(session, frames, 0)
    assert session._worker is not None
    session._worker.wait(60)
    return session, handle


@pytest.mark.parametrize("function", ["encode", "decode", "encode_memory"])
def test_an_answer_that_comes_on_a_frame_that_fails_is_not_lost(
    segmenter: Sam2Segmenter, detector: GroundingDinoDetector, frames: list[SceneFrame], monkeypatch: pytest.MonkeyPatch, function: str
) -> None:
    """The detector's thread gives an answer once; whoever waited for it would wait for ever."""
    session, handle = asked(segmenter, detector, frames)
    with monkeypatch.context() as patch:
        raise_in(patch, function, RuntimeError("lightning"), lambda *_: True)
        with pytest.raises(RuntimeError, match="lightning"):
            step(session, frames, 1)
    assert not handle.done
    result = step(session, frames, 1)
    session.close()
    assert handle.done
    assert [track.label for track in result.tracks] == handle.labels == ["red circle"]
    assert iou(result.tracks[0].mask, frames[1].instances == 1) > 0.8
    assert (session.waiting, session.detection_runs) == (0, 1)


def test_an_answer_on_which_every_frame_fails_is_let_go_and_asked_for_again(
    segmenter: Sam2Segmenter, detector: GroundingDinoDetector, frames: list[SceneFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise one detection that nobody foresaw would end the stream."""
    session, handle = asked(segmenter, detector, frames)
    with monkeypatch.context() as patch:
        raise_in(patch, "catch_up", ArithmeticError("cursed"), lambda *_: True, Associator)
        for _ in range(MAX_ATTEMPTS):
            with pytest.raises(ArithmeticError):
                step(session, frames, 1)
        assert step(session, frames, 1).tracks == ()
    assert session._worker is not None
    session._worker.wait(60)
    result = step(session, frames, 2)
    session.close()
    assert handle.done
    assert [track.label for track in result.tracks] == ["red circle"]
    assert session.detection_runs == 2


def test_a_prompt_on_which_every_frame_fails_is_let_go(
    segmenter: Sam2Segmenter, frames: list[SceneFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise one prompt that nobody foresaw would end the stream."""
    session = prompted(segmenter, frames, 1)
    step(session, frames, 0)
    handle = session.prompt(BoxPrompt(body_box(frames[1], 2)))
    raise_in(monkeypatch, "unconditioned", ArithmeticError("cursed"), lambda *_: True)
    for _ in range(MAX_ATTEMPTS):
        with pytest.raises(ArithmeticError):
            step(session, frames, 1)
    assert "failed 3 times, the last time with ArithmeticError: cursed" in handle.error
    assert len(step(session, frames, 2).tracks) == 1


def test_the_way_down(segmenter: Sam2Segmenter) -> None:
    """Objects first, then images, then no more; the weights are shared all the way."""
    told, at = [], degrade(segmenter, 6)
    while at is not None:
        told.append(describe(at))
        assert at.model.object_pointer_proj.proj_in.weight.data_ptr() == segmenter.model.object_pointer_proj.proj_in.weight.data_ptr()
        at = degrade(at, 6)
    sizes = [f"1 objects at once, images at {size} px" for size in (192, 128, 96, 64)]
    assert told == ["3 objects at once, images at 192 px", *sizes]


def test_a_detector_is_not_made_so_small_that_it_has_fewer_tokens_than_queries(detector: GroundingDinoDetector) -> None:
    """The published networks choose the best 900 tokens of an image, and fail where there are not so many."""
    small = copy(detector)
    small.shortest_edge, small.longest_edge, small.model = 800, 1333, SimpleNamespace(config=copy(detector.model.config))
    small.model.config.num_queries, small.model.config.num_feature_levels = 900, 4
    edges, at = [], small.shrunk()
    while at is not None:
        edges.append(at.shortest_edge)
        at = at.shrunk()
    assert edges == [600, 450, 337, 252]
    for edge in edges:
        assert sum((edge // stride) ** 2 for stride in (8, 16, 32, 64)) >= 900


def test_a_detection_that_failed_holds_no_tensors(detector: GroundingDinoDetector, frames: list[SceneFrame]) -> None:
    """Else the memory that it lacked would not be free when it is asked again."""
    held: list[weakref.ref[Any]] = []

    def detect(*_: Any) -> None:
        activation = torch.zeros(9)
        held.append(weakref.ref(activation))
        raise torch.OutOfMemoryError(OUT)

    given = run_detection(SimpleNamespace(detect=detect), DetectionRequest(0, frames[0].color, ("red circle",), (0.3,)))  # type: ignore[arg-type]
    assert isinstance(given.error, torch.OutOfMemoryError)
    assert held[0]() is None


@pytest.mark.parametrize(
    ("error", "out"),
    [
        (torch.OutOfMemoryError(OUT), True),
        (RuntimeError("CUDA error: out of memory"), True),
        (RuntimeError("CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate"), True),
        (RuntimeError("[enforce fail at alloc_cpu.cpp:119] DefaultCPUAllocator: can't allocate memory"), True),
        (RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`"), True),
        (RuntimeError("FIND was unable to find an engine to execute this computation"), True),
        (MemoryError(), True),
        (RuntimeError("shapes cannot be multiplied"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_what_counts_as_out_of_memory(error: Exception, out: bool) -> None:
    assert is_out_of_memory(error) is out
