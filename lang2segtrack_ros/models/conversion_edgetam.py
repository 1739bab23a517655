# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Names and configuration of EdgeTAM's original checkpoint (edgetam.pt) in the layout of transformers.

The file is part of https://github.com/facebookresearch/EdgeTAM. Most names are those of SAM 2. The image encoder is a RepViT of timm, and
a perceiver compresses the memories.
"""

from __future__ import annotations

import importlib.util
import re
from typing import Any

from torch import Tensor

from lang2segtrack_ros.models import conversion_sam2
from lang2segtrack_ros.models.catalogue import WeightsError

_TRUNK = "image_encoder.trunk.body."
_ARCHITECTURE = "repvit_m1"  # of timm
# The rules apply in this order, each to the result of the rule before.
_PERCEIVER: tuple[tuple[str, str], ...] = (
    (r"\.latents$", ".latents_1d"),
    (r"\.attn\.norm_x\.", ".layer_norm_input."),
    (r"\.attn\.norm_latents\.", ".layer_norm_latents."),
    (r"\.self_attn\.norm\.", ".layer_norm_self."),
    (r"\.norm\.", ".layer_norm."),
    (r"\.attn\.", ".cross_attention."),
    (r"\.self_attn\.", ".self_attention."),
    (r"\.to_(q|k|v)\.", r".\1_proj."),
    (r"\.to_out\.", ".o_proj."),
    (r"\.(self_)?ff\.0\.", r".\1mlp.layer_norm."),
    (r"\.(self_)?ff\.1\.", r".\1mlp.up_proj."),
    (r"\.(self_)?ff\.3\.", r".\1mlp.down_proj."),
)
_MEMORY_MLP = re.compile(r"^(memory_attention\.layers\.\d+)\.linear([12])\.")


def _rename_perceiver(name: str) -> str:
    """Return the name in transformers of a tensor of the perceiver."""
    for pattern, replacement in _PERCEIVER:
        name = re.sub(pattern, replacement, name)
    return name


def rename_all(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename all tensors of a checkpoint to the names in transformers, and split the tensors that hold key and value."""
    renamed: dict[str, Tensor] = {}
    others: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if name.startswith(_TRUNK):
            renamed[f"vision_encoder.backbone.timm_model.{name.removeprefix(_TRUNK)}"] = tensor
        elif not name.startswith("spatial_perceiver."):
            others[_MEMORY_MLP.sub(lambda m: f"{m[1]}.mlp.{('up_proj', 'down_proj')[int(m[2]) - 1]}.", name)] = tensor
        elif ".to_kv." in name:
            for part, rows in zip("kv", tensor.chunk(2)):
                renamed[_rename_perceiver(name.replace(".to_kv.", f".to_{part}."))] = rows.contiguous()
        else:
            renamed[_rename_perceiver(name)] = tensor
    return {**renamed, **conversion_sam2.rename_all(others)}


def make_config() -> Any:
    """Return the EdgeTamVideoConfig of the published checkpoint."""
    from transformers import EdgeTamVideoConfig, EdgeTamVisionConfig, TimmWrapperConfig

    backbone = TimmWrapperConfig(architecture=_ARCHITECTURE, model_args={"in_chans": 3, "features_only": True, "out_indices": [0, 1, 2, 3]})
    return EdgeTamVideoConfig(
        vision_config=EdgeTamVisionConfig(backbone_config=backbone),
        enable_temporal_pos_encoding_for_object_pointers=False,
        enable_occlusion_spatial_embedding=False,
    )


def recognizes(tensors: dict[str, Tensor]) -> bool:
    """Return whether the names of the tensors are those of EdgeTAM."""
    return "spatial_perceiver.latents" in tensors


def build(tensors: dict[str, Tensor]) -> tuple[Any, list[str]]:
    """Return the EdgeTamVideoModel with the tensors of a checkpoint, and an empty list, because it uses all of them.

    Args:
        tensors: the checkpoint.

    Raises:
        WeightsError: timm is not installed.
        RuntimeError: a tensor is missing or has another shape, or there are further tensors.
    """
    if importlib.util.find_spec("timm") is None:
        raise WeightsError("its image encoder is a network of timm, which is not installed: pip install timm")
    from transformers import EdgeTamVideoModel

    model = EdgeTamVideoModel(make_config())
    model.load_state_dict(rename_all(tensors), strict=True)
    return model, []
