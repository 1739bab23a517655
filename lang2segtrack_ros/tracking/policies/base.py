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
from lang2segtrack_ros.tracking.memory_bank import RECENT, TRACKED, FrameNumber, MemoryBank
from lang2segtrack_ros.types.checks import describe


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


class PolicyError(ValueError):
    """A policy whose method returned a wrong type or shape. The message names the policy and says what to return."""


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


def checked_choice(policy: Policy, choice: object, count: int) -> Choice:
    """Return the choice of a policy, or raise PolicyError for a wrong type or shape.

    Args:
        policy: the policy.
        choice: the value that `Policy.choose` returned.
        count: number of objects N.
    """
    if not isinstance(choice, Choice):
        raise PolicyError(f'policy "{policy.name}" returned {describe(choice)} from choose: it must return a Choice')
    per_object = {name: getattr(choice, name) for name in ("index", "motion_score", "passed", "has_filter", "stable")}
    wrong = [name for name, value in per_object.items() if not isinstance(value, Tensor) or value.shape != (count,)]
    if wrong:
        raise PolicyError(
            f'policy "{policy.name}" returned a Choice with {wrong[0]} {describe(per_object[wrong[0]])}: '
            f"it must be a tensor [{count}], one value for each object"
        )
    return choice


def checked_rows(policy: Policy, rows: object, count: int) -> tuple[Tensor, Tensor]:
    """Return the rows of a policy, or raise PolicyError for a wrong type or shape.

    Args:
        policy: the policy.
        rows: the value that `Policy.recent_rows` returned.
        count: number of objects N.
    """
    parts = rows if isinstance(rows, tuple) else ()
    if len(parts) != 2 or not all(isinstance(part, Tensor) and part.shape == (count, TRACKED) for part in parts):
        raise PolicyError(
            f'policy "{policy.name}" returned {describe(rows)} from recent_rows: it must return two tensors [{count}, {TRACKED}]'
        )
    return parts
