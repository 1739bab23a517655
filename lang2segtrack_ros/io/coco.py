# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Results on single images in the formats of COCO (https://cocodataset.org/#format-data) for pycocotools and labeling tools.

instances.json   a data set: images, categories, and annotations, which also have a score; and the images that failed
results.json     the same objects as results for this data set, as `pycocotools.coco.COCO.loadRes` reads them
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lang2segtrack_ros import __version__

if TYPE_CHECKING:
    from lang2segtrack_ros.session.image_segmentation import SegmentedObject

Content = tuple[tuple[int, int], "Sequence[SegmentedObject]"]
"""Height and width of an image in pixels, and its objects."""


class CocoWriter:
    """A collector of results in a file of JSON lines, which a later run may go on with, and a writer of COCO files.

    Args:
        store: the file of JSON lines; it is created by the first call of `add`.
        phrases: names of the categories; their ids count from 1. Other labels follow in the order of their first object.
        key: text that differs for runs with different results. Lines of another key are dropped.

    Attributes:
        description: the networks that made the results.
    """

    def __init__(self, store: Path, phrases: Sequence[str], key: str) -> None:
        self.description = ""
        self._store = store
        self._key = key
        self._phrases = list(phrases)
        self._images = self._read()

    def _read(self) -> list[dict[str, Any]]:
        """Return the images in the store. The last line may be torn; it is dropped."""
        try:
            lines = [line for line in self._store.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]
            head, *images = map(json.loads, lines)
        except (OSError, ValueError):
            return []
        if head != {"key": self._key}:
            return []
        os.truncate(self._store, sum(map(len, lines)))
        return images

    @property
    def count(self) -> int:
        """Number of images so far, including failed images."""
        return len(self._images)

    @property
    def failed(self) -> int:
        """Number of images without a result so far."""
        return sum("reason" in image for image in self._images)

    @property
    def objects(self) -> int:
        """Number of objects so far."""
        return sum(len(image.get("objects", ())) for image in self._images)

    def restart(self) -> None:
        """Drop all images."""
        self._images = []

    def add(self, images: Sequence[tuple[Path, str | Content]]) -> None:
        """Add images, and write them to the store.

        Args:
            images: the file of each image with its content, or with the reason why it has no result.

        Raises:
            OSError: the store cannot be written.
        """
        records = [_record(path, content) for path, content in images]
        new = [*([] if self._images else [{"key": self._key}]), *records]
        with self._store.open("ab" if self._images else "wb") as file:
            file.write("".join(json.dumps(record) + "\n" for record in new).encode())
        self._images += records

    def write(self, folder: Path) -> None:
        """Write the COCO files into a folder. Raises OSError."""
        done = [image for image in self._images if "objects" in image]
        phrases = list(dict.fromkeys([*self._phrases, *(item["label"] for image in done for item in image["objects"])]))
        annotations: list[dict[str, Any]] = []
        results: list[dict[str, Any]] = []
        for image_id, image in enumerate(done, 1):
            for item in image["objects"]:
                category_id = phrases.index(item["label"]) + 1
                result = {"image_id": image_id, "category_id": category_id, "segmentation": item["segmentation"], "score": item["score"]}
                results.append(result)
                more = {key: item[key] for key in ("bbox", "area", "predicted_iou")}
                annotations.append({"id": len(annotations) + 1, **result, **more, "iscrowd": 0})
        names = ("file_name", "height", "width")
        content = {
            "info": {"description": f"lang2segtrack {__version__}, {self.description}"},
            "images": [{"id": image_id, **{key: image[key] for key in names}} for image_id, image in enumerate(done, 1)],
            "categories": [{"id": category_id, "name": phrase} for category_id, phrase in enumerate(phrases, 1)],
            "annotations": annotations,
            "failed": [image for image in self._images if "reason" in image],
        }
        folder.mkdir(parents=True, exist_ok=True)
        for name, value in (("instances.json", content), ("results.json", results)):
            (folder / name).write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")


def _record(path: Path, content: str | Content) -> dict[str, Any]:
    """Return the line of an image in the store."""
    if isinstance(content, str):
        return {"file_name": str(path), "reason": content}
    (height, width), objects = content
    return {"file_name": str(path), "height": height, "width": width, "objects": [_object_record(item) for item in objects]}


def _object_record(item: SegmentedObject) -> dict[str, Any]:
    x1, y1, x2, y2 = item.box
    return {
        "label": item.label,
        "bbox": [round(value, 2) for value in (x1, y1, x2 - x1, y2 - y1)],
        "area": int(np.count_nonzero(item.mask)),
        "segmentation": {"size": [item.rle.height, item.rle.width], "counts": item.rle.counts},
        "score": round(item.score, 4),
        "predicted_iou": round(item.predicted_iou, 4),
    }
