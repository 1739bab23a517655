# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""A session keeps its state when a frame fails, out of memory or for another reason, and degrades its settings if necessary."""

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
from lang2segtrack_ros.models.loading import load_detector
from lang2segtrack_ros.segmentation.sam2 import Sam2Segmenter
from lang2segtrack_ros.session.catch_up import CaughtUp
from lang2segtrack_ros.session.degradation import degrade, describe, is_out_of_memory
from lang2segtrack_ros.session.options import SessionOptions
from lang2segtrack_ros.session.prompt_queue import MAX_ATTEMPTS
from lang2segtrack_ros.session.session import Session
from lang2segtrack_ros.toyworld.scene import SceneFrame
from lang2segtrack_ros.types.frame import Frame
from lang2segtrack_ros.types.prompt_handle import PromptHandle
from lang2segtrack_ros.types.prompts import BoxPrompt, TextPrompt
from lang2segtrack_ros.types.results import FrameResult
from test.conftest import DEVICE, body_box, iou
from test.logits import LogitsProbe

PERIOD_NS = 66_666_667
OUT = "CUDA out of memory. Tried to allocate 2.00 GiB"


def step(session: Session, frames: list[SceneFrame], index: int) -> FrameResult:
    """Process one frame of a clip."""
    return session.step(Frame(frames[index].color, index * PERIOD_NS))


def prompted_session(segmenter: Sam2Segmenter, frames: list[SceneFrame], bodies: int = 3) -> Session:
    """Return a session with one box prompt for each of the first bodies."""
    session = Session(segmenter)
    for body in range(1, bodies + 1):
        session.prompt(BoxPrompt(body_box(frames[0], body)))
    return session


def raise_in(
    monkeypatch: pytest.MonkeyPatch, name: str, error: Exception, when: Callable[..., bool], owner: type = Sam2Segmenter
) -> list[Any]:
    """Make a method raise an error if `when` returns True for its arguments.

    Args:
        monkeypatch: fixture that restores the method.
        name: name of the method.
        error: the error.
        when: function of the arguments of the method, including the instance.
        owner: class of the method.

    Returns:
        A list that receives the arguments of every call that raised.
    """
    real = getattr(owner, name)
    raised: list[Any] = []

    def failing(self: Any, *args: Any, **kwargs: Any) -> Any:
        if when(self, *args):
            raised.append(args)
            raise error
        return real(self, *args, **kwargs)

    monkeypatch.setattr(owner, name, failing)
    return raised


def test_smaller_batches_give_the_same_masks(segmenter: Sam2Segmenter, frames: list[SceneFrame], monkeypatch: pytest.MonkeyPatch) -> None:
    """From the fourth frame on, memory suffices for one object only. The session still processes that frame."""
    reference, limited = prompted_session(segmenter, frames), prompted_session(segmenter, frames)
    reference_logits, limited_logits = LogitsProbe(reference.tracker), LogitsProbe(limited.tracker)
    expected = []
    for index in range(8):
        step(reference, frames, index)
        expected.append(reference_logits.stacked())
    raise_in(monkeypatch, "attend", torch.OutOfMemoryError(OUT), lambda _, __, read: len(read.memory) > 1 and is_limited)
    for index in range(8):
        is_limited = index >= 3
        result = step(limited, frames, index)
        assert [track.id for track in result.tracks] == [1, 2, 3]
        np.testing.assert_allclose(limited_logits.stacked(), expected[index], atol=1e-3)
    assert limited.degradation.settings == "1 objects at once, images at 192 px"
    assert segmenter.batch_limit == 0, "sessions that share the network keep their settings"


def test_smaller_images_keep_ids_and_objects(segmenter: Sam2Segmenter, frames: list[SceneFrame], monkeypatch: pytest.MonkeyPatch) -> None:
    """Smaller batches cannot help if the image encoder does not fit into memory."""
    session = prompted_session(segmenter, frames, 2)
    for index in range(3):
        step(session, frames, index)
    raise_in(monkeypatch, "encode", torch.OutOfMemoryError(OUT), lambda self, _: self.image_size > 128)
    for index in range(3, 12):
        result = step(session, frames, index)
    assert session.degradation.settings == "1 objects at once, images at 128 px"
    assert [track.id for track in result.tracks] == [1, 2]
    for track in result.tracks:
        assert iou(track.mask, frames[11].instances == track.id) > 0.6


