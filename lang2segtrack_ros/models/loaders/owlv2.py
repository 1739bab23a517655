# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Loader of OWLv2."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import Owlv2Config, Owlv2ForObjectDetection

from lang2segtrack_ros.detection.owlv2 import Owlv2Detector
from lang2segtrack_ros.models.families import LoadOptions
from lang2segtrack_ros.models.strict_loading import load_strictly
from lang2segtrack_ros.segmentation.precision import cast_layers


def load(folder: Path, raw: dict[str, Any], options: LoadOptions) -> Owlv2Detector:
    """Load an OWLv2 detector; see `families.Loader`.

    Args:
        folder: folder of the checkpoint.
        raw: its config.json.
        options: name and settings.

    Raises:
        WeightsError: the weights cannot be read, or do not fit the network.
        ValueError: the tokenizer or the image settings cannot be read.
    """
    model = load_strictly(Owlv2ForObjectDetection, folder, Owlv2Config.from_dict(raw))
    if options.dtype == torch.bfloat16:
        cast_layers(model.owlv2)  # the heads run in float32
    return Owlv2Detector.from_folder(model.to(options.device), folder, options.name, options.dtype)
