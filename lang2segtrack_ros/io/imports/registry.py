# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""All formats that can be read, by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from lang2segtrack_ros.io.imports.coco import read_coco
from lang2segtrack_ros.io.imports.cvat import read_cvat
from lang2segtrack_ros.io.imports.davis import read_davis
from lang2segtrack_ros.io.imports.labels import LabeledVideo
from lang2segtrack_ros.io.imports.mot import read_mot
from lang2segtrack_ros.io.imports.youtube_vis import read_youtube_vis

READERS: dict[str, Callable[[Path, str], LabeledVideo]] = {
    "coco": read_coco,
    "ytvis": read_youtube_vis,
    "mot": read_mot,
    "davis": read_davis,
    "cvat": read_cvat,
}
"""Readers by the name of their format. Arguments: file or folder, and the video in it; they raise LabelError."""