def test_prompt_that_exceeds_memory_is_applied_on_the_same_frame(
    segmenter: Sam2Segmenter, frames: list[SceneFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    session = prompted_session(segmenter, frames, 3)
    step(session, frames, 0)
    handle = session.prompt(BoxPrompt(body_box(frames[1], 4), "late"))
    raised = raise_in(monkeypatch, "encode_memory", torch.OutOfMemoryError(OUT), lambda _, __, masks, *___: len(masks) > 3)
    assert [track.label for track in step(session, frames, 1).tracks] == ["", "", "", "late"]
    assert len(raised) == 1
    assert handle.done
    assert not handle.error
    assert len(handle.track_ids) == 1


def test_smallest_settings_out_of_memory_raise_and_keep_the_state(
    segmenter: Sam2Segmenter, frames: list[SceneFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The session must report the failure. It must also continue with full settings when memory is available again."""
    session = prompted_session(segmenter, frames, 2)
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
    assert session.degradation.settings == "", "smaller settings did not help, so the session keeps its full settings"
    for track in result.tracks:
        assert iou(track.mask, frames[2].instances == track.id) > 0.6


def test_detector_out_of_memory_uses_smaller_images(
    segmenter: Sam2Segmenter, frames: list[SceneFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    detector = load_detector("toy", device=DEVICE, dtype="float32")
    largest = detector.shortest_edge
    session = Session(segmenter, detector)
    handle = session.prompt(TextPrompt("red circle. blue star.", mode="once"))
    error = torch.OutOfMemoryError(OUT)
    raised = raise_in(monkeypatch, "detect_batch", error, lambda self, *_: self.shortest_edge == largest, GroundingDinoDetector)
    for index in range(3):
        step(session, frames, index)
    assert len(raised) == 1
    assert sorted(handle.labels) == ["blue star", "red circle"]
    assert session.degradation.settings == "the detector uses smaller images"
    assert detector.shortest_edge == largest, "sessions that share the detector keep their settings"


Run = Callable[[int, Callable[[Session], None]], list[FrameResult]]


@pytest.fixture(scope="module")
def run(segmenter: Sam2Segmenter, detector: GroundingDinoDetector, frames: list[SceneFrame]) -> Run:
    """Return a function that tracks through a clip of frames with prompts, with detections, and plain, and fails before one of them."""

    def track(failing: int, fail: Callable[[Session], None]) -> list[FrameResult]:
        session = Session(segmenter, detector, options=SessionOptions(detect_every=3))
        session.prompt(TextPrompt("red circle. blue star."))
        results = []
        for index in range(9):
            if index == 4:
                session.prompt(BoxPrompt(body_box(frames[index], 3), "boxed"))
            if index == failing:
                fail(session)
            results.append(step(session, frames, index))
        return results

    return track


@pytest.fixture(scope="module")
def uninterrupted(run: Run) -> list[FrameResult]:
    """Track through the clip without a failure."""
    return run(-1, lambda _: None)


@pytest.mark.parametrize("function", ["encode", "attend", "decode", "encode_memory"])
@pytest.mark.parametrize("failing", [1, 4, 6])
def test_failed_frame_leaves_the_session_unchanged(
    run: Run, uninterrupted: list[FrameResult], frames: list[SceneFrame], monkeypatch: pytest.MonkeyPatch, function: str, failing: int
) -> None:
    """The repeated frame must give the same result as without the failure. The clip has frames with prompts, with detections, and plain."""

    def fail(session: Session) -> None:
        with monkeypatch.context() as patch:
            raise_in(patch, function, RuntimeError("injected failure"), lambda *_: True)
            with pytest.raises(RuntimeError, match="injected failure"):
                step(session, frames, failing)

    for repeated, reference in zip(run(failing, fail), uninterrupted, strict=True):
        assert [(track.label, track.state, track.box) for track in repeated.tracks] == [
            (track.label, track.state, track.box) for track in reference.tracks
        ]


def session_with_result(
    segmenter: Sam2Segmenter, detector: GroundingDinoDetector, frames: list[SceneFrame]
) -> tuple[Session, PromptHandle]:
    """Return a session with a finished background detection of frame 0. The result waits for frame 1."""
    session = Session(segmenter, detector, background=True)
    handle = session.prompt(TextPrompt("red circle.", "once"))
    step(session, frames, 0)
    assert session.detections.worker is not None
    session.detections.worker.wait(60)
    return session, handle


@pytest.mark.parametrize("function", ["encode", "decode", "encode_memory"])
def test_detection_result_survives_a_failed_frame(
    segmenter: Sam2Segmenter, detector: GroundingDinoDetector, frames: list[SceneFrame], monkeypatch: pytest.MonkeyPatch, function: str
) -> None:
    """The worker delivers each result once. Without the result, the prompt would wait forever."""
    session, handle = session_with_result(segmenter, detector, frames)
    with monkeypatch.context() as patch:
        raise_in(patch, function, RuntimeError("injected failure"), lambda *_: True)
        with pytest.raises(RuntimeError, match="injected failure"):
            step(session, frames, 1)
    assert not handle.done
    result = step(session, frames, 1)
    session.close()
    assert handle.done
    assert [track.label for track in result.tracks] == handle.labels == ["red circle"]
    assert iou(result.tracks[0].mask, frames[1].instances == 1) > 0.8
    assert (session.waiting, session.detections.runs) == (0, 1)


def test_detection_result_that_fails_every_frame_is_dropped_and_requested_again(
    segmenter: Sam2Segmenter, detector: GroundingDinoDetector, frames: list[SceneFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One unexpected detection result must not stop the stream."""
    session, handle = session_with_result(segmenter, detector, frames)
    with monkeypatch.context() as patch:
        raise_in(patch, "_run", ArithmeticError("injected failure"), lambda *_: True, CaughtUp)
        for _ in range(MAX_ATTEMPTS):
            with pytest.raises(ArithmeticError):
                step(session, frames, 1)
        assert step(session, frames, 1).tracks == ()
    assert session.detections.worker is not None
    session.detections.worker.wait(60)
    result = step(session, frames, 2)
    session.close()
    assert handle.done
    assert [track.label for track in result.tracks] == ["red circle"]
    assert session.detections.runs == 2


def test_prompt_that_fails_every_frame_is_refused(
    segmenter: Sam2Segmenter, frames: list[SceneFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One unexpected prompt must not stop the stream."""
    session = prompted_session(segmenter, frames, 1)
    step(session, frames, 0)
    handle = session.prompt(BoxPrompt(body_box(frames[1], 2)))
    raise_in(monkeypatch, "unconditioned", ArithmeticError("injected failure"), lambda *_: True)
    for _ in range(MAX_ATTEMPTS):
        with pytest.raises(ArithmeticError):
            step(session, frames, 1)
    assert "failed 3 times, the last time with ArithmeticError: injected failure" in handle.error
    assert len(step(session, frames, 2).tracks) == 1


def test_degradation_reduces_batches_before_images(segmenter: Sam2Segmenter) -> None:
    """Smaller batches keep the masks equal, so they come first. All steps share the weights."""
    steps, smaller = [], degrade(segmenter, 6)
    while smaller is not None:
        steps.append(describe(smaller))
        assert smaller.model.object_pointer_proj.proj_in.weight.data_ptr() == segmenter.model.object_pointer_proj.proj_in.weight.data_ptr()
        smaller = degrade(smaller, 6)
    sizes = [f"1 objects at once, images at {size} px" for size in (192, 128, 96, 64)]
    assert steps == ["3 objects at once, images at 192 px", *sizes]


def test_shrunk_detector_keeps_at_least_as_many_tokens_as_queries(detector: GroundingDinoDetector) -> None:
    """The published networks select the best 900 tokens of an image, and fail on an image with fewer tokens."""
    published = copy(detector)
    published.shortest_edge, published.longest_edge, published.model = 800, 1333, SimpleNamespace(config=copy(detector.model.config))
    published.model.config.num_queries, published.model.config.num_feature_levels = 900, 4
    edges, smaller = [], published.shrunk()
    while smaller is not None:
        edges.append(smaller.shortest_edge)
        smaller = smaller.shrunk()
    assert edges == [600, 450, 337, 252]
    for edge in edges:
        assert sum((edge // stride) ** 2 for stride in (8, 16, 32, 64)) >= 900


def test_failed_detection_releases_its_tensors(frames: list[SceneFrame]) -> None:
    """The next attempt needs this memory."""
    references: list[weakref.ref[Any]] = []

    def detect(*_: Any) -> None:
        activation = torch.zeros(9)
        references.append(weakref.ref(activation))
        raise torch.OutOfMemoryError(OUT)

    result = run_detection(SimpleNamespace(detect=detect), DetectionRequest(0, frames[0].color, ("red circle",), (0.3,)))  # type: ignore[arg-type]
    assert isinstance(result.error, torch.OutOfMemoryError)
    assert references[0]() is None


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
def test_out_of_memory_errors_are_recognized(error: Exception, out: bool) -> None:
    assert is_out_of_memory(error) is out
