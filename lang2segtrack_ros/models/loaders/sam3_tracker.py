# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Loader of the SAM 3 tracker."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transformers import Sam3TrackerVideoConfig, Sam3TrackerVideoModel

from lang2segtrack_ros.models.families import LoadOptions
from lang2segtrack_ros.models.loaders.sam2 import load_video_model
from lang2segtrack_ros.segmentation.sam2 import Sam2Segmenter
from lang2segtrack_ros.segmentation.sam3_tracker import Sam3TrackerSegmenter


def load(folder: Path, raw: dict[str, Any], options: LoadOptions) -> Sam2Segmenter:
    """Load a SAM 3 tracker, alone or from the published files of detector and tracker; see `families.Loader`.

    Args:
        folder: folder of the checkpoint.
        raw: its config.json.
        options: name and settings.

    Raises:
        WeightsError: the weights cannot be read or do not fit the network, or the image size is not possible.
    """
    classes = (Sam3TrackerSegmenter, Sam3TrackerVideoModel, Sam3TrackerVideoConfig)
    return load_video_model(classes, raw.get("tracker_config", raw), folder, options)
