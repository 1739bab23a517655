# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Loader of EdgeTAM."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from typing import Any

import torch

from lang2segtrack_ros.models.catalogue import WeightsError
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
        WeightsError: timm cannot be imported, the weights cannot be read or do not fit the network, or the image size is not possible.
    """
    if importlib.util.find_spec("timm") is not None:  # another backbone works without it
        try:
            importlib.import_module("timm")
        except Exception as error:  # the compiled part of torchvision may raise anything
            raise WeightsError(
                f"timm cannot be imported ({error}): install timm with torchvision, in the build made for torch {torch.__version__}"
            ) from error
    from transformers import EdgeTamVideoConfig, EdgeTamVideoModel

    return load_video_model((EdgeTamSegmenter, EdgeTamVideoModel, EdgeTamVideoConfig), raw, folder, options)
