# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""What may be traded for speed."""

from __future__ import annotations

from dataclasses import dataclass

from lang2segtrack_ros.tracking.memory_bank import RECENT


@dataclass(frozen=True)
class SpeedOptions:
    """What may be traded for speed; `bench/options.py` measures what each costs in accuracy.

    Attributes:
        memories: memories of tracked frames that are read, at most RECENT; the newest ones.
        pooled_memories: average 2 x 2 tokens of all memories but the newest (EfficientTAM, arXiv:2411.18933).
        coarse_boxes: take the motion model's boxes off the low-resolution logits.
    """

    memories: int = RECENT
    pooled_memories: bool = False
    coarse_boxes: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.memories <= RECENT:
            raise ValueError(f"memories is {self.memories}; it must lie between 1 and {RECENT}")
