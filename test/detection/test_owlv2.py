# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""OWLv2 gives the results of transformers for texts and exemplars, and tracks through a session."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import Owlv2Processor
from transformers.models.owlv2.image_processing_pil_owlv2 import Owlv2ImageProcessorPil

from lang2segtrack_ros.detection import owlv2
from lang2segtrack_ros.detection.detector import ExemplarDetector, detect, detect_batch, detect_exemplar
from lang2segtrack_ros.detection.owlv2 import Owlv2Detector
from lang2segtrack_ros.models.catalogue import WeightsError
from lang2segtrack_ros.models.loading import load_detector
from lang2segtrack_ros.segmentation.sam2 import Sam2Segmenter
from lang2segtrack_ros.toyworld.scene import SceneFrame
from lang2segtrack_ros.types.prompts import PromptError
from test.detection.networks import follow, save_owlv2

PHRASES = ["red circle", "blue star", "square"]
SIZE = (240, 320)
EXEMPLAR_BOX = (20.4, 30.0, 90.0, 99.5)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_owlv2(tmp_path_factory.mktemp("owlv2"))


@pytest.fixture(scope="module")
def loaded(folder: Path) -> Owlv2Detector:
    detector = load_detector(folder, device="cpu")
    assert isinstance(detector, Owlv2Detector)
    return detector


@pytest.fixture(scope="module")
def processor(loaded: Owlv2Detector) -> Owlv2Processor:
    return Owlv2Processor(Owlv2ImageProcessorPil(size={"height": 64, "width": 64}), loaded.tokenizer)


def clip(boxes: torch.Tensor) -> np.ndarray:
    """Return boxes clipped to the image."""
    return np.clip(boxes.numpy(), 0, [SIZE[1], SIZE[0]] * 2)


@pytest.mark.parametrize("size", [(240, 320), (64, 64), (30, 20), (333, 480)], ids=["smaller", "equal", "larger", "portrait"])
def test_pixels_equal_those_of_the_processor(loaded: Owlv2Detector, processor: Owlv2Processor, size: tuple[int, int]) -> None:
    """The processor blurs and zooms with SciPy, which mirrors pixels at the border."""
    color = np.random.default_rng(1).integers(0, 256, (*size, 3), dtype=np.uint8)
    expected = processor.image_processor(color, return_tensors="pt").pixel_values
    assert (loaded.preprocess(color) - expected).abs().max() < 1e-5


