# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Depth gate: pixels at another distance are not part of an object.

A mask can spread from an object to a similar one in front of it or behind it. The gate cuts such a mask where depth shows another
distance. Cells without depth stay. Cells beside a cell at the object's own distance stay too, because depth is wrong at edges. The gate
is coarse on purpose: it separates objects and does not refine the edges of masks.

All functions are batched and run on the device without synchronization.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

GATE_M = 0.2
GATE_RATIO = 0.05
"""An object extends at least 20 cm and 5 % of its distance to the front and to the back."""
GATE_GROWTH = 0.2
"""Relative growth of the gate on every frame on which the object is not visible. The object may return at another distance."""
MIN_CELLS = 3
"""Minimum number of cells with depth inside a mask to update the distance of its object."""
SMOOTHING = 0.3
"""Weight of the current frame in the running mean of the distance."""


def outside_depth_gate(depth: Tensor, distance: Tensor, frames_unseen: Tensor) -> Tensor:
    """Return the cells that certainly show something at another distance than each object.

    Args:
        depth: [m, m] in meters, NaN for unknown depth.
        distance: [N], distances of the objects in meters. The gate of an object with NaN excludes no cell.
        frames_unseen: int64 [N], frames since each object was last visible.

    Returns:
        bool [N, m, m].
    """
    gate = (distance * GATE_RATIO).clamp(min=GATE_M) * (1 + GATE_GROWTH * frames_unseen)
    inside = (depth[None] - distance[:, None, None]).abs() <= gate[:, None, None]  # False where depth or distance is unknown
    inside_or_beside = F.max_pool2d(inside[:, None].float(), 3, stride=1, padding=1)[:, 0] > 0
    return depth.isfinite()[None] & distance.isfinite()[:, None, None] & ~inside_or_beside


def update_distances(depth: Tensor, low_res_logits: Tensor, distance: Tensor) -> Tensor:
    """Return the distances of the objects after a frame.

    Args:
        depth: [m, m] in meters, NaN for unknown depth.
        low_res_logits: [N, m, m] mask logits of the objects on the frame.
        distance: [N], distances before the frame in meters, NaN for unknown.

    Returns:
        [N] in meters. Objects with too few cells with depth keep their distance.
    """
    core = -F.max_pool2d(-(low_res_logits > 0).float()[:, None], 3, stride=1, padding=1)[:, 0] > 0  # the rim may show an occluder
    measured = core & depth.isfinite()[None]
    median = torch.where(measured, depth[None], float("nan")).flatten(1).nanmedian(dim=1).values
    mixed = torch.where(distance.isfinite(), distance + SMOOTHING * (median - distance), median)
    return torch.where(measured.flatten(1).sum(1) >= MIN_CELLS, mixed, distance).to(distance.dtype)
