# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Loader of SAM 2 and SAM 2.1."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transformers import Sam2VideoConfig, Sam2VideoModel

from lang2segtrack_ros.models.catalogue import WeightsError
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
    return load_video_model((Sam2Segmenter, Sam2VideoModel, Sam2VideoConfig), raw, folder, options)


def load_video_model(
    classes: tuple[type[Sam2Segmenter], Any, Any], raw: dict[str, Any], folder: Path, options: LoadOptions
) -> Sam2Segmenter:
    """Load a segmenter with the modules of SAM 2.

    Args:
        classes: class of the segmenter, and those of its model and of its configuration in transformers.
        raw: configuration of the model.
        folder: folder of the checkpoint.
        options: name and settings.

    Raises:
        WeightsError: see `load`.
    """
    network, model_class, config_class = classes
    try:
        config = config_class.from_dict(raw)
    except Exception as error:  # transformers checks types and values, each with its own errors
        raise WeightsError(f"{folder}/config.json does not describe the network of a {network.__name__}: {error}") from error
    if options.image_size is not None and options.image_size != config.image_size:
        resize(network, config, options.image_size)
    model = load_strictly(model_class, folder, config)
    try:
        segmenter = network(model.to(options.device), options.name, options.dtype)
    except ValueError as error:
        raise WeightsError(f"{folder} cannot be used: {error}") from error
    segmenter.acceleration = options.acceleration
    if segmenter.acceleration in ("compile", "max"):
        segmenter.compile(mode="max-autotune-no-cudagraphs" if segmenter.acceleration == "max" else None)
    return segmenter
