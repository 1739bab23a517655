# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""EdgeTAM and the tracker of SAM 3 through the tracker of SAM 2, on tiny networks with random weights."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from transformers import EdgeTamVideoInferenceSession, Sam3TrackerVideoInferenceSession

from lang2segtrack_ros.models.catalogue import WeightsError
from lang2segtrack_ros.models.loading import at_size
from lang2segtrack_ros.runtime.graphs import check_static
from lang2segtrack_ros.segmentation.edgetam import EdgeTamSegmenter
from lang2segtrack_ros.segmentation.sam2 import Sam2Segmenter
from lang2segtrack_ros.segmentation.sam3_tracker import Sam3TrackerSegmenter
from lang2segtrack_ros.session.degradation import degrade
from lang2segtrack_ros.toyworld.scene import SceneFrame
from lang2segtrack_ros.tracking.policies.registry import POLICY_NAMES
from lang2segtrack_ros.tracking.stream_tracker import StreamTracker
from lang2segtrack_ros.types.frame import Frame
from lang2segtrack_ros.types.prompts import BoxPrompt, PointPrompt
from test.conftest import body_box
from test.logits import LogitsProbe
from test.segmentation.networks import tiny_edgetam, tiny_sam3_tracker

NETWORKS: dict[str, tuple[type[Sam2Segmenter], Any, Any]] = {
    "edgetam": (EdgeTamSegmenter, tiny_edgetam, EdgeTamVideoInferenceSession),
    "sam3-tracker": (Sam3TrackerSegmenter, tiny_sam3_tracker, Sam3TrackerVideoInferenceSession),
}


