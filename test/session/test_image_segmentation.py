# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Objects by name on single images, beside a tracker that must not notice."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pycocotools.coco import COCO

from lang2segtrack_ros.detection.detector import Detection, detect_batch
from lang2segtrack_ros.detection.grounding_dino import GroundingDinoDetector
from lang2segtrack_ros.io.coco import CocoWriter
from lang2segtrack_ros.ros.services.image_requests import MAX_WAITING, BusyError, ImageRequests
from lang2segtrack_ros.segmentation.sam2 import Sam2Segmenter
from lang2segtrack_ros.session.image_segmentation import remarks, segment_images
from lang2segtrack_ros.toyworld.scene import SceneFrame
from lang2segtrack_ros.tracking.stream_tracker import StreamTracker
from lang2segtrack_ros.types.frame import Frame
from lang2segtrack_ros.types.prompts import BoxPrompt, PromptError, TextPrompt
from test.conftest import body_box, iou
from test.logits import LogitsProbe

PHRASES = ("red circle", "blue star")


def test_masks_fit_the_truth(segmenter: Sam2Segmenter, detector: GroundingDinoDetector, frames: list[SceneFrame]) -> None:
    found = segment_images(segmenter, detector, [frames[0].color, frames[30].color], PHRASES)
    for frame, objects in zip((frames[0], frames[30]), found):
        assert sorted(item.label for item in objects) == sorted(PHRASES)
        assert [item.score for item in objects] == sorted((item.score for item in objects), reverse=True)
        for item in objects:
            body = 1 + PHRASES.index(item.label)
            assert iou(item.mask, frame.instances == body) > 0.6
            assert (item.rle.decode() == item.mask).all()
            assert 0 <= item.predicted_iou <= 1


def test_a_batch_gives_what_single_images_give(detector: GroundingDinoDetector, frames: list[SceneFrame]) -> None:
    """Also with sizes mixed: images that are of one size for the network go together, the order stays."""
    wide = np.concatenate((frames[9].color, frames[20].color), axis=1)
    images = [frames[0].color, wide, frames[30].color, frames[3].color]
    together = detector.detect_batch(images, PHRASES, (0.3, 0.3))
    for image, batch in zip(images, together):
        alone = detector.detect(image, PHRASES, (0.3, 0.3))
        assert [item.label for item in alone] == [item.label for item in batch]
        for one, other in zip(alone, batch):
            assert one.box == pytest.approx(other.box, abs=0.05)
            assert one.score == pytest.approx(other.score, abs=1e-3)


def test_detectors_without_batches_do_too(frames: list[SceneFrame], segmenter: Sam2Segmenter) -> None:
    class One:
        name, default_threshold = "one", 0.5

        def check(self, phrases: object) -> list[str]:
            return []

        def detect(self, color: np.ndarray, phrases: object, thresholds: object) -> list[Detection]:
            return [Detection("red circle", 0.9, body_box(frames[0], 1))]

    assert len(detect_batch(One(), [frames[0].color] * 3, ["red circle"], [0.5])) == 3
    ((item,),) = segment_images(segmenter, One(), [frames[0].color], ["red circle"])
    assert iou(item.mask, frames[0].instances == 1) > 0.6


