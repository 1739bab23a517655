# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Results on single images as a COCO data set (https://cocodataset.org/#format-data) for pycocotools and labeling tools."""

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
    """A writer that collects results and writes one COCO file in `close`.

    Annotations have the fields `score` and `predicted_iou` beside the fields of COCO.

    Args:
        path: the file.
        phrases: names of the categories; their ids count from 1.
        description: the networks that made the results.
    """

    def __init__(self, path: Path, phrases: Sequence[str], description: str) -> None:
        self.path = path
        self._category_ids = {phrase: category_id for category_id, phrase in enumerate(phrases, start=1)}
        self._content: dict[str, Any] = {
            "info": {"description": f"lang2segtrack {__version__}, {description}"},
            "images": [],
            "categories": [{"id": category_id, "name": phrase} for phrase, category_id in self._category_ids.items()],
            "annotations": [],
            "failed": [],
        }

    @property
    def count(self) -> int:
        """Number of images so far, including failed images."""
        return len(self._content["images"]) + self.failed

    @property
    def failed(self) -> int:
        """Number of images without a result so far."""
        return len(self._content["failed"])

    @property
    def objects(self) -> int:
        """Number of objects so far."""
        return len(self._content["annotations"])

    def add(self, path: Path, height: int, width: int, objects: Sequence[SegmentedObject]) -> int:
        """Add the objects of an image.

        Args:
            path: the image file.
            height: of the image, pixels.
            width: of the image, pixels.
            objects: the segmented objects; each label must be one of the phrases.

        Returns:
            The id of the image in the file, from 1.
        """
        image_id = len(self._content["images"]) + 1
        self._content["images"].append({"id": image_id, "file_name": str(path), "height": height, "width": width})
        for item in objects:
            x1, y1, x2, y2 = item.box
            self._content["annotations"].append(
                {
                    "id": self.objects + 1,
                    "image_id": image_id,
                    "category_id": self._category_ids[item.label],
                    "bbox": [round(value, 2) for value in (x1, y1, x2 - x1, y2 - y1)],
                    "area": int(np.count_nonzero(item.mask)),
                    "segmentation": {"size": [item.rle.height, item.rle.width], "counts": item.rle.counts},
                    "iscrowd": 0,
                    "score": round(item.score, 4),
                    "predicted_iou": round(item.predicted_iou, 4),
                }
            )
        return image_id

    def fail(self, path: Path, reason: str) -> None:
        """Add an image without a result, and the reason."""
        self._content["failed"].append({"file_name": str(path), "reason": reason})

    def close(self) -> None:
        """Write the file. Raises OSError if the file cannot be written."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        partial = self.path.with_name(self.path.name + ".partial")  # if the disk is full, an earlier file stays intact
        partial.write_text(json.dumps(self._content, indent=1) + "\n", encoding="utf-8")
        partial.replace(self.path)
