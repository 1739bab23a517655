# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""MM-Grounding-DINO and LLMDet, which share one network, give the results of transformers and track through a session."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer
from transformers.models.grounding_dino.image_processing_pil_grounding_dino import GroundingDinoImageProcessorPil
from transformers.models.grounding_dino.processing_grounding_dino import GroundingDinoProcessor
from transformers.models.mm_grounding_dino.modeling_mm_grounding_dino import MMGroundingDinoObjectDetectionOutput

from lang2segtrack_ros.detection.grounding_dino import GroundingDinoDetector, _decode
from lang2segtrack_ros.models.catalogue import WeightsError
from lang2segtrack_ros.models.loading import load_detector
from lang2segtrack_ros.runtime.graphs import check_static
from lang2segtrack_ros.segmentation.sam2 import Sam2Segmenter
from lang2segtrack_ros.toyworld.scene import SceneFrame
from test.detection.networks import follow, save_mm_grounding_dino

PHRASES = ("circle", "star", "square")
SIZE = (240, 320)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_mm_grounding_dino(tmp_path_factory.mktemp("mm_grounding_dino"))


@pytest.fixture(scope="module")
def loaded(folder: Path) -> GroundingDinoDetector:
    detector = load_detector(folder, device="cpu")
    assert isinstance(detector, GroundingDinoDetector)
    return detector


@torch.inference_mode()
def run_transformers(detector: GroundingDinoDetector, pixels: torch.Tensor) -> MMGroundingDinoObjectDetectionOutput:
    """Run the whole network of transformers on images."""
    tokens = torch.tensor([detector._caption(PHRASES)[0]]).expand(len(pixels), -1)
    return detector.model(pixel_values=pixels, input_ids=tokens)


@torch.inference_mode()
def test_logits_and_boxes_equal_those_of_transformers(loaded: GroundingDinoDetector, frames: list[SceneFrame]) -> None:
    """The head divides by the root of the channels and adds a bias, unlike that of Grounding DINO."""
    pixels = torch.cat([loaded.preprocess(frames[number].color) for number in (0, 20)])
    expected = run_transformers(loaded, pixels)
    ids = loaded._caption(PHRASES)[0]
    logits, boxes = loaded._forward.detect(pixels, loaded._text(ids))
    assert (logits - expected.logits[..., : len(ids)]).abs().max() < 1e-5
    assert (boxes - expected.pred_boxes).abs().max() < 1e-5
    assert logits.std() > 0.1
    assert boxes.std(dim=1).min() > 0.01


def test_image_part_depends_on_no_value(loaded: GroundingDinoDetector, frames: list[SceneFrame]) -> None:
    images = [loaded.preprocess(frames[number].color) for number in (0, 20)]
    texts = [loaded._text(loaded._caption((phrase,))[0]) for phrase in PHRASES[:2]]
    with torch.inference_mode():
        loaded._forward.detect(images[0], texts[0])  # the constants of this size
        check_static(loaded._forward.detect, *zip(images, texts))


@torch.inference_mode()
def test_scores_and_boxes_equal_those_of_the_processor(loaded: GroundingDinoDetector, frames: list[SceneFrame]) -> None:
    """The processor scores a box by its best token. For phrases of one token, this is the score of the phrase.

    The processor also reads the tokens between the phrases, so their logits are removed from the outputs for both.
    """
    outputs = run_transformers(loaded, loaded.preprocess(frames[0].color))
    _, spans, _ = loaded._caption(PHRASES)
    words = [start for start, end in spans]
    assert [end - start for start, end in spans] == [1, 1, 1]
    others = [index for index in range(outputs.logits.shape[-1]) if index not in words]
    outputs.logits[..., others] = -torch.inf
    threshold = float(outputs.logits.sigmoid().amax(-1).median())
    processor = GroundingDinoProcessor(GroundingDinoImageProcessorPil(), loaded.tokenizer)
    (expected,) = processor.post_process_grounded_object_detection(
        outputs, threshold=threshold, text_threshold=threshold, target_sizes=[SIZE]
    )
    probabilities, boxes = outputs.logits[0].sigmoid().numpy(), outputs.pred_boxes[0].numpy()
    found = _decode(probabilities, boxes, SIZE, spans, PHRASES, [threshold + 1e-6] * 3)
    limits = np.array([SIZE[1], SIZE[0]] * 2)
    inside = np.clip(expected["boxes"].numpy(), 0, limits)
    kept = [row for row, box in enumerate(inside) if (box[2:] - box[:2]).min() >= 1]
    assert len(kept) > 3
    assert np.allclose([item.score for item in found], expected["scores"][kept], atol=1e-6)
    assert np.allclose([item.box for item in found], inside[kept], atol=1e-3)
    assert all(item.label in expected["text_labels"][row] for item, row in zip(found, kept))
    assert len({item.label for item in found}) > 1


def test_session_follows_two_phrases(folder: Path, loaded: GroundingDinoDetector, segmenter: Sam2Segmenter) -> None:
    """The random network finds something for each phrase. Each frame must give tracks with these labels only."""
    follow(segmenter, loaded, ["circle", "star"], threshold=0.2)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("model_type", r'holds a "mm-grounding" model; a detector must be one of: .*mm-grounding-dino'),
        ("no tokenizer", "has no tokenizer: copy tokenizer.json"),
        ("tokenizer", "the tokenizer in .* cannot be loaded"),
        ("vocabulary", "has 1033 tokens, but the network knows 1032"),
        ("weights", "the weights in .* cannot be loaded"),
        ("structure", "the weights in .* do not fit the network"),
        ("two_stage", "two_stage"),
    ],
)
def test_wrong_files_are_refused(folder: Path, tmp_path: Path, fault: str, message: str) -> None:
    """Each wrong file gives a sentence that names it."""
    broken = Path(shutil.copytree(folder, tmp_path / "net"))
    config = json.loads((broken / "config.json").read_text())
    changes = {"model_type": {"model_type": "mm-grounding"}, "structure": {"encoder_ffn_dim": 96}, "two_stage": {"two_stage": False}}
    if fault == "tokenizer":
        (broken / "tokenizer.json").write_text("{}")
    if fault == "vocabulary":
        tokenizer = AutoTokenizer.from_pretrained(broken)
        tokenizer.add_tokens(["teapot"])
        tokenizer.save_pretrained(broken)
    if fault == "no tokenizer":
        for file in broken.glob("*token*"):
            file.unlink()
        (broken / "vocab.txt").unlink()
    if fault == "weights":
        (broken / "model.safetensors").write_bytes(b"cut off")
    (broken / "config.json").write_text(json.dumps(config | changes.get(fault, {})))
    with pytest.raises(WeightsError, match=message):
        load_detector(broken, device="cpu")
