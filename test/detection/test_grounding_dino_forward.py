# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The own forward pass of Grounding DINO equals that of transformers, and may become a CUDA graph."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from transformers import GroundingDinoForObjectDetection
from transformers.models.grounding_dino import modeling_grounding_dino

from lang2segtrack_ros.detection.grounding_dino import GroundingDinoDetector
from lang2segtrack_ros.detection.grounding_dino_forward import GroundingDinoForward, phrase_blocks
from lang2segtrack_ros.runtime.graphs import check_static
from lang2segtrack_ros.toyworld.scene import SceneFrame

DELIMITERS = set(modeling_grounding_dino.SPECIAL_TOKENS)
CAPTIONS = [("red circle", "blue star"), ("a", "green triangle", "yellow square", "pink heart")]


def random_model(detector: GroundingDinoDetector) -> GroundingDinoForObjectDetection:
    """Return the toy detector's network with random weights and sharp attention, which shows errors."""
    config = deepcopy(detector.model.config)
    torch.manual_seed(3)
    model = GroundingDinoForObjectDetection(config).eval().requires_grad_(False).to(detector.device)
    for name, parameter in model.named_parameters():
        if parameter.dim() > 1 and "backbone" not in name:
            parameter.mul_(2.0)
        if name.endswith(("vision_param", "text_param")):
            parameter.fill_(0.5)
    return model


@pytest.mark.parametrize("is_random", [False, True], ids=["trained", "random"])
@pytest.mark.parametrize("phrases", CAPTIONS, ids=["two phrases", "four phrases"])
@torch.inference_mode()
def test_logits_and_boxes_equal_those_of_transformers(
    detector: GroundingDinoDetector, frames: list[SceneFrame], is_random: bool, phrases: tuple[str, ...]
) -> None:
    """In a batch of two images of another aspect ratio than a square."""
    model = random_model(detector) if is_random else detector.model
    ids, _, _ = detector._caption(phrases)
    pixels = torch.cat([detector.preprocess(frames[number].color) for number in (0, 20)])
    tokens = torch.tensor([ids], device=detector.device).expand(2, -1)
    expected = model(pixel_values=pixels, input_ids=tokens, token_type_ids=torch.zeros_like(tokens), attention_mask=torch.ones_like(tokens))
    forward = GroundingDinoForward(model, DELIMITERS)
    logits, boxes = forward.detect(pixels, forward.encode_text(ids))
    scale = expected.logits[..., : len(ids)].abs().max()
    assert (logits - expected.logits[..., : len(ids)]).abs().max() < 1e-5 * scale
    assert (boxes - expected.pred_boxes).abs().max() < 1e-5


def test_phrases_are_separated_as_in_transformers() -> None:
    """A wrong mask lets words of one phrase read those of another."""
    for ids in ([101, 7, 8, 1012, 9, 1012, 102], [101, 102], [101, 7, 102], [101, 1012, 1012, 7, 1029, 102]):
        attends, positions = modeling_grounding_dino.generate_masks_with_special_tokens_and_transfer_map(
            torch.tensor([ids]), torch.tensor(sorted(DELIMITERS))
        )
        blocks, found = phrase_blocks(ids, DELIMITERS)
        block = torch.tensor(blocks)
        same = ((block[:, None] == block) & (block >= 0)) | torch.eye(len(ids), dtype=torch.bool)
        last = [index for index, token in enumerate(ids[:-1]) if token in DELIMITERS][-1]
        complete = slice(0, last + 1)  # the detector ends each phrase with a delimiter, so tokens behind the last one do not occur
        assert torch.equal(same[complete, complete], attends[0][complete, complete]), ids
        assert found[: last + 1] == positions[0][: last + 1].tolist(), ids


@torch.inference_mode()
def test_image_part_depends_on_no_value(detector: GroundingDinoDetector, frames: list[SceneFrame]) -> None:
    """The pass of transformers compares tensors in each layer, and the host waits for the device each time."""
    forward = GroundingDinoForward(detector.model, DELIMITERS)
    texts = [forward.encode_text(detector._caption(phrases)[0]) for phrases in (("red circle",), ("blue star",))]
    images = [detector.preprocess(frames[number].color) for number in (0, 20)]
    forward.detect(images[0], texts[0])  # the constants of this size
    check_static(forward.detect, *zip(images, texts))


def test_text_is_encoded_once(detector: GroundingDinoDetector, frames: list[SceneFrame]) -> None:
    """A continuous text repeats its caption for hours."""
    detector._text.cache_clear()
    for number in (0, 5, 10):
        detector.detect(frames[number].color, ["red circle", "blue star"], [0.35, 0.35])
    assert detector._text.cache_info().misses == 1


def test_other_structures_are_refused(detector: GroundingDinoDetector) -> None:
    model = random_model(detector)
    model.config.two_stage = False
    with pytest.raises(ValueError, match="two_stage is false"):
        GroundingDinoForward(model, DELIMITERS)
