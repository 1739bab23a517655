# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Two objects that claim the same pixels: one of them has slipped onto the other.

The idea of SAM2MOT (arXiv:2504.04519): each object has a history of scores; when two masks cover each other for some frames, the one
whose scores on these frames fell further below its own history, in sum, is the one that slipped (the sum, because the jump itself
shows on one frame: after it the motion model follows the wrong object as well). It is shown as hidden, and gets back the memory that it had
before the overlap, so that it looks for what it used to be. Everything is batched and stays on the device.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

CLAIM_OVERLAP = 0.7
"""Two objects claim the same pixels when their masks share this much of the smaller one."""
CLAIM_FRAMES = 3
"""For this many frames in a row, before it is settled."""
HISTORY_WEIGHT = 0.1
"""Weight of a frame in the running mean of an object's scores, while nothing overlaps it."""


@dataclass(frozen=True)
class Verdict:
    """What arbitration says of N objects on a frame: who slipped, and the state of the histories after it.

    slipped bool [N]; contested int64 [N] frames in a row; deficit float32 [N], sum over them of how far scores fell below trust;
    trust float32 [N] running mean of scores, NaN before the first.
    """

    slipped: Tensor
    contested: Tensor
    deficit: Tensor
    trust: Tensor


def arbitrate(low: Tensor, score: Tensor, contested: Tensor, deficit: Tensor, trust: Tensor) -> Verdict:
    """Settles the claims of one frame.

    Args:
        low: [N, h, w] mask logits.
        score: [N] how good each mask is, 0..1: predicted IoU, and agreement with the motion model where there is one.
        contested: from the verdict on the frame before.
        deficit: likewise.
        trust: likewise.
    """
    on = (low > 0).flatten(1).float()
    area = on.sum(1)
    shared = on @ on.T
    smaller = torch.minimum(area[:, None], area[None]).clamp(min=1)
    overlap = (shared / smaller).fill_diagonal_(0.0)
    claim = overlap > CLAIM_OVERLAP
    claimed = claim.any(1)
    contested = torch.where(claimed, contested + 1, 0)
    history = torch.where(torch.isnan(trust), score, trust)
    deficit = torch.where(claimed, deficit + history - score, 0.0)

    rival = overlap.argmax(1)
    later = torch.arange(len(deficit), device=deficit.device) > rival
    worse = (deficit > deficit[rival]) | ((deficit == deficit[rival]) & later)
    slipped = claimed & (contested >= CLAIM_FRAMES) & worse

    seen = (area > 0) & ~claimed
    trust = torch.where(seen, torch.where(torch.isnan(trust), score, trust + HISTORY_WEIGHT * (score - trust)), trust)
    return Verdict(slipped, torch.where(slipped, 0, contested), torch.where(slipped, 0.0, deficit), trust)
