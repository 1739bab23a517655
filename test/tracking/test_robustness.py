# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Robustness against NaN, static shapes for compilation, and steps without synchronization with the device."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from lang2segtrack_ros.models.loading import load_segmenter
from lang2segtrack_ros.segmentation.sam2 import ImageFeatures, Sam2Segmenter
from lang2segtrack_ros.toyworld.scene import SceneFrame
from lang2segtrack_ros.tracking.open_frame import TrackerError
from lang2segtrack_ros.tracking.stream_tracker import StreamTracker
from lang2segtrack_ros.types.frame import Frame
from lang2segtrack_ros.types.prompts import BoxPrompt, MaskPrompt, PointPrompt
from test.conftest import DEVICE, body_box, iou
from test.logits import LogitsProbe


def follow(tracker: StreamTracker, frames: list[SceneFrame], bodies: tuple[int, ...], count: int) -> list[np.ndarray]:
    for body in bodies:
        tracker.add(BoxPrompt(body_box(frames[0], body)))
    return record(tracker, frames[:count])


def record(tracker: StreamTracker, frames: list[SceneFrame]) -> list[np.ndarray]:
    logits, rows = LogitsProbe(tracker), []
    for frame in frames:
        tracker.step(frame.color)
        rows.append(logits.stacked())
    return rows


def with_nan(features: ImageFeatures) -> ImageFeatures:
    return ImageFeatures(features.high, features.top * float("nan"), features.position)


@pytest.mark.parametrize("policy", ["sam2", "samurai", "distractor"])
def test_nan_features_hide_objects_for_one_frame_and_write_no_memory(
    segmenter: Sam2Segmenter, frames: list[SceneFrame], policy: str
) -> None:
    """NaN in a memory would persist, and every later frame would be NaN too."""
    tracker = StreamTracker(segmenter, policy)
    follow(tracker, frames, (1, 2), 6)
    height, width = frames[6].color.shape[:2]
    opened = tracker.begin(with_nan(tracker.encode(Frame(frames[6].color))), height, width)
    assert [track.box for track in tracker.commit(opened)] == [None, None]
    for index in range(7, 12):
        tracks = tracker.step(frames[index].color)
        assert iou(tracks[0].mask, frames[index].instances == 1) > 0.7
        assert iou(tracks[1].mask, frames[index].instances == 2) > 0.7
    for tensor in (tracker.bank.features, tracker.bank.pointers, tracker.bank.filter_mean):
        assert torch.isfinite(tensor).all()


def test_prompt_on_nan_features_is_refused(segmenter: Sam2Segmenter, frames: list[SceneFrame]) -> None:
    tracker = StreamTracker(segmenter)
    opened = tracker.begin(with_nan(tracker.encode(Frame(frames[0].color))), 240, 320)
    with pytest.raises(TrackerError, match="NaN or infinity"):
        opened.predict(BoxPrompt(body_box(frames[0], 1)))


def test_objects_beyond_the_maximum_are_refused(segmenter: Sam2Segmenter) -> None:
    tracker = StreamTracker(segmenter)
    for index in range(32):
        tracker.add(BoxPrompt((index, 0, index + 20, 20)))
    for _ in range(8):
        with pytest.raises(TrackerError, match="32 objects are tracked already"):
            tracker.add(BoxPrompt((0, 0, 20, 20)))
    assert len(tracker.step(np.zeros((240, 320, 3), np.uint8))) == 32


class SynchronizationRecorder(TorchDispatchMode):
    """Recorder of the operations that make the host wait for a GPU.

    These operations read a value, or their output has a size that depends on values.
    """

    NAMES = ("_local_scalar_dense", "nonzero", "masked_select", "unique", "equal", "is_nonzero", "item")

    def __init__(self) -> None:
        super().__init__()
        self.operations: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        boolean_index = name == "index" and any(item is not None and item.dtype == torch.bool for item in args[1])
        if name in self.NAMES or boolean_index:
            self.operations.append(name)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("policy", ["sam2", "samurai", "distractor"])
def test_step_never_waits_for_the_device(segmenter: Sam2Segmenter, frames: list[SceneFrame], policy: str) -> None:
    """The only exception is the one copy at the end of a step, which uses `cpu()`."""
    tracker = StreamTracker(segmenter, policy)
    follow(tracker, frames, (1, 2, 3), 3)
    with SynchronizationRecorder() as recorder, torch.inference_mode():
        tracker.step(frames[3].color)
    assert recorder.operations == []
    with SynchronizationRecorder() as recorder:
        torch.zeros(3)[torch.zeros(3) == 0].sum().item()
    assert len(recorder.operations) >= 2, "the recorder must detect known synchronizations"


@pytest.fixture(scope="module")
def compiled() -> Sam2Segmenter:
    """Return a compiled network. Its functions keep the shapes of earlier tests."""
    network = load_segmenter("toy", device=DEVICE, dtype="float32", acceleration="off")
    network.compile(backend="eager")
    return network


def test_compiled_functions_have_no_graph_break_and_the_same_result(
    segmenter: Sam2Segmenter, compiled: Sam2Segmenter, frames: list[SceneFrame]
) -> None:
    """fullgraph=True raises at a graph break. Three objects are padded to four. Later one object is removed, and two need no padding."""
    results = []
    for network in (segmenter, compiled):
        tracker = StreamTracker(network)
        logits = follow(tracker, frames, (1, 2, 3), 5)
        tracker.remove(3)
        logits += record(tracker, frames[5:8])
        results.append(logits)
    for plain, other in zip(*results):
        assert np.abs(plain - other).max() < 5e-2
    assert [len(compiled.batch_rows(count)) for count in (1, 2, 3, 4, 5, 9, 17, 32)] == [1, 2, 4, 4, 8, 16, 32, 32]


def test_compiled_functions_support_every_number_of_objects_and_kind_of_prompt(compiled: Sam2Segmenter, frames: list[SceneFrame]) -> None:
    """By default PyTorch compiles a function for eight shapes, and raises an error on every frame from the ninth shape on."""
    tracker = StreamTracker(compiled)
    x1, y1, x2, y2 = body_box(frames[0], 1)
    middle = ((x1 + x2) / 2, (y1 + y2) / 2)
    for index, count in enumerate((1, 1, 2, 5, 7)):  # 1, 2, 4, 16 and 16 objects
        for _ in range(count):
            tracker.add(BoxPrompt((x1, y1, x2, y2)))
        tracker.step(frames[index].color)
    tracker.add(MaskPrompt(frames[5].instances == 1))
    for points in range(1, 5):
        tracker.add(PointPrompt([middle] * points, [1] * points, track_id=points))
    assert len(tracker.step(frames[5].color)) == 17
    for points in range(1, 4):
        tracker.add(PointPrompt([middle] * points, [1] * points))
    assert len(tracker.step(frames[6].color)) == 20
