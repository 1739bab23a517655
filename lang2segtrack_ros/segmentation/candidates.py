# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The candidate masks of a frame, and what policies ask about them. Batched, on the device, without synchronisation."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

_GRID = 64
"""Connected parts are found on masks of at most this side."""


@dataclass(frozen=True)
class Candidates:
    """M candidate masks of N objects.

    Attributes:
        masks: [N, M, h, w] mask logits; all of an object that is not visible are far below 0.
        ious: float32 [N, M] predicted IoU.
        object_score: float32 [N] logits.
        image_size: side of the network's square image, 4 h.
        at_once: most objects whose masks are upsampled at once.
    """

    masks: Tensor
    ious: Tensor
    object_score: Tensor
    image_size: int
    at_once: int = 1 << 30

    def boxes(self) -> Tensor:
        """Inclusive extents int64 [N, M, 4] = (x_min, y_min, x_max, y_max) in pixels of the square image; 0 where empty."""
        size = (self.image_size, self.image_size)
        upsampled = (F.interpolate(part, size=size, mode="bilinear", align_corners=False) for part in torch.split(self.masks, self.at_once))
        return torch.cat([mask_extents(part > 0) for part in upsampled])


def mask_extents(on: Tensor) -> Tensor:
    """Inclusive extents int64 [..., 4] = (x_min, y_min, x_max, y_max) of bool masks [..., H, W]; 0 where empty."""
    columns, lines = on.any(-2).long(), on.any(-1).long()

    def extent(line: Tensor) -> tuple[Tensor, Tensor]:
        return line.argmax(-1), line.shape[-1] - 1 - line.flip(-1).argmax(-1)

    (x1, x2), (y1, y2) = extent(columns), extent(lines)
    return torch.stack((x1, y1, x2, y2), dim=-1) * columns.amax(-1)[..., None]


def largest_part(on: Tensor, rounds: int = 2 * _GRID) -> Tensor:
    """The largest connected part of bool masks [B, H, W], on a grid of at most 64 x 64 that is scaled back.

    Labels spread to neighbours a fixed number of times, so that no synchronisation is needed; a part that winds through more than
    `rounds` cells counts as several.
    """
    height, width = on.shape[-2:]
    small = F.adaptive_max_pool2d(on.float()[:, None], (min(height, _GRID), min(width, _GRID)))
    cells = small.shape[-2] * small.shape[-1]
    numbers = torch.arange(1, cells + 1, device=on.device, dtype=torch.float32).view(1, 1, *small.shape[-2:])
    labels = numbers * small
    for _ in range(rounds):
        labels = F.max_pool2d(labels, 3, stride=1, padding=1) * small
    flat = labels.flatten(1).long()
    counts = torch.zeros(on.shape[0], cells + 1, device=on.device).scatter_add_(1, flat, torch.ones_like(flat, dtype=torch.float32))
    counts[:, 0] = 0
    best = counts.argmax(1)
    part = (labels == best.view(-1, 1, 1, 1)) & (small > 0)
    return F.interpolate(part.float(), size=(height, width), mode="nearest")[:, 0].bool() & on
