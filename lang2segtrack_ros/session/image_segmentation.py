# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Segmentation of named objects on single images, without tracking or state. A session may share the networks at the same time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from lang2segtrack_ros.detection.detector import Detection, Detector, detect_batch, suppress_duplicates, vocabulary_notes
from lang2segtrack_ros.detection.exemplar import ExemplarFinder
from lang2segtrack_ros.segmentation.postprocess import image_masks
from lang2segtrack_ros.segmentation.sam2 import Sam2Segmenter
from lang2segtrack_ros.segmentation.small_regions import remove_small_regions
from lang2segtrack_ros.types.prompts import ExemplarPrompt, PromptError
from lang2segtrack_ros.types.results import Track, TrackStatus
from lang2segtrack_ros.types.rle import Rle

MASK_PIXELS = 32_000_000
"""Maximum number of mask pixels in one batch. A large image with many objects is processed in several batches."""


@dataclass(frozen=True, eq=False)
class SegmentedObject:
    """One object on one image.

    Attributes:
        label: one of the requested phrases.
        score: confidence of the detector, 0..1.
        predicted_iou: IoU of the mask as estimated by the segmenter, 0..1. 1 for a mask of the detector.
        box: (x_min, y_min, x_max, y_max) around the mask in pixels, with exclusive maxima. The box of the detector if the mask is empty.
        mask: bool [H, W].
    """

    label: str
    score: float
    predicted_iou: float
    box: tuple[float, float, float, float]
    mask: NDArray[np.bool_]

    @cached_property
    def rle(self) -> Rle:
        """Return the run-length encoded mask."""
        return Rle.encode(self.mask)

    def as_track(self, track_id: int) -> Track:
        """Return the object as a track with the given id, for the drawing functions of `io.rendering`."""
        state, unknown = TrackStatus.TRACKED, float("nan")
        return Track(track_id, self.label, state, self.score, self.box, self.mask, self.predicted_iou, unknown, unknown, 0)


def segment_images(
    segmenter: Sam2Segmenter,
    detector: Detector | None,
    images: Sequence[NDArray[np.uint8]],
    phrases: Sequence[str],
    threshold: float | None = None,
    min_region_ratio: float = 0.05,
    exemplars: Sequence[ExemplarPrompt] = (),
    finder: ExemplarFinder | None = None,
) -> list[list[SegmentedObject]]:
    """Detect and segment objects on each image, in order of falling score.

    Args:
        segmenter: from `models.loading.load_segmenter`.
        detector: from `models.loading.load_detector`. It processes all images in one batch if it supports batches. None without phrases.
        images: uint8 [H, W, 3] each, RGB. Sizes may differ.
        phrases: names of the objects; see `types.prompts.split_phrases`.
        threshold: minimum score of a detection, 0..1. None uses the defaults of the networks.
        min_region_ratio: regions below this fraction of the area of the largest region of a mask are removed, 0..1. 0 keeps all.
        exemplars: exemplars with their images.
        finder: the matcher of the exemplars. None without exemplars.

    Raises:
        PromptError: the detector cannot process these phrases, or the box of an exemplar shows no object.
    """
    found: list[list[Detection]] = [[] for _ in images]
    if detector is not None and phrases:
        min_score = detector.default_threshold if threshold is None else threshold
        found = detect_batch(detector, images, phrases, [min_score] * len(phrases))
    if finder is not None and exemplars:
        found = [_with_matches(detections, finder, image, exemplars, threshold) for image, detections in zip(images, found)]
    return [segment_detections(segmenter, image, detections, min_region_ratio) for image, detections in zip(images, found)]


def _with_matches(
    detections: list[Detection],
    finder: ExemplarFinder,
    image: NDArray[np.uint8],
    exemplars: Sequence[ExemplarPrompt],
    threshold: float | None,
) -> list[Detection]:
    """Return the detections on an image and those of exemplars, without duplicates. Raise PromptError for an exemplar without an object."""
    min_score = finder.matcher.default_exemplar_threshold if threshold is None else threshold
    matches = finder.find(image, exemplars, [min_score] * len(exemplars))
    if matches.refused:
        raise PromptError(matches.refused[0][1])
    return suppress_duplicates([*detections, *matches.detections])


def remarks(detector: Detector, phrases: Sequence[str], objects: Sequence[SegmentedObject]) -> list[str]:
    """Return notes for the user about words that the detector does not know and about phrases without a detection.

    Args:
        detector: the detector that produced the objects.
        phrases: the requested phrases.
        objects: the objects on all images.
    """
    notes = vocabulary_notes(detector, phrases)
    missing = [phrase for phrase in phrases if phrase not in {item.label for item in objects}]
    return [*notes, f"not found: {', '.join(missing)}"] if missing else notes


@torch.inference_mode()
def segment_detections(
    segmenter: Sam2Segmenter, image: NDArray[np.uint8], detections: Sequence[Detection], min_region_ratio: float = 0.05
) -> list[SegmentedObject]:
    """Return the objects of detections. Only those without a mask of the detector need the segmenter.

    Args:
        segmenter: from `models.loading.load_segmenter`.
        image: RGB uint8 [H, W, 3].
        detections: the detections on the image.
        min_region_ratio: see `segment_images`.
    """
    boxed = [item for item in detections if item.mask is None]
    decoded = iter(_decode_boxes(segmenter, image, boxed) if boxed else ())
    objects = []
    for item in detections:
        mask, iou = next(decoded) if item.mask is None else (item.mask.copy(), 1.0)
        objects.append(SegmentedObject(item.label, item.score, iou, remove_small_regions(mask, min_region_ratio) or item.box, mask))
    return objects


def _decode_boxes(
    segmenter: Sam2Segmenter, image: NDArray[np.uint8], detections: Sequence[Detection]
) -> Iterator[tuple[NDArray[np.bool_], float]]:
    """Yield the mask bool [H, W] of each detection's box and its predicted IoU."""
    height, width = image.shape[:2]
    features = segmenter.encode(segmenter.preprocess(image))
    batch_size = max(1, min(MASK_PIXELS // (height * width), segmenter.batch_size))
    for start in range(0, len(detections), batch_size):
        batch = detections[start : start + batch_size]
        scale = torch.tensor([segmenter.image_size / width, segmenter.image_size / height], dtype=segmenter.compute_dtype)
        corners = torch.tensor([item.box for item in batch], dtype=segmenter.compute_dtype).reshape(-1, 2, 2) * scale
        rows = segmenter.batch_rows(len(batch))
        points = corners.to(segmenter.device)[rows]
        labels = torch.tensor([[2, 3]], dtype=torch.int32, device=segmenter.device).expand(len(rows), -1)
        decoded = segmenter.decode(segmenter.unconditioned(features, len(rows)), features, points, labels, multimask=False).first(
            len(batch)
        )
        masks = image_masks(decoded.masks[:, 0], height, width).cpu().numpy()
        ious = decoded.ious[:, 0].clamp(0.0, 1.0).tolist()
        yield from zip(masks, ious)