@pytest.fixture(scope="module", params=NETWORKS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def network(name: str) -> Sam2Segmenter:
    """Return a network whose memories are float32. Rounding to bfloat16 amplifies differences of 1e-6 to more than 1e-4."""
    segmenter, make, _ = NETWORKS[name]
    return segmenter(make(), name, memory_dtype=torch.float32)


def click(frame: SceneFrame, body: int) -> PointPrompt:
    x1, y1, x2, y2 = body_box(frame, body)
    return PointPrompt([((x1 + x2) / 2, (y1 + y2) / 2)])


def test_tracker_equals_the_session_of_transformers(
    network: Sam2Segmenter, name: str, frames: list[SceneFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Objects from a box and from a click must give the same logits, while the ring buffers of memories and pointers wrap."""
    height, width = frames[0].color.shape[:2]
    scale = network.image_size / np.array([width, height])
    session = NETWORKS[name][2](video_height=height, video_width=width, dtype=torch.float32)
    box, point = BoxPrompt(body_box(frames[0], 1)), click(frames[0], 2)
    inputs = {1: (np.array(box.box).reshape(2, 2) * scale, [2, 3]), 2: ((np.array(point.points) + 0.5) * scale - 0.5, [1])}
    for track_id, (points, labels) in inputs.items():
        prompt = {"point_coords": torch.from_numpy(points).float()[None, None], "point_labels": torch.tensor([[labels]], dtype=torch.int32)}
        session.add_point_inputs(session.obj_id_to_idx(track_id), 0, prompt)
        session.obj_with_new_inputs.append(track_id)
    tracker = StreamTracker(network, policy="sam2")
    assert [tracker.add(box), tracker.add(point)] == [1, 2]
    logits = LogitsProbe(tracker)
    for index, frame in enumerate(frames[:20]):
        with torch.inference_mode(), monkeypatch.context() as patch:
            patch.setattr(torch, "bfloat16", torch.float32)  # the session of SAM 3 would store memories in bfloat16
            expected = network.model(inference_session=session, frame=network.preprocess(frame.color)[0]).pred_masks[:, 0]
        tracker.step(frame.color)
        worst = np.abs(logits.stacked() - expected.numpy()).max()
        assert worst < 1e-4, f"frame {index} differs by {worst}"
        assert expected.std() > 0.1, "the masks are constant, so the comparison shows nothing"


def test_mask_prompt_gives_the_pointer_of_transformers(network: Sam2Segmenter, frames: list[SceneFrame]) -> None:
    """The mask reaches the decoder at the size of the mask logits, which is no whole part of the image of SAM 3.

    The session of transformers takes the pointer of the best of several masks, SAM 2 as published that of a single mask.
    """
    mask = torch.zeros(1, 1, network.image_size, network.image_size)
    mask[..., 20:70, 30:90] = 1.0
    with torch.inference_mode():
        features = network.encode(network.preprocess(frames[0].color))
        maps = network.raw_maps(features, 1)
        expected = network.model._use_mask_as_output(maps, list(features.high), mask).object_pointer[:, 0]
        decoded = network.decode(maps, features, mask_logits=network.mask_prompt_logits(mask))
        pointer = network.point(decoded.tokens[[0], decoded.ious.argmax(-1)], decoded.object_score > 0)
    torch.testing.assert_close(pointer, expected, atol=1e-5, rtol=1e-5)


def test_objects_do_not_influence_each_other(name: str, frames: list[SceneFrame]) -> None:
    """An object gives the same logits alone and among objects that come and go. In float64, rounding cannot hide an influence."""
    segmenter, make, _ = NETWORKS[name]
    exact = segmenter(make().double(), name, torch.float64, torch.float64)
    together, alone = StreamTracker(exact), StreamTracker(exact)
    for tracker in (together, alone):
        tracker.add(BoxPrompt(body_box(frames[0], 1)))
    removed = together.add(click(frames[0], 2))
    many, one = LogitsProbe(together), LogitsProbe(alone)
    for index, frame in enumerate(frames[:9]):
        if index == 3:
            together.add(BoxPrompt(body_box(frame, 3)))
        if index == 6:
            together.remove(removed)
        together.step(frame.color)
        alone.step(frame.color)
        assert np.abs(many[1] - one[1]).max() < 1e-4, f"frame {index}"


@pytest.mark.parametrize("policy", POLICY_NAMES)
def test_every_policy_tracks(network: Sam2Segmenter, frames: list[SceneFrame], policy: str) -> None:
    """Policies read masks, boxes and memories, whose sizes differ from those of SAM 2."""
    tracker = StreamTracker(network, policy)
    tracker.add(BoxPrompt(body_box(frames[0], 1)))
    tracker.add(click(frames[0], 2))
    for frame in frames[:9]:
        tracks = tracker.step(Frame(frame.color, depth=frame.depth_m))
    assert [track.id for track in tracks] == [1, 2]
    assert tracker.bank.features.shape[2:] == (network.memory_tokens, 64)
    assert tracker.bank.features.isfinite().all()


def test_static_frames_equal_usual_frames_to_the_last_bit(network: Sam2Segmenter, frames: list[SceneFrame]) -> None:
    usual, static = StreamTracker(network), StreamTracker(network)
    prepared = static.prepare(2)
    assert prepared.failure == ""
    results = []
    for tracker in (usual, static):
        tracker.add(BoxPrompt(body_box(frames[0], 1)))
        tracker.add(click(frames[0], 2))
        logits = LogitsProbe(tracker)
        for frame in frames[:6]:
            tracker.step(frame.color)
        results.append(logits.stacked())
    assert (results[0] == results[1]).all()
    assert prepared.frames["static"] == 5


def test_no_function_of_a_frame_depends_on_values(network: Sam2Segmenter, frames: list[SceneFrame]) -> None:
    """A CUDA graph replays the operations of one capture, so they must be the same on every image."""
    pixels = [network.preprocess(frames[index].color) for index in (0, 9)]
    with torch.inference_mode():
        check_static(network.encode, *((item,) for item in pixels))
        cases = [
            (network.encode(item), torch.randn(2, network.mask_size, network.mask_size), torch.randn(2), torch.tensor([True, False]))
            for item in pixels
        ]
        check_static(network.encode_memory, *cases)
        banks = []
        for start in (0, 9):
            tracker = StreamTracker(network)
            tracker.add(BoxPrompt(body_box(frames[start], 1)))
            for frame in frames[start : start + 3]:
                tracker.step(frame.color)
            banks.append(tracker.bank)
        reads = [(case[0], bank, torch.tensor([number]), 1) for case, bank, number in zip(cases, banks, (3, 5))]
        check_static(tracker.predictor.read_memory, *reads)


def test_fused_attention_agrees(name: str, network: Sam2Segmenter, frames: list[SceneFrame]) -> None:
    """A GPU runs merged projections and chunks of keys. The memories of EdgeTAM have other rotations than the image."""
    segmenter, make, _ = NETWORKS[name]
    fused = segmenter(make(), name, memory_dtype=torch.float32)
    fused.memory_attention.fuse()
    tracker = StreamTracker(network)
    tracker.add(BoxPrompt(body_box(frames[0], 1)))
    for frame in frames[:3]:
        tracker.step(frame.color)
    with torch.inference_mode():
        features = network.encode(network.preprocess(frames[3].color))
        expected = tracker.predictor.read_memory(features, tracker.bank, 3, 1).maps
        for chunks in (True, False):
            fused.memory_attention.is_chunked = chunks
            found = replace(tracker.predictor, segmenter=fused).read_memory(features, tracker.bank, 3, 1).maps
            torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def test_bfloat16_agrees(name: str, network: Sam2Segmenter, frames: list[SceneFrame]) -> None:
    """The layers of every part are cast, those of the perceiver included."""
    segmenter, make, _ = NETWORKS[name]
    half = segmenter(make(), name, torch.bfloat16)
    results = []
    for variant in (network, half):
        tracker = StreamTracker(variant)
        tracker.add(BoxPrompt(body_box(frames[0], 1)))
        logits = LogitsProbe(tracker)
        for frame in frames[:3]:
            tracker.step(frame.color)
        results.append(logits[1])
    assert np.abs(results[0] - results[1]).max() < 0.3
    cast = ("vision_encoder.backbone.stages", "spatial_perceiver.layers", "memory_attention")
    kept = [part for part, value in half.model.named_parameters() if value.dim() > 1 and value.dtype == torch.float32]
    assert not [part for part in kept if part.startswith(cast)]


def test_memories_follow_to_a_smaller_image(network: Sam2Segmenter, name: str, frames: list[SceneFrame]) -> None:
    """Out of memory, the session continues at the next smaller size. The memories of EdgeTAM have the same number of tokens there."""
    larger = at_size(network, 2 * network.image_size)
    tracker = StreamTracker(larger)
    tracker.add(BoxPrompt(body_box(frames[0], 1)))
    tracker.step(frames[0].color)
    before = tracker.bank.features
    smaller = degrade(larger, 1)
    assert smaller is not None
    assert network.image_size <= smaller.image_size < larger.image_size
    moved = tracker.with_segmenter(smaller)
    assert moved.bank.features.shape[2] == smaller.memory_tokens
    assert torch.equal(moved.bank.features, before) == (name == "edgetam")


def test_impossible_image_sizes_are_refused(network: Sam2Segmenter, name: str) -> None:
    step = {"edgetam": 64, "sam3-tracker": 56}[name]
    with pytest.raises(WeightsError, match=f"image_size 100 does not fit this network: use a multiple of {step}, at least 64"):
        at_size(network, 100)
