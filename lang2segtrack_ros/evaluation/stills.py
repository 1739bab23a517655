# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Evaluation of the detector on single pictures: found objects, labels, and detections of absent phrases."""

from __future__ import annotations

import contextlib
import io
from typing import Any

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from lang2segtrack_ros.detection.detector import Detection, Detector, detect
from lang2segtrack_ros.identity.association import box_iou
from lang2segtrack_ros.toyworld.metrics import MATCH_IOU
from lang2segtrack_ros.toyworld.pictures import Picture, draw_picture

MIN_SCORE = 0.05
"""Minimum score of the boxes for the average precision."""


def average_precision(pictures: list[Picture], detections_per_picture: list[list[Detection]]) -> float:
    """Return the average precision at an IoU of 0.5 from pycocotools. Each phrase of each picture counts as a separate image.

    Args:
        pictures: pictures with ground truth.
        detections_per_picture: detections of each picture.
    """
    images: list[dict[str, int]] = []
    annotations: list[dict[str, Any]] = []
    results: list[dict[str, Any]] = []
    for picture, detections in zip(pictures, detections_per_picture):
        first = len(images) + 1
        images += [{"id": first + k} for k in range(len(picture.phrases))]
        for index, phrase in picture.matches:
            x, y, right_edge, bottom_edge = picture.boxes[index].tolist()
            box = [x, y, right_edge - x, bottom_edge - y]
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": first + phrase,
                    "category_id": 1,
                    "bbox": box,
                    "area": box[2] * box[3],
                    "iscrowd": 0,
                }
            )
        texts = [phrase.text for phrase in picture.phrases]
        for item in detections:
            x, y, right_edge, bottom_edge = item.box
            results.append(
                {
                    "image_id": first + texts.index(item.label),
                    "category_id": 1,
                    "bbox": [x, y, right_edge - x, bottom_edge - y],
                    "score": item.score,
                }
            )
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = {"images": images, "annotations": annotations, "categories": [{"id": 1}], "info": {}}
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(results), "bbox")
        evaluation.params.iouThrs = np.array([MATCH_IOU])
        evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, 1e10]], ["all"]
        evaluation.evaluate()
        evaluation.accumulate()
    return float(evaluation.eval["precision"][0, :, 0, 0, -1].mean())


def evaluate_detector(detector: Detector, count: int, first_seed: int = 0, full_ratio: float = 0.72) -> dict[str, float]:
    """Evaluate the detector on pictures of 1 to 5 objects with 1 to 5 phrases.

    Args:
        detector: detector to evaluate.
        count: number of pictures.
        first_seed: seed of the first picture.
        full_ratio: fraction of phrases with both color and shape.

    Returns:
        AP50, label accuracy of matched boxes, recall of present objects, fraction of absent phrases with a detection, and counts.
    """
    pictures = [draw_picture(first_seed + index, (320, 240), full_ratio=full_ratio) for index in range(count)]
    detections_per_picture = [
        detect(detector, picture.color, [p.text for p in picture.phrases], [MIN_SCORE] * len(picture.phrases)) for picture in pictures
    ]
    present_count = found_objects = matched_boxes = correct_labels = absent_count = false_alarms = 0
    for picture, detections in zip(pictures, detections_per_picture):
        confident = [item for item in detections if item.score >= detector.default_threshold]
        pairs = picture.matches
        labels = {index: picture.phrases[k].text for index, k in pairs}
        present_count += len(pairs)
        # float64 [present objects, confident boxes]
        iou_table = box_iou(picture.boxes[list(labels)].astype(float), np.array([item.box for item in confident], float).reshape(-1, 4))
        for label, row in zip(labels.values(), iou_table):
            found_objects += any(item.label == label and iou >= MATCH_IOU for item, iou in zip(confident, row))
        for item, column in zip(confident, iou_table.T):
            if len(column) and column.max() >= MATCH_IOU:
                matched_boxes += 1
                correct_labels += list(labels.values())[int(column.argmax())] == item.label
        present_texts = set(labels.values())
        absent_texts = [phrase.text for phrase in picture.phrases if phrase.text not in present_texts]
        absent_count += len(absent_texts)
        false_alarms += sum(any(item.label == text for item in confident) for text in absent_texts)
    return {
        "AP50": average_precision(pictures, detections_per_picture),
        "label_correct": correct_labels / max(matched_boxes, 1),
        "found": found_objects / max(present_count, 1),
        "false_alarms": false_alarms / max(absent_count, 1),
        "pictures": count,
        "objects": present_count,
        "absent_phrases": absent_count,
    }
