# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Loader of EdgeTAM."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transformers import EdgeTamVideoConfig, EdgeTamVideoModel

from lang2segtrack_ros.models.families import LoadOptions
from lang2segtrack_ros.models.loaders.sam2 import load_video_model
from lang2segtrack_ros.segmentation.edgetam import EdgeTamSegmenter
from lang2segtrack_ros.segmentation.sam2 import Sam2Segmenter


def load(folder: Path, raw: dict[str, Any], options: LoadOptions) -> Sam2Segmenter:
    """Load an EdgeTAM segmenter; see `families.Loader`.

    Args:
        folder: folder of the checkpoint.
        raw: its config.json.
        options: name and settings.

    Raises:
        WeightsError: the weights cannot be read or do not fit the network, or the image size is not possible.
    """
    return load_video_model(EdgeTamSegmenter, EdgeTamVideoModel, EdgeTamVideoConfig.from_dict(raw), folder, options)
