# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Loader of SAM 2 and SAM 2.1."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transformers import Sam2VideoConfig, Sam2VideoModel

from lang2segtrack_ros.models.families import LoadOptions
from lang2segtrack_ros.models.loading import resize
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
    return load_video_model(Sam2Segmenter, Sam2VideoModel, Sam2VideoConfig.from_dict(raw), folder, options)


def load_video_model(network: type[Sam2Segmenter], model_class: Any, config: Any, folder: Path, options: LoadOptions) -> Sam2Segmenter:
    """Load a segmenter with the modules of SAM 2.

    Args:
        network: class of the segmenter.
        model_class: class of its model in transformers.
        config: configuration of the model.
        folder: folder of the checkpoint.
        options: name and settings.

    Raises:
        WeightsError: see `load`.
    """
    if options.image_size is not None and options.image_size != config.image_size:
        resize(network, config, options.image_size)
    model = load_strictly(model_class, folder, config)
    segmenter = network(model.to(options.device), options.name, options.dtype)
    segmenter.acceleration = options.acceleration
    if segmenter.acceleration in ("compile", "max"):
        segmenter.compile(mode="max-autotune-no-cudagraphs" if segmenter.acceleration == "max" else None)
    return segmenter
