# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The detector on single pictures: what it finds, what it calls it, and what it sees that is not there."""

from __future__ import annotations

import contextlib
import io
from typing import Any

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from lang2segtrack_ros.detection.detector import Detection, Detector
from lang2segtrack_ros.identity.association import box_iou
from lang2segtrack_ros.toyworld.metrics import MATCH_IOU
from lang2segtrack_ros.toyworld.pictures import Picture, draw_picture

LOWEST = 0.05
"""Boxes below this score do not count for the average precision."""


def average_precision(pictures: list[Picture], found: list[list[Detection]]) -> float:
    """AP at an IoU of 0.5 from pycocotools; each phrase of each picture counts as a picture of its own."""
    images: list[dict[str, int]] = []
    annotations: list[dict[str, Any]] = []
    results: list[dict[str, Any]] = []
    for picture, detections in zip(pictures, found):
        first = len(images) + 1
        images += [{"id": first + k} for k in range(len(picture.phrases))]
        for index, phrase in picture.matches:
            x, y, right, bottom = picture.boxes[index].tolist()
            box = [x, y, right - x, bottom - y]
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
            x, y, right, bottom = item.box
            results.append(
                {"image_id": first + texts.index(item.label), "category_id": 1, "bbox": [x, y, right - x, bottom - y], "score": item.score}
            )
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = {"images": images, "annotations": annotations, "categories": [{"id": 1}], "info": {}}
        truth.createIndex()
        judge = COCOeval(truth, truth.loadRes(results), "bbox")
        judge.params.iouThrs = np.array([MATCH_IOU])
        judge.params.areaRng, judge.params.areaRngLbl = [[0, 1e10]], ["all"]
        judge.evaluate()
        judge.accumulate()
    return float(judge.eval["precision"][0, :, 0, 0, -1].mean())


def examine(detector: Detector, count: int, first_seed: int = 0, full: float = 0.72) -> dict[str, float]:
    """Numbers over pictures of 1 to 5 objects and 1 to 5 phrases; `full` is the share of phrases with colour and shape."""
    pictures = [draw_picture(first_seed + index, (320, 240), full=full) for index in range(count)]
    found = [detector.detect(picture.color, [p.text for p in picture.phrases], [LOWEST] * len(picture.phrases)) for picture in pictures]
    present = hits = boxes = right = absent = alarms = 0
    for picture, detections in zip(pictures, found):
        sure = [item for item in detections if item.score >= detector.default_threshold]
        pairs = picture.matches
        labels = {index: picture.phrases[k].text for index, k in pairs}
        present += len(pairs)
        # float64 [objects that are asked for, sure boxes]
        table = box_iou(picture.boxes[list(labels)].astype(float), np.array([item.box for item in sure], float).reshape(-1, 4))
        for label, row in zip(labels.values(), table):
            hits += any(item.label == label and iou >= MATCH_IOU for item, iou in zip(sure, row))
        for item, column in zip(sure, table.T):
            if len(column) and column.max() >= MATCH_IOU:
                boxes += 1
                right += list(labels.values())[int(column.argmax())] == item.label
        there = set(labels.values())
        missing = [phrase.text for phrase in picture.phrases if phrase.text not in there]
        absent += len(missing)
        alarms += sum(any(item.label == text for item in sure) for text in missing)
    return {
        "AP50": average_precision(pictures, found),
        "label_right": right / max(boxes, 1),
        "found": hits / max(present, 1),
        "false_alarms": alarms / max(absent, 1),
        "pictures": count,
        "objects": present,
        "absent_phrases": absent,
    }