@torch.inference_mode()
def test_text_detections_equal_those_of_transformers(
    loaded: Owlv2Detector, processor: Owlv2Processor, frames: list[SceneFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Our detector encodes each phrase alone and without padding. Duplicates stay, because transformers removes none."""
    texts = [owlv2.TEMPLATE.format(phrase) for phrase in PHRASES]
    inputs = processor(images=frames[0].color, text=[texts], return_tensors="pt")
    outputs = loaded.model(**inputs)
    threshold = float(outputs.logits.sigmoid().amax(-1).median())
    (expected,) = processor.post_process_grounded_object_detection(outputs, threshold=threshold, target_sizes=[SIZE], text_labels=[PHRASES])
    monkeypatch.setattr(owlv2, "suppress_duplicates", list)
    found = loaded.detect(frames[0].color, PHRASES, [threshold + 1e-5] * 3)
    boxes = clip(expected["boxes"])
    kept = [row for row, box in enumerate(boxes) if (box[2:] - box[:2]).min() >= 1]
    assert [item.label for item in found] == [expected["text_labels"][row] for row in kept]
    assert len(found) > 5
    assert len({item.label for item in found}) > 1
    assert np.allclose([item.score for item in found], expected["scores"][kept], atol=1e-5)
    assert np.allclose([item.box for item in found], boxes[kept], atol=2e-3)


@torch.inference_mode()
def test_exemplar_detections_equal_those_of_transformers(
    loaded: Owlv2Detector, processor: Owlv2Processor, frames: list[SceneFrame]
) -> None:
    """Transformers rescales the scores so that the best one is always 1. Ours stay comparable between images."""
    assert isinstance(loaded, ExemplarDetector)
    pixels = processor.image_processor(frames[0].color, return_tensors="pt").pixel_values
    query = processor.image_processor(frames[20].color[30:100, 20:90], return_tensors="pt").pixel_values
    outputs = loaded.model.image_guided_detection(pixels, query)
    scores = outputs.logits.sigmoid().amax(-1)
    threshold = float(scores.median())
    assert threshold > 0.1 * float(scores.max())  # transformers drops lower scores
    (expected,) = processor.post_process_image_guided_detection(outputs, threshold=threshold, target_sizes=torch.tensor([SIZE]))
    found = detect_exemplar(loaded, frames[0].color, [loaded.encode_exemplar(frames[20].color, EXEMPLAR_BOX)], ["cup"], [threshold - 1e-5])
    order = expected["scores"].argsort(descending=True)
    boxes = clip(expected["boxes"][order])
    kept = [row for row, box in enumerate(boxes) if (box[2:] - box[:2]).min() >= 1]
    assert len(found) > 3
    assert {item.label for item in found} == {"cup"}
    assert np.allclose([item.box for item in found], boxes[kept], atol=2e-3)
    best = float(scores.max()) + 1e-6
    rescaled = [(item.score - 0.1 * best) / (0.9 * best) for item in found]
    assert np.allclose(rescaled, expected["scores"][order][kept], atol=1e-5)


def test_exemplars_share_one_image_pass(loaded: Owlv2Detector, frames: list[SceneFrame], monkeypatch: pytest.MonkeyPatch) -> None:
    """Each exemplar keeps its label and threshold. One box has one label."""
    exemplars = [loaded.encode_exemplar(frames[number].color, EXEMPLAR_BOX) for number in (0, 20, 40)]
    passes = []
    embed = loaded.model.image_embedder
    monkeypatch.setattr(loaded.model, "image_embedder", lambda pixels: passes.append(len(pixels)) or embed(pixels))
    found = detect_exemplar(loaded, frames[0].color, exemplars, ["cup", "mug", "cup"], [0.3, 1.0, 0.3])
    assert passes == [1]
    assert {item.label for item in found} == {"cup"}
    assert detect_exemplar(loaded, frames[0].color, [], [], []) == []


def test_exemplar_box_outside_of_the_image_is_refused(loaded: Owlv2Detector, frames: list[SceneFrame]) -> None:
    for box in ((400.0, 0.0, 500.0, 50.0), (10.0, 10.0, 10.0, 40.0)):
        with pytest.raises(PromptError, match="covers no pixel"):
            loaded.encode_exemplar(frames[0].color, box)


def test_batch_equals_single_images(loaded: Owlv2Detector, frames: list[SceneFrame]) -> None:
    """Images of different sizes have one network input size, so they form one batch."""
    colors = [frames[0].color, frames[20].color[:100]]
    batch = detect_batch(loaded, colors, PHRASES, [0.3] * 3)
    for color, found in zip(colors, batch):
        single = detect(loaded, color, PHRASES, [0.3] * 3)
        assert [item.label for item in found] == [item.label for item in single]
        assert np.allclose([item.box for item in found], [item.box for item in single], atol=1e-2)
    assert detect_batch(loaded, colors, [], []) == [[], []]


def test_bfloat16_keeps_the_boxes(folder: Path, loaded: Owlv2Detector, frames: list[SceneFrame]) -> None:
    """Boxes rounded to bfloat16 would move by up to four pixels of an image of 1920 pixels."""
    half = load_detector(folder, device="cpu", dtype="bfloat16")
    assert isinstance(half, Owlv2Detector)
    with torch.inference_mode():
        queries = torch.stack([loaded._query(phrase) for phrase in PHRASES])
        (scores, boxes), (half_scores, half_boxes) = (net._match(net.preprocess(frames[0].color), queries) for net in (loaded, half))
    assert half_boxes.dtype == np.float32
    assert (half_boxes != torch.from_numpy(half_boxes).bfloat16().float().numpy()).mean() > 0.9
    assert np.median(np.abs(half_boxes - boxes)) < 0.01
    assert np.median(np.abs(half_scores - scores)) < 0.05
    exemplar = half.encode_exemplar(frames[0].color, EXEMPLAR_BOX)
    assert detect_exemplar(half, frames[0].color, [exemplar], ["cup"], [0.1])
    assert detect(half, frames[0].color, PHRASES, [0.3] * 3)


def test_phrase_is_encoded_once(loaded: Owlv2Detector, frames: list[SceneFrame]) -> None:
    loaded._query.cache_clear()
    for phrases in (["red circle"], ["red circle", "blue star"], ["blue star"]):
        loaded.detect(frames[0].color, phrases, [0.3] * len(phrases))
    assert loaded._query.cache_info().misses == 2


def test_long_phrase_is_refused(loaded: Owlv2Detector) -> None:
    assert loaded.check(PHRASES) == []
    with pytest.raises(PromptError, match=r"has \d+ tokens, but the detector reads at most 16"):
        loaded.check(["red circle of a phenomenon"])


def test_session_follows_two_phrases(loaded: Owlv2Detector, segmenter: Sam2Segmenter) -> None:
    """The random network finds something for each phrase."""
    follow(segmenter, loaded, ["red circle", "blue star"], threshold=0.5)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("settings", "processor_config.json cannot be read"),
        ("no tokenizer", "has no tokenizer: copy tokenizer.json"),
        ("structure", "the weights in .* do not fit the network"),
        ("values", "cannot be loaded as owlv2"),
    ],
)
def test_wrong_files_are_refused(folder: Path, tmp_path: Path, fault: str, message: str) -> None:
    """Each wrong file gives a sentence that names it."""
    broken = Path(shutil.copytree(folder, tmp_path / "net"))
    if fault == "settings":
        (broken / "processor_config.json").write_text("[]")
    elif fault == "no tokenizer":
        (broken / "tokenizer.json").unlink()
    else:
        config = json.loads((broken / "config.json").read_text())
        config["vision_config"]["patch_size"] = 16 if fault == "structure" else "large"
        (broken / "config.json").write_text(json.dumps(config))
    with pytest.raises(WeightsError, match=message):
        load_detector(broken, device="cpu")
