# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Small random detectors, saved in the layout of the published checkpoints: config, tokenizer, image settings and safetensors."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import torch

from lang2segtrack_ros.models import catalogue

TOY = catalogue.TOY_FOLDER / "detector"


def save_mm_grounding_dino(folder: Path) -> Path:
    """Save an MM-Grounding-DINO with the structure of the toy detector, sharp attention, and a bias of the contrastive head."""
    from transformers import MMGroundingDinoConfig, MMGroundingDinoForObjectDetection

    raw = json.loads((TOY / "config.json").read_text())
    for key in ("model_type", "architectures", "two_stage_bbox_embed_share"):
        del raw[key]
    raw |= {"decoder_bbox_embed_share": False, "decoder_cls_embed_share": False}  # as in the published checkpoints
    config = MMGroundingDinoConfig(**raw)
    torch.manual_seed(5)
    model = MMGroundingDinoForObjectDetection(config).eval().requires_grad_(False)
    for name, parameter in model.named_parameters():
        if parameter.dim() > 1 and "backbone" not in name:
            parameter.mul_(2.0)
        if name.endswith(("vision_param", "text_param")):
            parameter.fill_(0.5)
        if "class_embed" in name:
            parameter.fill_(-0.7)
    model.save_pretrained(folder)
    for file in ("processor_config.json", "tokenizer.json", "tokenizer_config.json", "vocab.txt"):
        shutil.copy(TOY / file, folder / file)
    return folder
