# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Results on single images as a COCO data set (https://cocodataset.org/#format-data), which pycocotools and label tools read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lang2segtrack_ros import __version__

if TYPE_CHECKING:
    from lang2segtrack_ros.session.image_segmentation import SegmentedObject


class CocoWriter:
    """Collects results and writes them when it is closed. Beside COCO's own fields, annotations have `score` and `predicted_iou`.

    Args:
        path: of the file.
        phrases: the categories, numbered from 1.
        description: which networks made it.
    """

    def __init__(self, path: Path, phrases: Sequence[str], description: str) -> None:
        self.path = path
        self._numbers = {phrase: number for number, phrase in enumerate(phrases, start=1)}
        self._content: dict[str, Any] = {
            "info": {"description": f"lang2segtrack {__version__}, {description}"},
            "images": [],
            "categories": [{"id": number, "name": phrase} for phrase, number in self._numbers.items()],
            "annotations": [],
            "failed": [],
        }

    @property
    def count(self) -> int:
        """Images so far, failed ones included."""
        return len(self._content["images"]) + self.failed

    @property
    def failed(self) -> int:
        """Images without a result so far."""
        return len(self._content["failed"])

    @property
    def objects(self) -> int:
        """Objects so far."""
        return len(self._content["annotations"])

    def add(self, path: Path, height: int, width: int, objects: Sequence[SegmentedObject]) -> int:
        """Takes the objects of an image; returns the image's number, from 1."""
        number = len(self._content["images"]) + 1
        self._content["images"].append({"id": number, "file_name": str(path), "height": height, "width": width})
        for item in objects:
            x1, y1, x2, y2 = item.box
            self._content["annotations"].append(
                {
                    "id": self.objects + 1,
                    "image_id": number,
                    "category_id": self._numbers[item.label],
                    "bbox": [round(value, 2) for value in (x1, y1, x2 - x1, y2 - y1)],
                    "area": int(np.count_nonzero(item.mask)),
                    "segmentation": {"size": [item.rle.height, item.rle.width], "counts": item.rle.counts},
                    "iscrowd": 0,
                    "score": round(item.score, 4),
                    "predicted_iou": round(item.predicted_iou, 4),
                }
            )
        return number

    def fail(self, path: Path, reason: str) -> None:
        """Notes an image without a result."""
        self._content["failed"].append({"file_name": str(path), "reason": reason})

    def close(self) -> None:
        """Writes the file. Raises OSError when it cannot."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        partial = self.path.with_name(self.path.name + ".partial")  # a full disk leaves what was there before
        partial.write_text(json.dumps(self._content, indent=1) + "\n", encoding="utf-8")
        partial.replace(self.path)