def test_many_objects_on_a_large_image_are_done_in_parts(
    segmenter: Sam2Segmenter, detector: GroundingDinoDetector, frames: list[SceneFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = segment_images(segmenter, detector, [frames[0].color], PHRASES)[0]
    monkeypatch.setattr("lang2segtrack_ros.session.image_segmentation.MASK_PIXELS", 1)
    parts = segment_images(segmenter, detector, [frames[0].color], PHRASES)[0]
    assert len(whole) == len(parts) == 2
    assert all((one.mask == other.mask).all() for one, other in zip(whole, parts))


def test_nothing_there(segmenter: Sam2Segmenter, detector: GroundingDinoDetector) -> None:
    grey = np.full((120, 160, 3), 128, np.uint8)
    assert segment_images(segmenter, detector, [grey], PHRASES) == [[]]
    assert segment_images(segmenter, detector, [], PHRASES) == []
    assert remarks(detector, ("red circle", "blarg"), []) == [
        "the detector does not know: blarg; what it finds for these words means little",
        "not found: red circle, blarg",
    ]


def test_a_tracker_does_not_notice(segmenter: Sam2Segmenter, detector: GroundingDinoDetector, frames: list[SceneFrame]) -> None:
    """The same clip with and without image requests from another thread: equal to the last bit."""

    def follow(requests: ImageRequests | None) -> list[np.ndarray]:
        tracker = StreamTracker(segmenter)
        logits = LogitsProbe(tracker)
        tracker.add(BoxPrompt(body_box(frames[0], 1)))
        masks, asked = [], []
        for frame in frames[:12]:
            if requests is not None and len(asked) < 3:
                asked.append(requests.ask(frame.color, TextPrompt("red circle. blue star.")))
            tracker.step(Frame(frame.color))
            masks.append(logits.stacked())
        assert all(len(future.result(60)[0]) == 2 for future in asked)
        return masks

    requests = ImageRequests(segmenter, detector)
    beside = follow(requests)
    requests.close()
    assert all((one == other).all() for one, other in zip(follow(None), beside))


def test_requests_are_bounded_and_failures_told(segmenter: Sam2Segmenter, detector: GroundingDinoDetector) -> None:
    grey, prompt = np.full((60, 80, 3), 128, np.uint8), TextPrompt("red circle")
    with pytest.raises(PromptError, match="there is no detector"):
        ImageRequests(segmenter, None).ask(grey, prompt)
    requests = ImageRequests(segmenter, detector)
    asked = [requests.ask(grey, prompt) for _ in range(MAX_WAITING)]
    with pytest.raises(BusyError, match="wait already"):  # noqa: PT012 (one or two of them may be done by now)
        for _ in range(3):
            asked.append(requests.ask(grey, prompt))
    requests.close()
    assert all(future.done() for future in asked), "nobody is left waiting"
    assert any(isinstance(future.exception(), BusyError) for future in asked)
    with pytest.raises(BusyError, match="shutting down"):
        requests.ask(grey, prompt)


def test_an_image_for_which_nothing_is_small_enough_changes_nothing_for_the_others(
    segmenter: Sam2Segmenter, detector: GroundingDinoDetector, frames: list[SceneFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else one huge picture would have all later ones done at the smallest settings; what does help for one is kept."""
    refused = {2000: 1000, 500: 1}  # height of an image: how often it does not fit

    def detect(self: GroundingDinoDetector, colors: list[np.ndarray], *more: Any) -> Any:
        height = colors[0].shape[0]
        if refused.get(height, 0):
            refused[height] -= 1
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(self, colors, *more)

    real = GroundingDinoDetector.detect_batch
    monkeypatch.setattr(GroundingDinoDetector, "detect_batch", detect)
    prompt = TextPrompt("red circle.")
    requests = ImageRequests(segmenter, detector)
    with pytest.raises(PromptError, match="even at the smallest settings"):
        requests.ask(np.zeros((2000, 20, 3), np.uint8), prompt).result(60)
    assert requests.metrics["single_images_segmented"] == 0
    assert len(requests.ask(frames[0].color, prompt).result(60)[0]) == 1
    assert requests._detector is detector
    requests.ask(np.zeros((500, 20, 3), np.uint8), prompt).result(60)
    requests.close()
    assert isinstance(requests._detector, GroundingDinoDetector)
    assert requests._detector.shortest_edge < detector.shortest_edge
    assert requests.metrics["single_images_segmented"] == 2


def test_the_file_is_a_coco_data_set(
    tmp_path: Path, segmenter: Sam2Segmenter, detector: GroundingDinoDetector, frames: list[SceneFrame]
) -> None:
    writer = CocoWriter(tmp_path / "deep" / "results.json", PHRASES, "toy")
    objects = segment_images(segmenter, detector, [frames[0].color], PHRASES)[0]
    writer.add(Path("a.png"), 240, 320, objects)
    writer.fail(Path("b.png"), "torn")
    writer.add(Path("c.png"), 240, 320, [])
    writer.close()
    data = COCO(str(writer.path))
    assert [item["file_name"] for item in data.loadImgs(data.getImgIds())] == ["a.png", "c.png"]
    for annotation, item in zip(data.loadAnns(data.getAnnIds(imgIds=[1])), objects):
        assert data.loadCats(annotation["category_id"])[0]["name"] == item.label
        assert (data.annToMask(annotation).astype(bool) == item.mask).all()
        assert annotation["area"] == item.mask.sum()
        x, y, width, height = annotation["bbox"]
        assert (x, y, x + width, y + height) == item.box
    assert json.loads(writer.path.read_text())["failed"] == [{"file_name": "b.png", "reason": "torn"}]
    assert (writer.count, writer.failed, writer.objects) == (3, 1, 2)
