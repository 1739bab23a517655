# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The functions of the segmenter against the modules of transformers where they differ in computation, and their gradients."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from transformers import Sam2VideoModel

from lang2segtrack_ros.models.loading import load_segmenter
from lang2segtrack_ros.segmentation.memory_attention import Memories
from lang2segtrack_ros.segmentation.sam2 import ImageFeatures, Sam2Segmenter
from lang2segtrack_ros.toyworld.scene import SceneFrame
from lang2segtrack_ros.tracking.stream_tracker import StreamTracker
from lang2segtrack_ros.types.prompts import BoxPrompt
from test.conftest import body_box


@pytest.fixture(scope="module")
def features(segmenter: Sam2Segmenter, frames: list[SceneFrame]) -> ImageFeatures:
    with torch.inference_mode():
        return segmenter.encode(segmenter.preprocess(frames[0].color))


def some_memories(segmenter: Sam2Segmenter, memory: torch.Tensor) -> Memories:
    """Return two memories, both `memory` [N, HW, 64], without pointers."""
    count = memory.shape[0]
    device = segmenter.device
    none = torch.zeros(count, segmenter.pointer_tokens, segmenter.memory_dim, device=device)
    rows = segmenter.temporal_rows[[0, 6]].expand(count, -1, -1)
    valid = torch.ones(count, 2, dtype=torch.bool, device=device)
    return Memories(
        torch.stack((memory, memory), dim=1), rows, valid, none, none, torch.zeros(none.shape[:2], dtype=torch.bool, device=device)
    )


def test_encode_equals_full_feature_pyramid(segmenter: Sam2Segmenter, features: ImageFeatures, frames: list[SceneFrame]) -> None:
    """The segmenter merges two convolutions, and computes the position encoding only once."""
    with torch.inference_mode():
        expected = segmenter.model.get_image_features(segmenter.preprocess(frames[0].color), return_dict=True)
    for level, found in zip(expected.fpn_hidden_states, (*features.high, features.top)):
        tokens = found.flatten(2)[0].T if found.dim() == 4 else found
        torch.testing.assert_close(tokens, level[:, 0], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(features.position, expected.fpn_position_encoding[-1][:, 0])


def test_decode_without_prompt_equals_padding_point(segmenter: Sam2Segmenter, features: ImageFeatures) -> None:
    with torch.inference_mode():
        maps = segmenter.unconditioned(features, 3)
        padding = torch.zeros(3, 1, 2, device=segmenter.device), torch.full((3, 1), -1, dtype=torch.int32, device=segmenter.device)
        expected, found = segmenter.decode(maps, features, *padding), segmenter.decode(maps, features)
    torch.testing.assert_close(found.masks, expected.masks)
    torch.testing.assert_close(found.tokens, expected.tokens)


def test_encode_memory_equals_memory_encoder(segmenter: Sam2Segmenter, features: ImageFeatures) -> None:
    """All objects share the projected image features, and the memory is rounded to bfloat16."""
    masks = torch.randn(3, segmenter.mask_size, segmenter.mask_size, device=segmenter.device) * 5
    with torch.inference_mode():
        found = segmenter.encode_memory(features, masks, masks.new_ones(3), masks.new_zeros(3, dtype=torch.bool))
        size = (segmenter.image_size, segmenter.image_size)
        soft = torch.nn.functional.interpolate(masks[:, None], size=size, mode="bilinear", align_corners=False).sigmoid() * 20.0 - 10.0
        expected = segmenter.model.memory_encoder(segmenter.raw_maps(features, 3), soft)[0].flatten(2).transpose(1, 2)
    torch.testing.assert_close(found.float(), expected, atol=1e-2, rtol=1e-2)


def test_gradients_reach_the_whole_network(frames: list[SceneFrame]) -> None:
    """Training uses the same functions, so every parameter of a tracked frame needs a gradient."""
    trained = load_segmenter("toy", device="cpu")
    trained.model.requires_grad_(True)
    features = trained.encode(trained.preprocess(frames[0].color))
    masks = torch.randn(2, trained.mask_size, trained.mask_size)
    memory = trained.encode_memory(features, masks, torch.ones(2), torch.zeros(2, dtype=torch.bool)).float()
    decoded = trained.decode(trained.attend(features, some_memories(trained, memory)), features)
    pointers = trained.point(decoded.tokens[:, 0], torch.ones(2, dtype=torch.bool))
    (decoded.masks.square().mean() + decoded.ious.sum() + decoded.object_score.sum() + pointers.square().mean()).backward()
    unused = ("prompt_encoder", "no_memory", "no_object", "occlusion", "mask_downsample", "temporal", "memory_temporal", "shared_image")
    without_gradient = [
        name for name, parameter in trained.model.named_parameters() if parameter.grad is None and not name.startswith(unused)
    ]
    assert without_gradient == []


def test_rotation_is_equal_in_real_and_complex_arithmetic(segmenter: Sam2Segmenter, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compiled functions use real arithmetic. The others use complex arithmetic, which is several times as fast on a CPU."""
    x = torch.randn(2, 1, 3, segmenter.feature_size**2, segmenter.hidden_dim, device=segmenter.device)
    found = segmenter._rotate(x)
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    torch.testing.assert_close(segmenter._rotate(x), found)


def test_settings_of_sam_2_0_are_supported(segmenter: Sam2Segmenter, frames: list[SceneFrame]) -> None:
    """The published sam2-hiera-* models have no temporal encoding of pointers, and no embedding of occluded objects."""
    config = deepcopy(segmenter.model.config)
    config.enable_temporal_pos_encoding_for_object_pointers = config.enable_occlusion_spatial_embedding = False
    older = Sam2Segmenter(Sam2VideoModel(config).requires_grad_(False))
    assert not older.pointer_position(torch.arange(4)[None]).any()
    tracker = StreamTracker(older)
    tracker.add(BoxPrompt(body_box(frames[0], 1)))
    for frame in frames[:4]:
        assert len(tracker.step(frame.color)) == 1
