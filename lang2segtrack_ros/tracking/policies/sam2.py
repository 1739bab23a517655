# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The memory policy of SAM 2."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lang2segtrack_ros.segmentation.candidates import Candidates
from lang2segtrack_ros.tracking.kalman import BoxState
from lang2segtrack_ros.tracking.memory_bank import EMPTY, RECENT, TRACKED, FrameNumber, MemoryBank
from lang2segtrack_ros.tracking.policies.base import Choice


@dataclass(frozen=True)
class Sam2Policy:
    """SAM 2: choose the candidate with the highest predicted IoU, and read the memories of the last six frames."""

    name: str = "sam2"
    visible_above: float = 0.0
    uses_depth: bool = False

    def choose(self, bank: MemoryBank, frame: FrameNumber, candidates: Candidates) -> Choice:
        """See `Policy.choose`."""
        no_motion_score = torch.full_like(candidates.object_score, float("nan"), dtype=torch.float64)
        state = BoxState(bank.filter_mean, bank.filter_covariance)
        return Choice(candidates.ious.argmax(-1), no_motion_score, torch.ones_like(bank.has_filter), state, bank.has_filter, bank.stable)

    def recent_rows(self, bank: MemoryBank, frame: FrameNumber) -> tuple[Tensor, Tensor]:
        """Return rows by age: the memory of `a` frames ago has row a - 1; see `Policy.recent_rows`."""
        tracked = bank.frames[:, :TRACKED]
        rows = (frame - tracked).abs() - 1
        valid = (tracked != EMPTY) & (rows < RECENT)
        return rows.clamp(0, RECENT - 1), valid
