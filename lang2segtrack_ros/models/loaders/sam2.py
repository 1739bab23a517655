# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Loader of SAM 2 and SAM 2.1."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transformers import Sam2VideoConfig, Sam2VideoModel

from lang2segtrack_ros.models.families import LoadOptions
from lang2segtrack_ros.models.loading import _cast_to_bfloat16, resized
from lang2segtrack_ros.models.strict_loading import load_strictly
from lang2segtrack_ros.segmentation.sam2 import Sam2Segmenter


def load(folder: Path, raw: dict[str, Any], options: LoadOptions) -> Sam2Segmenter:
    """Load a SAM 2 segmenter; see `families.Loader`.

    Args:
        folder: folder of the checkpoint.
        raw: its config.json.
        options: name and settings.

    Raises:
        WeightsError: the weights cannot be read or do not fit the network, or the image size is not possible.
    """
    config = Sam2VideoConfig.from_dict(raw)
    if options.image_size is not None and options.image_size != config.image_size:
        config = resized(config, options.image_size)
    model = load_strictly(Sam2VideoModel, folder, config)
    segmenter = Sam2Segmenter(model.to(options.device), options.name, options.dtype)
    _cast_to_bfloat16(segmenter)
    segmenter.acceleration = options.acceleration
    if segmenter.acceleration in ("compile", "max"):
        segmenter.compile(mode="max-autotune-no-cudagraphs" if segmenter.acceleration == "max" else None)
    return segmenter
