# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Names and configuration of Meta's SAM 2.1 checkpoints (sam2.1_hiera_*.pt) in the layout of transformers."""

from __future__ import annotations

import re
from typing import Any

import torch
from torch import Tensor

from lang2segtrack_ros.models.catalogue import WeightsError

# Key: (width, number of blocks, side of pos_embed).
# Value: (blocks of each stage, heads of the first stage, blocks with global attention, window sizes).
_BACKBONES: dict[tuple[int, int, int], tuple[list[int], int, list[int], list[int]]] = {
    (96, 12, 7): ([1, 2, 7, 2], 1, [5, 7, 9], [8, 4, 14, 7]),  # tiny
    (96, 16, 7): ([1, 2, 11, 2], 1, [7, 10, 13], [8, 4, 14, 7]),  # small
    (112, 24, 14): ([2, 3, 16, 3], 2, [12, 16, 20], [8, 4, 14, 7]),  # base plus
    (144, 48, 7): ([2, 6, 36, 4], 2, [23, 33, 43], [8, 4, 16, 8]),  # large
}

# The rules apply in this order, each to the result of the rule before.
_RENAMES: tuple[tuple[str, str], ...] = (
    (r"^image_encoder\.trunk\.", "vision_encoder.backbone."),
    (r"^image_encoder\.neck\.convs\.(\d+)\.conv\.", r"vision_encoder.neck.convs.\1."),
    (r"patch_embed\.proj\.", "patch_embed.projection."),
    (r"^maskmem_tpos_enc$", "memory_temporal_positional_encoding"),
    (r"^no_mem_embed$", "no_memory_embedding"),
    (r"^no_mem_pos_enc$", "no_memory_positional_encoding"),
    (r"^no_obj_ptr$", "no_object_pointer"),
    (r"^no_obj_embed_spatial$", "occlusion_spatial_embedding_parameter"),
    (r"^obj_ptr_proj\.", "object_pointer_proj."),
    (r"^obj_ptr_tpos_proj\.", "temporal_positional_encoding_projection_layer."),
    (r"^sam_prompt_encoder\.pe_layer\.positional_encoding_gaussian_matrix$", "prompt_encoder.shared_embedding.positional_embedding"),
    (r"^sam_prompt_encoder\.mask_downscaling\.0\.", "prompt_encoder.mask_embed.conv1."),
    (r"^sam_prompt_encoder\.mask_downscaling\.1\.", "prompt_encoder.mask_embed.layer_norm1."),
    (r"^sam_prompt_encoder\.mask_downscaling\.3\.", "prompt_encoder.mask_embed.conv2."),
    (r"^sam_prompt_encoder\.mask_downscaling\.4\.", "prompt_encoder.mask_embed.layer_norm2."),
    (r"^sam_prompt_encoder\.mask_downscaling\.6\.", "prompt_encoder.mask_embed.conv3."),
    (r"^sam_prompt_encoder\.", "prompt_encoder."),
    (r"^sam_mask_decoder\.output_upscaling\.0\.", "mask_decoder.upscale_conv1."),
    (r"^sam_mask_decoder\.output_upscaling\.1\.", "mask_decoder.upscale_layer_norm."),
    (r"^sam_mask_decoder\.output_upscaling\.3\.", "mask_decoder.upscale_conv2."),
    (r"^sam_mask_decoder\.", "mask_decoder."),
    (r"\.norm_final_attn\.", ".layer_norm_final_attn."),
    (r"\.norm(\d?)\.", r".layer_norm\1."),
    (r"\.out_proj\.", ".o_proj."),
    (r"^memory_encoder\.o_proj\.", "memory_encoder.projection."),
    (r"^memory_encoder\.pix_feat_proj\.", "memory_encoder.feature_projection."),
    (r"^memory_encoder\.fuser\.", "memory_encoder.memory_fuser."),
    (r"\.dwconv\.", ".depthwise_conv."),
    (r"\.pwconv(\d)\.", r".pointwise_conv\1."),
    (r"\.gamma$", ".scale"),
)
_TWO_LAYERS = re.compile(r"(\.mlp)\.layers\.([01])\.")
_THREE_LAYERS = re.compile(
    r"(object_pointer_proj|output_hypernetworks_mlps\.\d+|iou_prediction_head|pred_obj_score_head)\.layers\.([012])\."
)
_DOWNSAMPLER = re.compile(r"^memory_encoder\.mask_downsampler\.encoder\.(\d+)\.")
_POINT = re.compile(r"^sam_prompt_encoder\.point_embeddings\.(\d)\.weight$")


