# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""SAM 2 video network of two million parameters, initialized for training.

transformers initializes all layers with a standard deviation of 0.02, which suits wide layers with loaded weights. A narrow network
does not learn from that start. The comments below explain each difference.
"""

from __future__ import annotations

import torch
from torch import nn
from transformers import Sam2HieraDetConfig, Sam2VideoConfig, Sam2VideoModel, Sam2VisionConfig
from transformers.models.sam2_video.configuration_sam2_video import Sam2VideoMaskDecoderConfig, Sam2VideoPromptEncoderConfig

IMAGE_SIZE = 192
WIDTH = 128
_STAGES = (24, 48, 96, 160)
_BLOCKS = (1, 2, 3, 1)


def segmenter_config() -> Sam2VideoConfig:
    """Return the architecture of SAM 2.1 with fewer and narrower layers.

    Other modules rely on its 7 memories and 16 object pointers, so these stay.
    """
    feature_size = IMAGE_SIZE // 16
    backbone = Sam2HieraDetConfig(
        hidden_size=_STAGES[0],
        num_attention_heads=1,
        image_size=[IMAGE_SIZE, IMAGE_SIZE],
        blocks_per_stage=list(_BLOCKS),
        embed_dim_per_stage=list(_STAGES),
        num_attention_heads_per_stage=[1, 2, 4, 5],
        window_size_per_stage=[8, 4, 6, 6],
        window_positional_embedding_background_size=[7, 7],
        global_attention_blocks=[sum(_BLOCKS[:3]) - 1],
        mlp_ratio=3.0,
    )
    vision = Sam2VisionConfig(
        backbone_config=backbone,
        backbone_channel_list=list(_STAGES)[::-1],
        backbone_feature_sizes=[[4 * feature_size, 4 * feature_size], [2 * feature_size, 2 * feature_size], [feature_size, feature_size]],
        fpn_hidden_size=WIDTH,
        fpn_top_down_levels=[2, 3],
    )
    return Sam2VideoConfig(
        vision_config=vision,
        prompt_encoder_config=Sam2VideoPromptEncoderConfig(hidden_size=WIDTH, image_size=IMAGE_SIZE, patch_size=16),
        mask_decoder_config=Sam2VideoMaskDecoderConfig(hidden_size=WIDTH, mlp_dim=256, num_attention_heads=4, iou_head_hidden_dim=WIDTH),
        image_size=IMAGE_SIZE,
        memory_attention_hidden_size=WIDTH,
        memory_attention_num_layers=2,
        memory_attention_num_attention_heads=1,
        memory_attention_feed_forward_hidden_size=256,
        memory_attention_dropout=0.0,
        memory_attention_rope_dropout=0.0,
        memory_attention_rope_feat_sizes=[feature_size, feature_size],
        memory_encoder_hidden_size=WIDTH,
        memory_encoder_output_channels=64,
        mask_downsampler_embed_dim=WIDTH,
        memory_fuser_embed_dim=WIDTH,
        memory_fuser_intermediate_dim=256,
        memory_fuser_num_layers=2,
    )


@torch.no_grad()
def new_segmenter(seed: int = 0) -> Sam2VideoModel:
    """Return an untrained network, initialized for training."""
    torch.manual_seed(seed)
    model = Sam2VideoModel(segmenter_config())
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
        elif isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
            nn.init.kaiming_uniform_(module.weight, a=5**0.5)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=0.5)
            continue
        else:
            continue
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    backbone = model.vision_encoder.backbone
    for parameter in (
        model.memory_temporal_positional_encoding,
        model.no_memory_embedding,
        model.no_object_pointer,
        model.occlusion_spatial_embedding_parameter,
        backbone.pos_embed,
        backbone.pos_embed_window,
    ):
        nn.init.trunc_normal_(parameter, std=0.02)
    for layer in model.memory_encoder.memory_fuser.layers:
        layer.scale.fill_(0.1)  # a start at zero would disable the fuser for many steps
    for mlp in model.mask_decoder.output_hypernetworks_mlps:
        mlp.proj_out.weight.mul_(0.5)  # masks must not start saturated
    _align_decoder(model)
    _align_memory(model)
    return model


def _align_decoder(model: Sam2VideoModel) -> None:
    """Initialize the decoder so that a prompt attends to its own position from the first step.

    Prompt and image share one Fourier encoding of positions; in transformers these are two buffers that a checkpoint makes equal. In each
    cross attention of the decoder, queries and keys start with equal, orthogonal projections.
    """
    code = torch.randn(2, WIDTH // 2) * 0.6
    model.shared_image_embedding.positional_embedding.copy_(code)
    model.prompt_encoder.shared_embedding.positional_embedding.copy_(code)
    transformer = model.mask_decoder.transformer
    attentions = [a for layer in transformer.layers for a in (layer.cross_attn_token_to_image, layer.cross_attn_image_to_token)]
    for attention in [*attentions, transformer.final_attn_token_to_image]:
        nn.init.orthogonal_(attention.q_proj.weight, gain=1.6)
        attention.k_proj.weight.copy_(attention.q_proj.weight)
    nn.init.normal_(model.prompt_encoder.point_embed.weight, std=0.2)


def _align_memory(model: Sam2VideoModel) -> None:
    """Initialize memory attention as a comparison of appearances.

    The product of queries and keys starts as the similarity of current and past features.
    """
    encoder, identity = model.memory_encoder, torch.eye(WIDTH)
    encoder.feature_projection.weight.copy_(identity[:, :, None, None])
    projection = nn.init.orthogonal_(torch.empty(64, WIDTH))
    encoder.projection.weight.copy_(projection[:, :, None, None])
    for layer in model.memory_attention.layers:
        cross = layer.cross_attn_image
        cross.q_proj.weight.copy_(identity)
        cross.k_proj.weight.copy_(projection.T * 1.5)
        layer.self_attn.q_proj.weight.copy_(identity * 0.7)
        layer.self_attn.k_proj.weight.copy_(identity * 0.7)
        for output in (cross.o_proj, layer.self_attn.o_proj, layer.linear2):
            output.weight.mul_(0.5)
