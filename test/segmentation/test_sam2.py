# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The network's functions against transformers' own modules, where they take another way, and for training."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from transformers import Sam2VideoModel

from lang2segtrack_ros.models.loading import load_segmenter
from lang2segtrack_ros.segmentation.sam2 import ImageFeatures, Memories, Sam2Segmenter
from lang2segtrack_ros.toyworld.scene import SceneFrame
from lang2segtrack_ros.tracking.stream_tracker import StreamTracker
from lang2segtrack_ros.types.prompts import BoxPrompt
from test.conftest import body_box


@pytest.fixture(scope="module")
def features(segmenter: Sam2Segmenter, frames: list[SceneFrame]) -> ImageFeatures:
    with torch.inference_mode():
        return segmenter.encode(segmenter.preprocess(frames[0].color))


def some_memories(segmenter: Sam2Segmenter, memory: torch.Tensor) -> Memories:
    """Two memories, both `memory` [N, HW, 64], and no pointer."""
    count = memory.shape[0]
    none = torch.zeros(count, segmenter.pointer_tokens, segmenter.memory_dim)
    rows = segmenter.temporal_rows[torch.tensor([0, 6])].expand(count, -1, -1)
    valid = torch.ones(count, 2, dtype=torch.bool)
    return Memories(torch.stack((memory, memory), dim=1), rows, valid, none, none, torch.zeros(none.shape[:2], dtype=torch.bool))


def test_encode_equals_the_whole_feature_pyramid(segmenter: Sam2Segmenter, features: ImageFeatures, frames: list[SceneFrame]) -> None:
    """Two convolutions are done as one, and the position code is made once."""
    with torch.inference_mode():
        expected = segmenter.model.get_image_features(segmenter.preprocess(frames[0].color), return_dict=True)
    for level, found in zip(expected.fpn_hidden_states, (*features.high, features.top)):
        tokens = found.flatten(2)[0].T if found.dim() == 4 else found
        torch.testing.assert_close(tokens, level[:, 0], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(features.position, expected.fpn_position_encoding[-1][:, 0])


def test_decode_without_a_prompt_equals_a_point_that_says_nothing(segmenter: Sam2Segmenter, features: ImageFeatures) -> None:
    with torch.inference_mode():
        maps = segmenter.unconditioned(features, 3)
        nothing = torch.zeros(3, 1, 2), torch.full((3, 1), -1, dtype=torch.int32)
        expected, found = segmenter.decode(maps, features, *nothing), segmenter.decode(maps, features)
    torch.testing.assert_close(found.masks, expected.masks)
    torch.testing.assert_close(found.tokens, expected.tokens)


def test_memorise_equals_the_memory_encoder(segmenter: Sam2Segmenter, features: ImageFeatures) -> None:
    """The image's part is done once for all objects; the memory is rounded to bfloat16."""
    masks = torch.randn(3, segmenter.mask_size, segmenter.mask_size) * 5
    with torch.inference_mode():
        found = segmenter.encode_memory(features, masks, torch.ones(3), torch.zeros(3, dtype=torch.bool))
        size = (segmenter.image_size, segmenter.image_size)
        soft = torch.nn.functional.interpolate(masks[:, None], size=size, mode="bilinear", align_corners=False).sigmoid() * 20.0 - 10.0
        expected = segmenter.model.memory_encoder(segmenter.bare(features, 3), soft)[0].flatten(2).transpose(1, 2)
    torch.testing.assert_close(found.float(), expected, atol=1e-2, rtol=1e-2)


def test_gradients_reach_the_whole_network(frames: list[SceneFrame]) -> None:
    """Training goes through the same functions: every parameter that a tracked frame uses gets a gradient."""
    trained = load_segmenter("toy", device="cpu")
    trained.model.requires_grad_(True)
    features = trained.encode(trained.preprocess(frames[0].color))
    masks = torch.randn(2, trained.mask_size, trained.mask_size)
    memory = trained.encode_memory(features, masks, torch.ones(2), torch.zeros(2, dtype=torch.bool)).float()
    decoded = trained.decode(trained.attend(features, some_memories(trained, memory)), features)
    pointers = trained.point(decoded.tokens[:, 0], torch.ones(2, dtype=torch.bool))
    (decoded.masks.square().mean() + decoded.ious.sum() + decoded.object_score.sum() + pointers.square().mean()).backward()
    unused = ("prompt_encoder", "no_memory", "no_object", "occlusion", "mask_downsample", "temporal", "memory_temporal", "shared_image")
    missed = [name for name, parameter in trained.model.named_parameters() if parameter.grad is None and not name.startswith(unused)]
    assert missed == []


def test_rotation_is_the_same_in_real_and_complex_numbers(segmenter: Sam2Segmenter, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compiled functions take the real way, the others the complex one, which is several times as fast on a CPU."""
    x = torch.randn(2, 1, 3, segmenter.feature_size**2, segmenter.hidden_dim)
    found = segmenter._rotate(x)
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    torch.testing.assert_close(segmenter._rotate(x), found)


def test_the_settings_of_sam_2_before_2_1(segmenter: Sam2Segmenter, frames: list[SceneFrame]) -> None:
    """Its pointers have no time code, and hidden objects no embedding of their own; the published sam2-hiera-* load like the others."""
    config = deepcopy(segmenter.model.config)
    config.enable_temporal_pos_encoding_for_object_pointers = config.enable_occlusion_spatial_embedding = False
    older = Sam2Segmenter(Sam2VideoModel(config).requires_grad_(False))
    assert not older.pointer_position(torch.arange(4)[None]).any()
    tracker = StreamTracker(older)
    tracker.add(BoxPrompt(body_box(frames[0], 1)))
    for frame in frames[:4]:
        assert len(tracker.step(frame.color)) == 1
