# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The candidate masks of a frame, and the geometry that memory policies need of them.

All functions are batched and run on the device without synchronization.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from lang2segtrack_ros.runtime.graphs import is_static

_GRID = 64
"""Largest side of the grid on which connected components are labeled."""
_MARGIN = 2  # cells around the positive logits of a mask that bilinear interpolation needs


@dataclass(frozen=True)
class Candidates:
    """M candidate masks of N objects.

    Attributes:
        masks: [N, M, h, w] mask logits. All logits of an invisible object are far below 0.
        ious: float32 [N, M], predicted IoU.
        object_score: float32 [N], logits.
        image_size: side of the grid on which boxes are measured, 4 h. It is the image of SAM 2, whose masks have stride 4.
        upsample_limit: maximum number of objects whose masks are upsampled at the same time.
    """

    masks: Tensor
    ious: Tensor
    object_score: Tensor
    image_size: int
    upsample_limit: int = 1 << 30

    def boxes(self) -> Tensor:
        """Return the boxes of the masks as int64 [N, M, 4].

        A box is the inclusive extent (x_min, y_min, x_max, y_max) in cells of this grid, and 0 for an empty mask.
        """
        if self.masks.device.type == "cpu" and not is_static():
            return _upsampled_extents_on_cpu(self.masks, self.image_size)
        size = (self.image_size, self.image_size)
        batches = torch.split(self.masks, self.upsample_limit)
        upsampled = (F.interpolate(batch, size=size, mode="bilinear", align_corners=False) for batch in batches)
        return torch.cat([mask_extents(batch > 0) for batch in upsampled])


def _upsampled_extents_on_cpu(masks: Tensor, image_size: int) -> Tensor:
    """Compute `Candidates.boxes` only around the positive logits of each mask [N, M, h, w]. The result is the same.

    Masks of similar size are upsampled together.
    """
    flat, (height, width) = masks.flatten(0, 1), masks.shape[-2:]
    extents = np.zeros((len(flat), 4), np.int64)
    scale = image_size // width
    by_size: dict[tuple[int, int], list[tuple[int, int, int]]] = {}
    for index, positive in enumerate((flat > 0).numpy().view(np.uint8)):
        x, y, columns, rows = cv2.boundingRect(positive)
        if columns:
            size = (_rounded(rows + 2 * _MARGIN, height), _rounded(columns + 2 * _MARGIN, width))
            start = max(min(y - _MARGIN, height - size[0]), 0), max(min(x - _MARGIN, width - size[1]), 0)
            by_size.setdefault(size, []).append((index, *start))
    for (rows, columns), crops in by_size.items():
        batch = torch.stack([flat[index, top : top + rows, left : left + columns] for index, top, left in crops])
        upsampled = F.interpolate(batch[:, None], size=(rows * scale, columns * scale), mode="bilinear", align_corners=False)[:, 0] > 0
        for (index, top, left), positive in zip(crops, upsampled.numpy().view(np.uint8)):
            x, y, across, down = cv2.boundingRect(positive)
            if across:
                x, y = x + left * scale, y + top * scale
                extents[index] = x, y, x + across - 1, y + down - 1
    return torch.from_numpy(extents).view(*masks.shape[:2], 4)


def _rounded(cells: int, limit: int) -> int:
    """Round a number of cells up to a multiple of 8, at most `limit`."""
    return min(-(-cells // 8) * 8, limit)


def mask_extents(masks: Tensor) -> Tensor:
    """Return the inclusive extents of bool masks [..., H, W] as int64 [..., 4].

    The order is (x_min, y_min, x_max, y_max). An empty mask has the extent 0.
    """
    columns, rows = masks.any(-2).long(), masks.any(-1).long()

    def extent(occupied: Tensor) -> tuple[Tensor, Tensor]:
        return occupied.argmax(-1), occupied.shape[-1] - 1 - occupied.flip(-1).argmax(-1)

    (x1, x2), (y1, y2) = extent(columns), extent(rows)
    return torch.stack((x1, y1, x2, y2), dim=-1) * columns.amax(-1)[..., None]


def largest_component(masks: Tensor, rounds: int = 2 * _GRID) -> Tensor:
    """Return the largest connected component of each bool mask [B, H, W].

    Components are labeled on a grid of at most 64 x 64 cells, and the result is scaled back. Labels spread to their neighbors for a
    fixed number of rounds, which avoids synchronization with the device.

    Args:
        masks: bool [B, H, W].
        rounds: number of label spreading rounds. A component that winds through more cells counts as several components.

    Returns:
        bool [B, H, W].
    """
    height, width = masks.shape[-2:]
    occupied = F.adaptive_max_pool2d(masks.float()[:, None], (min(height, _GRID), min(width, _GRID)))
    cells = occupied.shape[-2] * occupied.shape[-1]
    cell_ids = torch.arange(1, cells + 1, device=masks.device, dtype=torch.float32).view(1, 1, *occupied.shape[-2:])
    labels = cell_ids * occupied
    for _ in range(rounds):
        labels = F.max_pool2d(labels, 3, stride=1, padding=1) * occupied
    flat = labels.flatten(1).long()
    counts = torch.zeros(masks.shape[0], cells + 1, device=masks.device).scatter_add_(1, flat, torch.ones_like(flat, dtype=torch.float32))
    counts[:, 0] = 0
    largest = counts.argmax(1)
    component = (labels == largest.view(-1, 1, 1, 1)) & (occupied > 0)
    return F.interpolate(component.float(), size=(height, width), mode="nearest")[:, 0].bool() & masks
