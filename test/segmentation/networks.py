# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Tiny networks with random weights: EdgeTAM with a backbone of this file or of timm, and the tracker of SAM 3."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoModel,
    EdgeTamVideoConfig,
    EdgeTamVideoModel,
    PreTrainedConfig,
    PreTrainedModel,
    Sam3TrackerVideoConfig,
    Sam3TrackerVideoModel,
)
from transformers.modeling_outputs import BaseModelOutput

HIDDEN = 128
MEMORY = 64
COMMON = {
    "memory_attention_hidden_size": HIDDEN,
    "memory_attention_num_layers": 2,
    "memory_encoder_hidden_size": HIDDEN,
    "memory_encoder_output_channels": MEMORY,
    "mask_downsampler_embed_dim": HIDDEN,
    "memory_fuser_embed_dim": HIDDEN,
    "memory_fuser_intermediate_dim": 64,
    "mask_decoder_config": {"hidden_size": HIDDEN, "mlp_dim": 64, "num_attention_heads": 2, "iou_head_hidden_dim": 32},
}
WIDTHS = (8, 16, 24, 32)


class FourLevelsConfig(PreTrainedConfig):
    model_type = "four_levels"


class FourLevels(PreTrainedModel):
    """A backbone with the outputs of a timm backbone: four maps at strides 4, 8, 16 and 32."""

    config_class = FourLevelsConfig

    def __init__(self, config: FourLevelsConfig) -> None:
        super().__init__(config)
        channels = (3, *WIDTHS)
        steps = (4, 2, 2, 2)
        self.stages = nn.ModuleList(nn.Conv2d(channels[index], channels[index + 1], step, step) for index, step in enumerate(steps))
        self.post_init()

    def forward(self, pixel_values: Tensor, **_: Any) -> BaseModelOutput:
        levels = []
        for stage in self.stages:
            pixel_values = stage(pixel_values).tanh()
            levels.append(pixel_values)
        return BaseModelOutput(last_hidden_state=levels)


AutoConfig.register("four_levels", FourLevelsConfig)
AutoModel.register(FourLevelsConfig, FourLevels)


def random_model(model_class: type[PreTrainedModel], config: PreTrainedConfig) -> Any:
    """Return a model with random weights that let every input change the output. The initial values of transformers switch parts off."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        model = model_class(config)
        for name, value in model.named_parameters():
            noise = torch.randn(value.shape)
            if value.dim() > 1:
                value.copy_(noise * max(value[0].numel(), 1) ** -0.5)
            elif "norm" not in name or name.endswith("bias"):
                value.copy_(0.1 * noise + (0.3 if name.endswith("scale") else 0.0))
        model.mask_decoder.pred_obj_score_head.proj_out.bias.fill_(1.0)  # most objects are visible
    return model.eval().requires_grad_(False)


def tiny_edgetam(architecture: str = "") -> Any:
    """Return an EdgeTAM with images of 128 pixels, a map of 8 x 8 cells, and memories of 8 + 16 latents.

    Args:
        architecture: name of a backbone of timm; empty for the backbone of this file, which needs no timm.
    """
    backbone: dict[str, Any] = {"model_type": "four_levels"}
    widths = WIDTHS
    if architecture:
        arguments = {"in_chans": 3, "features_only": True, "out_indices": [0, 1, 2, 3]}
        backbone = {"model_type": "timm_wrapper", "architecture": architecture, "model_args": arguments, "num_classes": 2}
        import timm

        widths = tuple(timm.create_model(architecture, **arguments).feature_info.channels())
    config = EdgeTamVideoConfig(
        vision_config={
            "model_type": "edgetam_vision_model",
            "backbone_config": backbone,
            "backbone_channel_list": list(widths[::-1]),
            "backbone_feature_sizes": [[32, 32], [16, 16], [8, 8]],
            "fpn_hidden_size": HIDDEN,
        },
        prompt_encoder_config={"hidden_size": HIDDEN, "image_size": 128},
        image_size=128,
        memory_attention_mlp_hidden_size=64,
        memory_attention_rope_feat_sizes=[8, 8],
        memory_attention_rope_k_sizes=[4, 4],
        perceiver_resampler_num_latents=8,
        perceiver_resampler_num_latents_2d=16,
        perceiver_resampler_mlp_intermediate_size=64,
        **COMMON,
    )
    return random_model(EdgeTamVideoModel, config)


def tiny_sam3_tracker() -> Any:
    """Return a tracker of SAM 3 with images of 112 pixels, patches of 14 pixels, and a map of 8 x 8 cells."""
    backbone = {
        "model_type": "sam3_vit_model",
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "window_size": 4,
        "global_attn_indexes": [1],
        "pretrain_image_size": 56,
        "image_size": 112,
    }
    config = Sam3TrackerVideoConfig(
        vision_config={"model_type": "sam3_vision_model", "backbone_config": backbone, "fpn_hidden_size": HIDDEN},
        prompt_encoder_config={"hidden_size": HIDDEN},
        image_size=112,
        memory_attention_feed_forward_hidden_size=64,
        **COMMON,
    )
    return random_model(Sam3TrackerVideoModel, config)


def save_as_published(model: Any, folder: Path) -> None:
    """Save a tracker of SAM 3 as the hub has it: one file with the detector, whose other tensors the tracker does not need."""
    folder.mkdir(exist_ok=True)
    tensors = {"detector_model.detr_encoder.layers.0.mlp.fc1.bias": torch.zeros(4)}
    for name, value in model.state_dict().items():
        prefixes = {"vision_encoder.backbone.": "detector_model.vision_encoder.backbone.", "vision_encoder.neck.": "tracker_neck."}
        old = next((prefix for prefix in prefixes if name.startswith(prefix)), "")
        tensors[prefixes.get(old, "tracker_model.") + name[len(old) :]] = value.contiguous()
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    raw = {"model_type": "sam3_video", "tracker_config": model.config.to_dict()}
    (folder / "config.json").write_text(json.dumps(raw), encoding="utf-8")
