# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Attention to the memories of objects without a mask tensor: one chunk of keys for each memory, merged by their log-sum-exp.

A single object has too few queries to occupy a GPU. The chunks run as one batch, as in Flash-Decoding (arXiv:2311.01282): each chunk is
plain attention, which also returns the logarithm of its sum of exponentials (FlashAttention, arXiv:2205.14135). That value gives the
weight of the chunk, and is -inf for a memory that does not exist.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

Kernel = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]
"""Attention of queries [B, H, Q, D] to keys and values [B, H, K, D]: the result [B, H, Q, D] and the log-sum-exp [B, H, Q]."""
TOLERANCE = 0.03
"""Largest difference between a kernel of a library and plain arithmetic on values of about 1, in bfloat16."""
BLOCK = 64
"""Number of queries that one multiprocessor processes at a time."""
_aten: Any = torch.ops.aten

log = logging.getLogger(__name__)


def attend_chunks(
    kernel: Kernel, query: Tensor, keys: Tensor, values: Tensor, valid: Tensor, last: tuple[Tensor, Tensor, Tensor]
) -> Tensor:
    """Attend to S chunks of T keys and to one small chunk with a mask. Each object needs at least one valid key.

    Args:
        kernel: from `find_kernel`.
        query: [N, H, Q, D].
        keys: [N, H, S, T, D].
        values: [N, H, S, T, D].
        valid: bool [N, S], True for chunks that exist.
        last: keys [N, H, P, D], values [N, H, P, D] and bool [N, P], True for keys that exist.

    Returns:
        [N, H, Q, D] in the type of the query.
    """
    count, heads, chunks = keys.shape[:3]
    shared = query[:, :, None].expand(-1, -1, chunks, -1, -1).flatten(1, 2)  # a view for one head
    parts, sums = kernel(shared, keys.flatten(1, 2), values.flatten(1, 2))
    sums = sums.view(count, heads, chunks, -1).masked_fill(~valid[:, None, :, None], -math.inf)
    last_keys, last_values, last_valid = last
    scores = query.to(sums.dtype) @ last_keys.to(sums.dtype).transpose(2, 3) / math.sqrt(query.shape[-1])
    scores = scores.masked_fill(~last_valid[:, None, None], -math.inf)
    total = torch.logaddexp(sums.logsumexp(2), scores.logsumexp(3))
    weights = (sums - total[:, :, None]).exp()[..., None]
    merged = (parts.view(count, heads, chunks, *parts.shape[2:]) * weights).sum(2)
    merged = merged + (scores - total[..., None]).exp() @ last_values.to(sums.dtype)
    return merged.to(query.dtype)


def fills_device(device: torch.device, queries: int) -> bool:
    """Return True if this number of queries occupies a GPU without chunks.

    Args:
        device: the GPU.
        queries: number of queries of all objects and heads.
    """
    multiprocessors: int = torch.cuda.get_device_properties(device).multi_processor_count
    return queries >= 2 * BLOCK * multiprocessors


@lru_cache(maxsize=16)
def find_kernel(device: torch.device, dtype: torch.dtype, queries: int, keys: int, channels: int) -> Kernel:
    """Return the fastest kernel for chunks of this shape that gives the results of plain arithmetic on this device.

    Args:
        device: the device.
        dtype: type of queries, keys and values.
        queries: number of queries of an object.
        keys: number of keys of a chunk.
        channels: channels of a head.
    """
    if device.type == "cpu":
        return _flash_on_cpu
    if device.type != "cuda" or dtype not in (torch.bfloat16, torch.float16):
        return _plain
    generator = torch.Generator(device).manual_seed(0)
    query, key, value = (
        torch.randn(1, 2, length, channels, generator=generator, device=device).to(dtype) for length in (queries, keys, keys)
    )
    shared = query[:, :1].expand(-1, 2, -1, -1)
    expected = _plain(shared[:, :, :BLOCK].float(), key.float(), value.float())
    for kernel in (_cudnn, _flash):
        try:
            found = kernel(shared, key, value)
            wrong = any(bool(((a[:, :, :BLOCK] - b).abs() > TOLERANCE).any()) for a, b in zip(found, expected))
        except RuntimeError as error:  # this GPU or library lacks the kernel
            log.info("%s cannot run: %s", kernel.__name__, error)
            continue
        if not wrong:
            return kernel
        log.warning("%s gives wrong results on this GPU and is not used", kernel.__name__)
    return _plain


def _cudnn(query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
    result = _aten._scaled_dot_product_cudnn_attention(query.contiguous(), key, value, None, True)
    return result[0], result[1].reshape(*query.shape[:2], -1)


def _flash(query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
    result = _aten._scaled_dot_product_flash_attention(query, key, value)
    return result[0], result[1]


def _flash_on_cpu(query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
    result: tuple[Tensor, Tensor] = _aten._scaled_dot_product_flash_attention_for_cpu(query, key, value)
    return result


def _plain(query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
    """Attention in plain arithmetic, for types that no library supports."""
    scores = query @ key.transpose(2, 3) / math.sqrt(query.shape[-1])
    return scores.softmax(-1) @ value, scores.logsumexp(-1)
