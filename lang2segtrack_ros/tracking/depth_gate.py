# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""What stands at another distance is not part of the object. Batched, on the device, without synchronisation.

A mask that spreads from an object to its look-alike in front or behind is cut where depth says so. Cells beside one at the object's
own distance stay, because depth is wrong at edges; so do cells without depth. Coarse on purpose: it tells objects apart, it does not
trim masks.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

GATE_M = 0.2
GATE_SHARE = 0.05
"""An object reaches at least 20 cm and 5 % of its distance to the front and back."""
GROWTH = 0.2
"""The reach grows by this share of itself on every frame on which the object is hidden: it may come back at another distance."""
LEAST_CELLS = 3
WEIGHT = 0.3
"""Of a frame in the running mean of the distance."""


def outside_depth_gate(depth: Tensor, distance: Tensor, frames_unseen: Tensor) -> Tensor:
    """Which cells surely show something at another distance than each object.

    Args:
        depth: [m, m] metres, NaN unknown.
        distance: [N] metres, NaN unknown: such objects may be anywhere.
        hidden: int64 [N], frames since each was last visible.

    Returns:
        bool [N, m, m].
    """
    reach = (distance * GATE_SHARE).clamp(min=GATE_M) * (1 + GROWTH * frames_unseen)
    near = (depth[None] - distance[:, None, None]).abs() <= reach[:, None, None]  # False where either is unknown
    beside = F.max_pool2d(near[:, None].float(), 3, stride=1, padding=1)[:, 0] > 0
    return depth.isfinite()[None] & distance.isfinite()[:, None, None] & ~beside


def distances(depth: Tensor, low_res_logits: Tensor, before: Tensor) -> Tensor:
    """The objects' distances [N] after a frame on which their masks were `low` [N, m, m] (logits), from those before it."""
    inside = -F.max_pool2d(-(low_res_logits > 0).float()[:, None], 3, stride=1, padding=1)[:, 0] > 0  # the rim may show what is in front
    known = inside & depth.isfinite()[None]
    seen = torch.where(known, depth[None], float("nan")).flatten(1).nanmedian(dim=1).values
    mixed = torch.where(before.isfinite(), before + WEIGHT * (seen - before), seen)
    return torch.where(known.flatten(1).sum(1) >= LEAST_CELLS, mixed, before).to(before.dtype)
