# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Casts of the weights of a network to bfloat16."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn.modules.batchnorm import _BatchNorm


def cast_parameters(parts: Sequence[torch.nn.Module]) -> None:
    """Cast parts of a network to bfloat16: the weights and therefore all activations. Layer norms keep float32 statistics.

    Batch norms stay in float32 with their statistics, and so do all buffers, such as the angles of rotary position encodings.

    Args:
        parts: the parts.
    """
    for part in parts:
        for layer in part.modules():
            if not isinstance(layer, _BatchNorm):
                for value in layer.parameters(recurse=False):
                    value.data = value.data.to(torch.bfloat16)


def cast_layers(part: torch.nn.Module) -> None:
    """Cast the weights of linear and convolution layers of a network that runs under autocast to bfloat16.

    Autocast runs these layers in bfloat16, so that the results stay equal to the last bit and the weights take half the memory. Otherwise
    autocast would cast the weights on every image, because it caches casted weights in training only.
    """
    for layer in part.modules():
        if isinstance(layer, (torch.nn.Linear, torch.nn.Conv2d, torch.nn.ConvTranspose2d)):
            layer.to(torch.bfloat16)
