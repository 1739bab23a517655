# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Strict loading of published weights into a network of transformers."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import torch

from lang2segtrack_ros.models.catalogue import WeightsError

log = logging.getLogger(__name__)


def load_strictly(cls: Any, folder: Path, config: Any, dtype: torch.dtype = torch.float32) -> Any:
    """Load weights strictly. A missing tensor or a wrong shape is an error, not a warning.

    Args:
        cls: model class of transformers.
        folder: folder with the weights.
        config: configuration of the model.
        dtype: number format of the loaded model.

    Raises:
        WeightsError: the weights cannot be read, or do not fit the network.
    """
    from transformers.utils import logging as transformers_logging

    progress_bar = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        model, info = cls.from_pretrained(
            folder,
            config=config,
            dtype=dtype,
            local_files_only=True,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # they are refused below, with their names
        )
    except Exception as error:  # safetensors, torch and transformers each raise their own errors for a broken file
        raise WeightsError(f"the weights in {folder} cannot be loaded: {error}") from error
    finally:
        if progress_bar:
            transformers_logging.enable_progress_bar()
    missing = sorted(info["missing_keys"])
    if missing or info.get("mismatched_keys"):
        wrong = missing or sorted(str(key) for key in info["mismatched_keys"])
        raise WeightsError(
            f"the weights in {folder} do not fit the network: {len(wrong)} tensors are missing or misshapen, the first is {wrong[0]}"
        )
    if info["unexpected_keys"]:
        log.warning("%s: %d tensors are not used, the first is %s", folder, len(info["unexpected_keys"]), min(info["unexpected_keys"]))
    return model.eval().requires_grad_(False)
