# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Conversion of original checkpoint files into folders in the layout of transformers.

The original files are sam2.1_hiera_*.pt of SAM 2.1, groundingdino_swint_ogc.pth and groundingdino_swinb_cogcoor.pth of Grounding DINO, and
edgetam.pt of EdgeTAM. Each tensor is used, or named as one that the network does not need.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from lang2segtrack_ros.models import conversion_edgetam, conversion_grounding_dino, conversion_sam2
from lang2segtrack_ros.models.catalogue import WeightsError
from lang2segtrack_ros.models.store import write_checksums

log = logging.getLogger(__name__)
_FAMILIES = {"Grounding DINO": conversion_grounding_dino, "EdgeTAM": conversion_edgetam, "SAM 2.1": conversion_sam2}


def convert(source: Path, target: Path, tokenizer: Path | None = None, report: Callable[[str], None] = log.info) -> Path:
    """Convert an original checkpoint file into a folder that `load_segmenter` or `load_detector` accepts.

    Args:
        source: the file.
        target: the folder to write; it must be empty or absent.
        tokenizer: folder with the tokenizer of bert-base-uncased, for a detector. None fetches it from the hub.
        report: called with a sentence on the tensors that the network does not need.

    Returns:
        The folder.

    Raises:
        WeightsError: `source` cannot be read or is not a known checkpoint, a tensor is missing, unknown or has another shape, there is no
            tokenizer, or `target` is a file or a folder with content.
    """
    if target.is_file() or (target.is_dir() and any(target.iterdir())):
        raise WeightsError(f"{target} exists already: choose another folder, or remove it first")
    tensors = _read(source)
    family = next((name for name, module in _FAMILIES.items() if module.recognizes(tensors)), None)
    if family is None:
        raise WeightsError(f"{source} is not a known checkpoint: it must be an original file of {', '.join(_FAMILIES)}")
    try:
        model, unused = _FAMILIES[family].build(tensors)
    except RuntimeError as error:  # includes WeightsError, whose message does not name the file
        raise WeightsError(f"{source} does not fit {family}: {error}") from error
    if family == "Grounding DINO":
        conversion_grounding_dino.write_processor(model, target, tokenizer)
    model.save_pretrained(target)
    write_checksums(target)
    if unused:
        report(f"{len(unused)} tensors of {source} are for training only, or computed anew: {', '.join(unused)}")
    return target


def _read(source: Path) -> dict[str, Tensor]:
    """Return the tensors of a file by name. Raise WeightsError if it cannot be read or holds none."""
    try:
        loaded = torch.load(source, map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load raises many types of errors for a broken file
        raise WeightsError(f"{source} cannot be read as a torch file: {error}") from error
    tensors = loaded.get("model", loaded) if isinstance(loaded, dict) else {}
    if not isinstance(tensors, dict):
        raise WeightsError(f"{source} is not a known checkpoint: it holds no dictionary of tensors")
    return {name: tensor for name, tensor in tensors.items() if isinstance(name, str) and isinstance(tensor, Tensor)}
