# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Loader of Grounding DINO, MM-Grounding-DINO and LLMDet. The latter two share one network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import (
    GroundingDinoConfig,
    GroundingDinoForObjectDetection,
    MMGroundingDinoConfig,
    MMGroundingDinoForObjectDetection,
)

from lang2segtrack_ros.detection.grounding_dino import GroundingDinoDetector
from lang2segtrack_ros.models.families import LoadOptions
from lang2segtrack_ros.models.strict_loading import load_strictly
from lang2segtrack_ros.segmentation.precision import cast_layers

_NETWORKS: dict[str, tuple[Any, Any]] = {
    "grounding-dino": (GroundingDinoConfig, GroundingDinoForObjectDetection),
    "mm-grounding-dino": (MMGroundingDinoConfig, MMGroundingDinoForObjectDetection),
}


def load(folder: Path, raw: dict[str, Any], options: LoadOptions) -> GroundingDinoDetector:
    """Load a detector with the structure of Grounding DINO; see `families.Loader`.

    Args:
        folder: folder of the checkpoint.
        raw: its config.json.
        options: name and settings.

    Raises:
        WeightsError: the weights cannot be read, or do not fit the network.
        ValueError: the tokenizer or the image settings cannot be read, or the network has an unsupported structure.
    """
    config_class, model_class = _NETWORKS[raw["model_type"]]
    model = load_strictly(model_class, folder, config_class.from_dict({**raw, "disable_custom_kernels": True}))
    if options.dtype == torch.bfloat16:
        cast_layers(model)
    detector = GroundingDinoDetector.from_folder(model.to(options.device), folder, options.name, options.dtype, options.passes)
    detector.acceleration = options.acceleration
    return detector
