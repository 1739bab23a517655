# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Loader of SAM 3 as a detector, from a checkpoint of the image model or from the published one of the video model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import Sam3Config, Sam3Model

from lang2segtrack_ros.detection.sam3 import Sam3Detector
from lang2segtrack_ros.models.families import LoadOptions
from lang2segtrack_ros.models.strict_loading import load_strictly
from lang2segtrack_ros.segmentation.precision import cast_layers


def load(folder: Path, raw: dict[str, Any], options: LoadOptions) -> Sam3Detector:
    """Load SAM 3 as a detector; see `families.Loader`.

    Args:
        folder: folder of the checkpoint.
        raw: its config.json.
        options: name and settings.

    Raises:
        WeightsError: the weights cannot be read, or do not fit the network.
        ValueError: the tokenizer cannot be read.
    """
    config = Sam3Config.from_dict(raw.get("detector_config", raw))  # the published file is that of the video model
    model = load_strictly(Sam3Model, folder, config)
    if options.dtype == torch.bfloat16:
        cast_layers(model)
    return Sam3Detector.from_folder(model.to(options.device), folder, options.name, options.dtype)
