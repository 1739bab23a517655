# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""How an object chooses among its candidate masks and which memories it reads.

A policy is a small, stateless object; the state it works on lies in the `MemoryBank`. Everything is batched over N objects and
runs on the device without synchronization.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from lang2segtrack_ros.segmentation.candidates import Candidates
from lang2segtrack_ros.tracking.kalman import BoxState
from lang2segtrack_ros.tracking.memory_bank import RECENT, MemoryBank


@dataclass(frozen=True)
class Choice:
    """The verdict on one frame of N objects, and the motion model after it.

    Attributes:
        index: int64 [N], the chosen candidate.
        motion_score: float64 [N], NaN where there is none.
        passed: bool [N], whether the frame's memory may be read later than on the next frame.
        state: filter after the frame; has_filter, stable: as in `MemoryBank`.
        anchor: bool [N], whether the frame's memory becomes an anchor as well; None for never.
    """

    index: Tensor
    motion_score: Tensor
    passed: Tensor
    state: BoxState
    has_filter: Tensor
    stable: Tensor
    anchor: Tensor | None = None


class Policy(Protocol):
    """What a memory policy decides."""

    @property
    def name(self) -> str:
        """What the policy is called."""
        ...

    @property
    def visible_above(self) -> float:
        """An object is taken as visible when its object score is greater than this logit."""
        ...

    @property
    def uses_depth(self) -> bool:
        """Whether masks are cut where depth says that something else is there, see `depth_gate`."""
        ...

    def choose(self, bank: MemoryBank, frame: int, candidates: Candidates) -> Choice:
        """Chooses one of M candidates for each object; `bank` is the objects' state before the frame."""
        ...

    def recent_rows(self, bank: MemoryBank, frame: int) -> tuple[Tensor, Tensor]:
        """Temporal row (int64 [N, TRACKED], 0 = newest) of each memory of a tracked frame, and whether it is read (bool, likewise).

        Slots are in the bank's order; at most RECENT of them are read.
        """
        ...


def ranks(frames: Tensor, frame: int, valid: Tensor) -> Tensor:
    """Rank by age of the valid memories, 0 = newest: int64 [N, T]; the others get ranks behind them, cut to the last row."""
    ages = torch.where(valid, (frame - frames).abs(), torch.iinfo(torch.int64).max)
    return ages.argsort(dim=1, stable=True).argsort(dim=1).clamp(max=RECENT - 1)
