# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Segmentation of named objects on single images, also while a tracker shares the networks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from lang2segtrack_ros.detection.detector import Detection, detect_batch
from lang2segtrack_ros.detection.grounding_dino import GroundingDinoDetector
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


def test_masks_match_ground_truth(segmenter: Sam2Segmenter, detector: GroundingDinoDetector, frames: list[SceneFrame]) -> None:
    found = segment_images(segmenter, detector, [frames[0].color, frames[30].color], PHRASES)
    for frame, objects in zip((frames[0], frames[30]), found):
        assert sorted(item.label for item in objects) == sorted(PHRASES)
        assert [item.score for item in objects] == sorted((item.score for item in objects), reverse=True)
        for item in objects:
            body = 1 + PHRASES.index(item.label)
            assert iou(item.mask, frame.instances == body) > 0.6
            assert (item.rle.decode() == item.mask).all()
            assert 0 <= item.predicted_iou <= 1


def test_batch_equals_single_images(detector: GroundingDinoDetector, frames: list[SceneFrame]) -> None:
    """The detector groups images of mixed sizes by network input size. The order of the results must stay."""
    wide = np.concatenate((frames[9].color, frames[20].color), axis=1)
    images = [frames[0].color, wide, frames[30].color, frames[3].color]
    batches = detector.detect_batch(images, PHRASES, (0.3, 0.3))
    for image, batch in zip(images, batches):
        single = detector.detect(image, PHRASES, (0.3, 0.3))
        assert [item.label for item in single] == [item.label for item in batch]
        for one, other in zip(single, batch):
            assert one.box == pytest.approx(other.box, abs=0.05)
            assert one.score == pytest.approx(other.score, abs=1e-3)


def test_detector_without_batches_works(frames: list[SceneFrame], segmenter: Sam2Segmenter) -> None:
    class SingleImageDetector:
        name, default_threshold = "single", 0.5

        def check(self, phrases: object) -> list[str]:
            return []

        def detect(self, color: np.ndarray, phrases: object, thresholds: object) -> list[Detection]:
            return [Detection("red circle", 0.9, body_box(frames[0], 1))]

    assert len(detect_batch(SingleImageDetector(), [frames[0].color] * 3, ["red circle"], [0.5])) == 3
    ((item,),) = segment_images(segmenter, SingleImageDetector(), [frames[0].color], ["red circle"])
    assert iou(item.mask, frames[0].instances == 1) > 0.6


def test_large_images_with_many_objects_are_processed_in_batches(
    segmenter: Sam2Segmenter, detector: GroundingDinoDetector, frames: list[SceneFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = segment_images(segmenter, detector, [frames[0].color], PHRASES)[0]
    monkeypatch.setattr("lang2segtrack_ros.session.image_segmentation.MASK_PIXELS", 1)
    parts = segment_images(segmenter, detector, [frames[0].color], PHRASES)[0]
    assert len(whole) == len(parts) == 2
    assert all((one.mask == other.mask).all() for one, other in zip(whole, parts))


def test_images_without_objects_give_no_masks(segmenter: Sam2Segmenter, detector: GroundingDinoDetector) -> None:
    gray = np.full((120, 160, 3), 128, np.uint8)
    assert segment_images(segmenter, detector, [gray], PHRASES) == [[]]
    assert segment_images(segmenter, detector, [], PHRASES) == []
    assert [text.partition(". It knows")[0] for text in remarks(detector, ("red circle", "blarg"), [])] == [
        "the detector does not know: blarg; detections for these words are unreliable",
        "not found: red circle, blarg",
    ]


def test_image_requests_leave_a_tracker_unchanged(
    segmenter: Sam2Segmenter, detector: GroundingDinoDetector, frames: list[SceneFrame]
) -> None:
    """Tracking with and without image requests from another thread must be equal to the last bit."""

    def track(requests: ImageRequests | None) -> list[np.ndarray]:
        tracker = StreamTracker(segmenter)
        logits = LogitsProbe(tracker)
        tracker.add(BoxPrompt(body_box(frames[0], 1)))
        masks, futures = [], []
        for frame in frames[:12]:
            if requests is not None and len(futures) < 3:
                futures.append(requests.ask(frame.color, TextPrompt("red circle. blue star.")))
            tracker.step(Frame(frame.color))
            masks.append(logits.stacked())
        assert all(len(future.result(60)[0]) == 2 for future in futures)
        return masks

    requests = ImageRequests(segmenter, detector)
    with_requests = track(requests)
    requests.close()
    assert all((one == other).all() for one, other in zip(track(None), with_requests))


def test_image_requests_are_bounded_and_report_failures(segmenter: Sam2Segmenter, detector: GroundingDinoDetector) -> None:
    gray, prompt = np.full((60, 80, 3), 128, np.uint8), TextPrompt("red circle")
    without_detector = ImageRequests(segmenter, None)
    with pytest.raises(PromptError, match="there is no detector"):
        without_detector.ask(gray, prompt)
    without_detector.close()
    requests = ImageRequests(segmenter, detector)
    futures = [requests.ask(gray, prompt) for _ in range(MAX_WAITING)]
    with pytest.raises(BusyError, match="already wait"):  # noqa: PT012 (one or two of the requests may be finished by now)
        for _ in range(3):
            futures.append(requests.ask(gray, prompt))
    requests.close()
    assert all(future.done() for future in futures), "no request waits forever"
    assert any(isinstance(future.exception(), BusyError) for future in futures)
    with pytest.raises(BusyError, match="shutting down"):
        requests.ask(gray, prompt)


def test_image_that_never_fits_keeps_the_settings_for_other_images(
    segmenter: Sam2Segmenter, detector: GroundingDinoDetector, frames: list[SceneFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One huge image must not force the smallest settings on all later images. Settings that helped one image are kept."""
    failures_left = {2000: 1000, 500: 1}  # image height -> number of out-of-memory errors

    def detect(self: GroundingDinoDetector, colors: list[np.ndarray], *rest: Any) -> Any:
        height = colors[0].shape[0]
        if failures_left.get(height, 0):
            failures_left[height] -= 1
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(self, colors, *rest)

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
