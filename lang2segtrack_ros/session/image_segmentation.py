# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Objects by name on single images: no tracking, nothing remembered. Safe beside a session that uses the same networks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from lang2segtrack_ros.detection.detector import Detection, Detector, detect_batch, vocabulary_notes
from lang2segtrack_ros.segmentation.postprocess import image_masks
from lang2segtrack_ros.segmentation.sam2 import Sam2Segmenter
from lang2segtrack_ros.segmentation.small_regions import remove_small_regions
from lang2segtrack_ros.types.results import Track, TrackStatus
from lang2segtrack_ros.types.rle import Rle

MASK_PIXELS = 32_000_000
"""Pixels of masks that are worked on at once; a large image with many objects is done in parts."""


@dataclass(frozen=True, eq=False)
class SegmentedObject:
    """One object on one image.

    Attributes:
        label: one of the phrases asked for.
        score: 0..1, the detector's.
        predicted_iou: 0..1, the segmenter's own guess of the mask's IoU.
        box: (x_min, y_min, x_max, y_max) around the mask in pixels, maxima exclusive; the detector's where the mask is empty.
        mask: bool [H, W].
    """

    label: str
    score: float
    predicted_iou: float
    box: tuple[float, float, float, float]
    mask: NDArray[np.bool_]

    @cached_property
    def rle(self) -> Rle:
        """The mask, run-length encoded."""
        return Rle.encode(self.mask)

    def as_track(self, number: int) -> Track:
        """The object in the form that `rendering` paints."""
        state, unknown = TrackStatus.TRACKED, float("nan")
        return Track(number, self.label, state, self.score, self.box, self.mask, self.predicted_iou, unknown, unknown, 0)


def segment_images(
    segmenter: Sam2Segmenter,
    detector: Detector,
    images: Sequence[NDArray[np.uint8]],
    phrases: Sequence[str],
    threshold: float | None = None,
    min_region_ratio: float = 0.05,
) -> list[list[SegmentedObject]]:
    """Finds and segments objects on each image, best score first.

    Args:
        segmenter: from `weights.load_segmenter`.
        detector: from `weights.load_detector`; looks at all images at once.
        images: RGB uint8 [H, W, 3] each, of any sizes.
        phrases: what to look for, see `prompts.split_phrases`.
        threshold: least score, 0..1; None takes the detector's own.
        min_region_ratio: specks smaller than this share of a mask's largest part are left out; 0 keeps them.

    Raises:
        PromptError: phrases the detector cannot take.
    """
    least = detector.default_threshold if threshold is None else threshold
    found = detect_batch(detector, images, phrases, [least] * len(phrases))
    return [_segment(segmenter, image, detections, min_region_ratio) if detections else [] for image, detections in zip(images, found)]


def remarks(detector: Detector, phrases: Sequence[str], objects: Sequence[SegmentedObject]) -> list[str]:
    """What a user should know about an answer: words the detector does not know, phrases it did not find."""
    told = vocabulary_notes(detector, phrases)
    missing = [phrase for phrase in phrases if phrase not in {item.label for item in objects}]
    return [*told, f"not found: {', '.join(missing)}"] if missing else told


@torch.inference_mode()
def _segment(
    segmenter: Sam2Segmenter, image: NDArray[np.uint8], detections: Sequence[Detection], min_region_ratio: float
) -> list[SegmentedObject]:
    height, width = image.shape[:2]
    features = segmenter.encode(segmenter.preprocess(image))
    at_once = max(1, min(MASK_PIXELS // (height * width), segmenter.batch_limit or len(detections)))
    objects = []
    for start in range(0, len(detections), at_once):
        part = detections[start : start + at_once]
        scale = torch.tensor([segmenter.image_size / width, segmenter.image_size / height], dtype=segmenter.compute_dtype)
        corners = torch.tensor([item.box for item in part], dtype=segmenter.compute_dtype).reshape(-1, 2, 2) * scale
        rows = segmenter.batch_rows(len(part))
        points = corners.to(segmenter.device)[rows]
        labels = torch.tensor([[2, 3]], dtype=torch.int32, device=segmenter.device).expand(len(rows), -1)
        decoded = segmenter.decode(segmenter.unconditioned(features, len(rows)), features, points, labels, multimask=False).first(len(part))
        masks = image_masks(decoded.masks[:, 0], height, width).cpu().numpy()
        ious = decoded.ious[:, 0].clamp(0.0, 1.0).tolist()
        for item, mask, iou in zip(part, masks, ious):
            objects.append(SegmentedObject(item.label, item.score, iou, remove_small_regions(mask, min_region_ratio) or item.box, mask))
    return objects
