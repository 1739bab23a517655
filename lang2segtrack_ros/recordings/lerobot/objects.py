# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The tracked objects beside a LeRobot dataset: one row for each object on each frame of each camera, in a Parquet file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from lang2segtrack_ros.io.exports.trace import LabeledObject

PATH = "objects/chunk-{chunk:03d}/file-{file:03d}.parquet"
"""File of an episode, numbered like the other files of the dataset."""
SCHEMA = pa.schema(
    [
        ("episode_index", pa.int64()),
        ("frame_index", pa.int64()),
        ("index", pa.int64()),
        ("camera", pa.string()),
        ("track_id", pa.int64()),
        ("label", pa.string()),
        ("score", pa.float32()),
        ("bbox", pa.list_(pa.float32(), 4)),
        ("keypoint", pa.list_(pa.float32(), 2)),
        ("mask_size", pa.list_(pa.int32(), 2)),
        ("mask_counts", pa.string()),
    ]
)
"""bbox is (x_min, y_min, x_max, y_max) in pixels, keypoint the center of the box, and the mask COCO's run-length encoding."""
_ROWS = 4096


class ObjectWriter:
    """A writer of the objects of one episode. It keeps a few thousand rows in memory.

    Args:
        path: the file.

    Attributes:
        rows: number of written rows.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.rows = 0
        self._writer = pq.ParquetWriter(path, SCHEMA)
        self._waiting: list[dict[str, Any]] = []

    def add(self, place: dict[str, int], camera: str, item: LabeledObject) -> None:
        """Write an object.

        Args:
            place: episode_index, frame_index and index of the frame.
            camera: name of the camera.
            item: the object.
        """
        x1, y1, x2, y2 = item.box
        self._waiting.append(
            {
                **place,
                "camera": camera,
                "track_id": item.id,
                "label": item.label,
                "score": item.score,
                "bbox": [x1, y1, x2, y2],
                "keypoint": [(x1 + x2) / 2, (y1 + y2) / 2],
                "mask_size": [item.rle.height, item.rle.width],
                "mask_counts": item.rle.counts,
            }
        )
        self.rows += 1
        if len(self._waiting) == _ROWS:
            self._flush()

    def _flush(self) -> None:
        self._writer.write_table(pa.Table.from_pylist(self._waiting, SCHEMA))
        self._waiting = []

    def close(self) -> None:
        """Write the rest, and close the file."""
        self._flush()
        self._writer.close()
