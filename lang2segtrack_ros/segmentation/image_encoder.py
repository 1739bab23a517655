# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The forward pass of Hiera (arXiv:2306.00989), the image encoder of SAM 2, on the loaded modules of transformers.

The results equal those of transformers to the last bit. Its own pass also computes attention weights that have no reader, and copies
windows that need no padding.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def encode_levels(backbone: Any, pixels: Tensor, position: Tensor | None = None) -> list[Tensor]:
    """Return the output of each stage of the backbone, [1, H, W, channels], at strides 4, 8, 16 and 32.

    Args:
        backbone: a `Sam2HieraDetModel`.
        pixels: normalized image [1, 3, S, S] in the type of the weights.
        position: from `position_embedding`; None computes it.
    """
    x = backbone.patch_embed(pixels)
    # Each layer norm would copy the order of axes that the convolution returns.
    x = x + position_embedding(backbone, x.shape[1]) if position is None else x.contiguous() + position
    levels = []
    for index, block in enumerate(backbone.blocks):
        x = _block(block, x)
        if index in backbone.stage_ends:
            levels.append(x)
    return levels


def position_embedding(backbone: Any, side: int) -> Tensor:
    """Return the absolute position embedding [1, side, side, channels] of a square map of patches (arXiv:2311.05613)."""
    position = F.interpolate(backbone.pos_embed, size=(side, side), mode="bicubic")
    windows = backbone.pos_embed_window
    tiled: Tensor = windows.tile([x // y for x, y in zip(position.shape, windows.shape)])
    return (position + tiled).permute(0, 2, 3, 1)


def _block(block: Any, x: Tensor) -> Tensor:
    """Apply a block with global attention or attention inside windows to [1, H, W, channels]."""
    normed = block.layer_norm1(x)
    residual = x if block.dim == block.dim_out else _pool(block.proj(normed), block.query_stride)
    if block.window_size:
        stride = block.query_stride[0] if block.query_stride else 1
        mixed = _attend(block.attn, _split(normed, block.window_size))
        mixed = _join(mixed, block.window_size // stride, residual.shape[1], residual.shape[2])
    else:
        mixed = _attend(block.attn, normed)
    x = residual + mixed
    output: Tensor = x + block.mlp(block.layer_norm2(x))
    return output


def _attend(attention: Any, x: Tensor) -> Tensor:
    """Apply self-attention to each of B windows [B, H, W, channels]. Pooled queries make the result smaller."""
    count, height, width, _ = x.shape
    heads = attention.num_attention_heads
    query, key, value = attention.qkv(x).reshape(count, height * width, 3, heads, -1).unbind(2)
    if attention.query_stride:
        query = _pool(query.reshape(count, height, width, -1), attention.query_stride)
        height, width = query.shape[1:3]
        query = query.reshape(count, height * width, heads, -1)
    query, key, value = (item.transpose(1, 2) for item in (query, key, value))
    mixed = F.scaled_dot_product_attention(query, key, value, scale=attention.scale)
    projected: Tensor = attention.proj(mixed.transpose(1, 2).reshape(count, height, width, -1))
    return projected


def _pool(x: Tensor, stride: tuple[int, int] | None) -> Tensor:
    if stride is None:
        return x
    return F.max_pool2d(x.permute(0, 3, 1, 2), kernel_size=stride, stride=stride).permute(0, 2, 3, 1)


def _split(x: Tensor, side: int) -> Tensor:
    """Split [1, H, W, channels] into windows [B, side, side, channels], padded with 0 at the right and at the bottom."""
    _, height, width, channels = x.shape
    below, right = -height % side, -width % side
    if below or right:
        x = F.pad(x, (0, 0, 0, right, 0, below))
    rows, columns = (height + below) // side, (width + right) // side
    return x.view(rows, side, columns, side, channels).transpose(1, 2).reshape(-1, side, side, channels)


def _join(windows: Tensor, side: int, height: int, width: int) -> Tensor:
    """Join windows [B, side, side, channels] to [1, height, width, channels], without their padding."""
    rows, columns = -(-height // side), -(-width // side)
    x = windows.view(rows, columns, side, side, -1).transpose(1, 2).reshape(1, rows * side, columns * side, -1)
    return x if (rows * side, columns * side) == (height, width) else x[:, :height, :width].contiguous()


def merge_convolutions(first: torch.nn.Conv2d, second: torch.nn.Conv2d) -> tuple[Tensor, Tensor]:
    """Return a convolution and the 1 x 1 convolution after it as one: the weight [C', C k k] and the bias [C']."""
    weight, bias = second.weight.flatten(1), second.bias
    assert first.bias is not None
    assert bias is not None
    return weight @ first.weight.flatten(1), weight @ first.bias + bias
