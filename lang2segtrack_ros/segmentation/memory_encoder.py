# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The forward pass of the memory encoder of SAM 2 (arXiv:2408.00714), on the loaded modules of transformers."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

FEW_CHANNELS = 32
"""Largest number of channels for `channel_norm`. The kernel of PyTorch occupies 128 threads for each pixel, which wastes most of them."""


class MemoryEncoder:
    """The memory encoder of a network at one image size.

    Args:
        model: a `Sam2VideoModel`.
        image_size: side of the square input image in pixels.
    """

    def __init__(self, model: Any, image_size: int) -> None:
        self._model = model
        self._size = (image_size, image_size)
        self._mask_size = tuple(4 * side for side in model.prompt_encoder.mask_input_size)  # SAM 3: patches of 14 pixels, masks of 16
        self._is_fused = False

    def fuse(self) -> None:
        """Change to the order of channels and to the layer norms that a GPU runs faster. Values stay the same."""
        self._is_fused = True
        self._model.memory_encoder.to(memory_format=torch.channels_last)

    def __call__(self, maps: Tensor, masks: Tensor, object_score: Tensor, binary: Tensor) -> Tensor:
        """Return the memories [N, HW, 64] of masks on an image, in the type of `maps`.

        Args:
            maps: [1, C, f, f], image features. All objects share their projection.
            masks: [N, h, w] mask logits.
            object_score: [N] logits. A score of 0 or below marks the memory as occluded.
            binary: bool [N], True for masks from a prompt, which are binarized first.
        """
        encoder, config = self._model.memory_encoder, self._model.config
        upsampled = F.interpolate(masks[:, None].to(maps.dtype), size=self._size, mode="bilinear", align_corners=False)
        if self._size != self._mask_size:  # larger, so that no antialiasing is needed
            upsampled = F.interpolate(upsampled, size=self._mask_size, mode="bilinear", align_corners=False)
        soft = torch.where(binary[:, None, None, None], (upsampled > 0).to(maps.dtype), upsampled.sigmoid())
        x = soft * config.sigmoid_scale_for_mem_enc + config.sigmoid_bias_for_mem_enc
        downsampler = encoder.mask_downsampler
        for layer in downsampler.layers:
            x = layer.conv(x)
            few = self._is_fused and x.shape[1] <= FEW_CHANNELS
            x = layer.activation(channel_norm(layer.layer_norm, x) if few else layer.layer_norm(x))
        fused = encoder.memory_fuser(encoder.feature_projection(maps) + downsampler.final_conv(x))
        memory: Tensor = encoder.projection(fused)
        occlusion = self._model.occlusion_spatial_embedding_parameter
        if occlusion is not None:
            hidden = (object_score <= 0).to(maps.dtype)[:, None, None, None]
            memory = memory + hidden * occlusion[..., None, None].to(maps.dtype)
        return memory.flatten(2).transpose(1, 2)


def channel_norm(norm: torch.nn.LayerNorm, x: Tensor) -> Tensor:
    """Apply a layer norm to the channels of each pixel of [N, C, H, W], with float32 statistics."""
    wide = x.float() if x.dtype == torch.bfloat16 else x
    variance, mean = torch.var_mean(wide, dim=1, correction=0, keepdim=True)
    scale = (variance + norm.eps).rsqrt()
    return torch.addcmul(norm.bias[:, None, None], (wide - mean) * scale, norm.weight[:, None, None]).to(x.dtype)
