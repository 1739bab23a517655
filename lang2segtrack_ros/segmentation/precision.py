# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Casts of the weights of a network to bfloat16."""

from __future__ import annotations

from typing import Any

import torch


def cast_network(model: Any) -> None:
    """Cast a segmenter to bfloat16: the weights and therefore all activations. Layer norms keep float32 statistics.

    The prompt encoder, the position encodings and all other embeddings stay in float32.

    Args:
        model: a `Sam2VideoModel`.
    """
    backbone, neck = model.vision_encoder.backbone, model.vision_encoder.neck
    image_encoder = (backbone.patch_embed, backbone.blocks, neck)
    for part in (*image_encoder, model.mask_decoder, model.memory_attention, model.memory_encoder, model.object_pointer_proj):
        part.to(torch.bfloat16)


def cast_layers(part: torch.nn.Module) -> None:
    """Cast the weights of linear and convolution layers of a network that runs under autocast to bfloat16.

    Autocast runs these layers in bfloat16, so that the results stay equal to the last bit and the weights take half the memory. Otherwise
    autocast would cast the weights on every image, because it caches casted weights in training only.
    """
    for layer in part.modules():
        if isinstance(layer, (torch.nn.Linear, torch.nn.Conv2d, torch.nn.ConvTranspose2d)):
            layer.to(torch.bfloat16)