def rename(name: str) -> str:
    """Return the name in transformers of one of Meta's tensors.

    The four point embeddings are an exception: `rename_all` joins them into one tensor.
    """
    match = _DOWNSAMPLER.match(name)
    if match:  # the encoder is a sequence of (convolution, norm, activation) and a final convolution
        layer, part = divmod(int(match[1]), 3)
        target = "final_conv" if layer == 4 else f"layers.{layer}.{'conv' if part == 0 else 'layer_norm'}"
        return f"memory_encoder.mask_downsampler.{target}.{name.rpartition('.')[2]}"
    for pattern, replacement in _RENAMES:
        name = re.sub(pattern, replacement, name)
    name = _TWO_LAYERS.sub(lambda m: f"{m[1]}.{('proj_in', 'proj_out')[int(m[2])]}.", name)
    return _THREE_LAYERS.sub(lambda m: f"{m[1]}.{('proj_in', 'layers.0', 'proj_out')[int(m[2])]}.", name)


def rename_all(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename all tensors of a checkpoint to the names in transformers."""
    renamed = {rename(name): tensor for name, tensor in tensors.items() if not _POINT.match(name)}
    points = sorted(name for name in tensors if _POINT.match(name))
    if points:
        renamed["prompt_encoder.point_embed.weight"] = torch.cat([tensors[name] for name in points])
    matrix = renamed.get("prompt_encoder.shared_embedding.positional_embedding")
    if matrix is not None:  # one matrix in Meta's network, but transformers stores it under two names
        renamed["shared_image_embedding.positional_embedding"] = matrix.clone()
    return renamed


def make_config(tensors: dict[str, Tensor]) -> Any:
    """Return the Sam2VideoConfig that fits the tensor shapes of a checkpoint.

    Args:
        tensors: the checkpoint with names of transformers, see `rename_all`.

    Raises:
        WeightsError: the backbone is not one of SAM 2.1.
    """
    from transformers import Sam2HieraDetConfig, Sam2VideoConfig, Sam2VisionConfig

    position = tensors.get("vision_encoder.backbone.pos_embed")
    width, side = (int(position.shape[1]), int(position.shape[-1])) if position is not None and position.dim() == 4 else (0, 0)
    blocks = len({name.split(".")[3] for name in tensors if name.startswith("vision_encoder.backbone.blocks.")})
    if (width, blocks, side) not in _BACKBONES:
        raise WeightsError(f"this is not a known SAM 2.1 checkpoint: its backbone is {width} wide with {blocks} blocks")
    stages, heads, global_blocks, windows = _BACKBONES[width, blocks, side]
    widths = [width * 2**stage for stage in range(4)]
    backbone = Sam2HieraDetConfig(
        hidden_size=width,
        num_attention_heads=heads,
        blocks_per_stage=stages,
        embed_dim_per_stage=widths,
        num_attention_heads_per_stage=[heads * 2**stage for stage in range(4)],
        window_size_per_stage=windows,
        window_positional_embedding_background_size=[side, side],
        global_attention_blocks=global_blocks,
    )
    return Sam2VideoConfig(vision_config=Sam2VisionConfig(backbone_config=backbone, backbone_channel_list=widths[::-1]))


def recognizes(tensors: dict[str, Tensor]) -> bool:
    """Return whether the names of the tensors are those of SAM 2.1."""
    return "image_encoder.trunk.pos_embed" in tensors


def build(tensors: dict[str, Tensor]) -> tuple[Any, list[str]]:
    """Return the Sam2VideoModel with the tensors of a checkpoint, and an empty list, because it uses all of them.

    Args:
        tensors: the checkpoint.

    Raises:
        WeightsError: the backbone is not one of SAM 2.1.
        RuntimeError: a tensor is missing or has another shape, or there are further tensors.
    """
    from transformers import Sam2VideoModel

    renamed = rename_all(tensors)
    model = Sam2VideoModel(make_config(renamed))
    model.load_state_dict(renamed, strict=True)
    return model, []
