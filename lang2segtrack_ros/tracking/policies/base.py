# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The interface of memory policies.

A policy chooses among the candidate masks of each object, and selects the memories to read. It is a small, stateless object whose
state lies in the `MemoryBank`. All methods are batched over N objects and run on the device without synchronization.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from lang2segtrack_ros.segmentation.candidates import Candidates
from lang2segtrack_ros.tracking.kalman import BoxState
from lang2segtrack_ros.tracking.memory_bank import RECENT, FrameNumber, MemoryBank


@dataclass(frozen=True)
class Choice:
    """The choice of a policy for N objects on one frame, and the motion model after that frame.

    Attributes:
        index: int64 [N], the chosen candidate.
        motion_score: float64 [N], NaN for objects without a motion score.
        passed: bool [N], True for memories that may be read later than on the next frame.
        state: state of the motion model after the frame.
        has_filter: bool [N], as in `MemoryBank`.
        stable: int64 [N], as in `MemoryBank`.
        anchor: bool [N], True for memories that become anchors too. None for a policy without anchors.
    """

    index: Tensor
    motion_score: Tensor
    passed: Tensor
    state: BoxState
    has_filter: Tensor
    stable: Tensor
    anchor: Tensor | None = None

    def select(self, index: Tensor) -> Choice:
        """Return the choice for the objects `index`, int64 [M]."""
        return Choice(
            self.index[index],
            self.motion_score[index],
            self.passed[index],
            BoxState(self.state.mean[index], self.state.covariance[index]),
            self.has_filter[index],
            self.stable[index],
            self.anchor[index] if self.anchor is not None else None,
        )


class Policy(Protocol):
    """The interface of a memory policy."""

    @property
    def name(self) -> str:
        """The name of the policy."""
        ...

    @property
    def visible_above(self) -> float:
        """An object counts as visible when its object score is greater than this logit."""
        ...

    @property
    def uses_depth(self) -> bool:
        """True when depth limits the masks, see `depth_gate`."""
        ...

    def choose(self, bank: MemoryBank, frame: FrameNumber, candidates: Candidates) -> Choice:
        """Choose one of M candidates for each object.

        Args:
            bank: state of the objects before the frame.
            frame: frame number.
            candidates: the candidate masks of the objects.
        """
        ...

    def recent_rows(self, bank: MemoryBank, frame: FrameNumber) -> tuple[Tensor, Tensor]:
        """Select the memories of tracked frames to read.

        Args:
            bank: the memories of the objects.
            frame: number of the current frame.

        Returns:
            int64 [N, TRACKED], the temporal row of each slot, 0 for the newest one; and bool [N, TRACKED], True for slots to read. The
            slots are in the order of the bank. At most RECENT of them are read.
        """
        ...


def age_ranks(frames: Tensor, frame: FrameNumber, valid: Tensor) -> Tensor:
    """Return the rank by age of memories, 0 for the newest one.

    Args:
        frames: int64 [N, T], frame numbers of the memories.
        frame: number of the current frame.
        valid: bool [N, T], memories to rank first. The other memories get higher ranks.

    Returns:
        int64 [N, T], limited to RECENT - 1.
    """
    ages = torch.where(valid, (frame - frames).abs(), torch.iinfo(torch.int64).max)
    return ages.argsort(dim=1, stable=True).argsort(dim=1).clamp(max=RECENT - 1)
