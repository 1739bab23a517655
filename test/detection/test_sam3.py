# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""SAM 3 as a detector gives the boxes and masks of transformers, and tracks through a session."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from lang2segtrack_ros.detection import sam3
from lang2segtrack_ros.detection.detector import detect
from lang2segtrack_ros.detection.sam3 import Sam3Detector
from lang2segtrack_ros.models.catalogue import WeightsError
from lang2segtrack_ros.models.loading import load_detector
from lang2segtrack_ros.segmentation.sam2 import Sam2Segmenter
from lang2segtrack_ros.session.image_segmentation import segment_images
from lang2segtrack_ros.toyworld.scene import SceneFrame
from lang2segtrack_ros.types.prompts import PromptError
from test.detection.networks import follow, save_sam3

PHRASES = ["red circle", "blue star"]
SIZE = (240, 320)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_sam3(tmp_path_factory.mktemp("sam3"))


@pytest.fixture(scope="module")
def loaded(folder: Path) -> Sam3Detector:
    detector = load_detector(folder, device="cpu", accept_license=("sam3",))
    assert isinstance(detector, Sam3Detector)
    return detector


@torch.inference_mode()
def test_detections_equal_those_of_transformers(loaded: Sam3Detector, frames: list[SceneFrame], monkeypatch: pytest.MonkeyPatch) -> None:
    """Transformers encodes image and padded text together. The image processor needs torchvision, so its formulas stand here."""
    monkeypatch.setattr(sam3, "suppress_duplicates", list)  # transformers removes no duplicates
    pixels = loaded.preprocess(frames[0].color)
    found = detect(loaded, frames[0].color, PHRASES, [0.2, 0.2])
    for phrase in PHRASES:
        tokens = loaded.tokenizer([phrase], return_tensors="pt", padding="max_length", max_length=32)
        outputs = loaded.model(pixel_values=pixels, **tokens)
        scores = outputs.pred_logits[0].sigmoid() * outputs.presence_logits[0].sigmoid()
        boxes = np.clip(outputs.pred_boxes[0].numpy() * (320, 240, 320, 240), 0, (320, 240, 320, 240))
        masks = torch.nn.functional.interpolate(outputs.pred_masks.sigmoid(), size=SIZE, mode="bilinear")[0] > 0.5
        kept = [row for row, box in enumerate(boxes) if scores[row] >= 0.2 and (box[2:] - box[:2]).min() >= 1]
        kept.sort(key=lambda row: tuple(boxes[row]))
        items = sorted((item for item in found if item.label == phrase), key=lambda item: item.box)
        assert len(items) == len(kept) > 4
        assert np.allclose([item.score for item in items], scores[kept], atol=1e-4)
        assert np.allclose([item.box for item in items], boxes[kept], atol=0.01)
        for item, row in zip(items, kept):
            assert item.mask is not None
            assert np.count_nonzero(item.mask != masks[row].numpy()) <= 5


def test_bfloat16_gives_boxes_and_masks(folder: Path, frames: list[SceneFrame]) -> None:
    half = load_detector(folder, device="cpu", dtype="bfloat16", accept_license=("sam3",))
    found = detect(half, frames[0].color, PHRASES, [0.2, 0.2])
    assert {item.label for item in found} == set(PHRASES)
    assert all(item.mask is not None for item in found)


def test_pixels_follow_the_formula_of_the_processor(loaded: Sam3Detector, frames: list[SceneFrame]) -> None:
    """The image processor scales to a square without padding, and normalizes 0..255 to -1..1."""
    pixels = loaded.preprocess(frames[0].color)
    image = torch.from_numpy(frames[0].color).permute(2, 0, 1)[None]
    scaled = torch.nn.functional.interpolate(image.float(), size=(112, 112), mode="bilinear", antialias=True)
    assert (pixels - (scaled / 127.5 - 1)).abs().max() <= 1.01 / 127.5  # values are rounded before they are normalized


def test_published_layout_of_the_video_model_loads(loaded: Sam3Detector, tmp_path: Path) -> None:
    """The published checkpoint holds detector and tracker. The detector is the same as in a checkpoint of its own."""
    video = load_detector(save_sam3(tmp_path / "video", video=True), device="cpu", accept_license=("sam3",))
    assert isinstance(video, Sam3Detector)
    expected, found = loaded.model.state_dict(), video.model.state_dict()
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def test_session_follows_two_phrases(loaded: Sam3Detector, segmenter: Sam2Segmenter) -> None:
    """The random network finds something for each phrase."""
    follow(segmenter, loaded, PHRASES, threshold=0.2)


def test_single_images_keep_the_masks_of_the_detector(loaded: Sam3Detector, segmenter: Sam2Segmenter, frames: list[SceneFrame]) -> None:
    expected = loaded.detect(frames[0].color, PHRASES, [0.2, 0.2])
    (found,) = segment_images(segmenter, loaded, [frames[0].color], PHRASES, threshold=0.2, min_region_ratio=0.0)
    assert [(item.label, item.score) for item in found] == [(item.label, item.score) for item in expected]
    assert all(one.mask is not None and (item.mask == one.mask).all() for item, one in zip(found, expected))


def test_phrase_is_encoded_once_and_a_long_one_refused(loaded: Sam3Detector, frames: list[SceneFrame]) -> None:
    loaded._text.cache_clear()
    for _ in range(3):
        loaded.detect(frames[0].color, PHRASES, [0.9, 0.9])
    assert loaded._text.cache_info().misses == 2
    assert loaded.check(PHRASES) == []
    assert loaded.detect(frames[0].color, [], []) == []
    with pytest.raises(PromptError, match=r"has \d+ tokens, but the detector reads at most 32"):
        loaded.check(["circle " * 32])


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("no tokenizer", "has no tokenizer: copy tokenizer.json"),
        ("structure", "the weights in .* do not fit the network"),
        ("model_type", r'holds a "sam4" model; a detector must be one of: .*sam3'),
    ],
)
def test_wrong_files_are_refused(folder: Path, tmp_path: Path, fault: str, message: str) -> None:
    """Each wrong file gives a sentence that names it."""
    broken = Path(shutil.copytree(folder, tmp_path / "net"))
    config = json.loads((broken / "config.json").read_text())
    if fault == "no tokenizer":
        (broken / "tokenizer.json").unlink()
    elif fault == "structure":
        config["detr_decoder_config"]["num_queries"] = 7
    else:
        config["model_type"] = "sam4"
    (broken / "config.json").write_text(json.dumps(config))
    with pytest.raises(WeightsError, match=message):
        load_detector(broken, device="cpu", accept_license=("sam3",))
