# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""SAMURAI with DAM4SAM's anchors."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from lang2segtrack_ros.segmentation.candidates import Candidates, largest_part, mask_extents
from lang2segtrack_ros.tracking import kalman
from lang2segtrack_ros.tracking.memory_bank import EMPTY, RECENT, TRACKED, MemoryBank
from lang2segtrack_ros.tracking.policies.base import Choice, ranks
from lang2segtrack_ros.tracking.policies.samurai import SamuraiPolicy


@dataclass(frozen=True)
class DistractorPolicy(SamuraiPolicy):
    """SAMURAI, and memories of frames on which something else looked like the object (DAM4SAM, arXiv:2411.17576).

    Such a frame becomes an anchor: a memory that stays until three newer anchors push it out, and is read with the temporal row of
    prompted frames. The newest recent memories fill what the anchors leave of the six that are read. A frame is an anchor when the
    object is surely seen (predicted IoU, steady area), the last anchor is some frames old, and an alternative mask has a large part
    outside the chosen one, so that both together make another box.

    Attributes:
        anchor_iou: predicted IoU that is needed.
        anchor_area: how much the area may differ from the median of the last ten, as a share.
        anchor_gap: frames that must lie between two anchors.
        anchor_box_iou: the box of both parts and the chosen mask's box overlap at most this much.
    """

    name: str = "distractor"
    anchor_iou: float = 0.8
    anchor_area: float = 0.2
    anchor_gap: int = 5
    anchor_box_iou: float = 0.7

    def choose(self, bank: MemoryBank, frame: int, candidates: Candidates) -> Choice:
        """See `Policy.choose`."""
        choice = super().choose(bank, frame, candidates)
        on = candidates.masks > 0
        rows = torch.arange(len(bank), device=on.device)
        chosen = on[rows, choice.index]
        area = chosen.flatten(1).sum(1).float()
        median = torch.nanmedian(torch.where(bank.areas > 0, bank.areas, float("nan")), dim=1).values
        steady = (area - median).abs() <= self.anchor_area * median  # False while the median is NaN
        newest = bank.frames[:, RECENT:TRACKED].amax(1)
        rested = (newest == EMPTY) | ((frame - newest).abs() > self.anchor_gap)
        sure = (candidates.ious[rows, choice.index] > self.anchor_iou) & (candidates.object_score > 0) & choice.passed

        outside = (on & ~chosen[:, None]).flatten(0, 1)
        part = largest_part(outside).view_as(on)
        together = mask_extents(part | chosen[:, None])
        own = mask_extents(chosen)
        one = torch.ones_like(own[:, 2:])  # extents are inclusive: a box ends one cell later
        wide = torch.cat((together[..., :2], together[..., 2:] + 1), dim=-1)
        overlap = kalman.box_iou(torch.cat((own[:, :2], own[:, 2:] + one), dim=-1), wide)
        rival = ((overlap <= self.anchor_box_iou) & part.flatten(2).any(2)).any(1)
        return replace(choice, anchor=sure & steady & rested & rival & (area > 0))

    def recent_rows(self, bank: MemoryBank, frame: int) -> tuple[Tensor, Tensor]:
        """Anchors have the row of prompted frames; the newest recent memories have rows by rank."""
        rows, valid = super().recent_rows(bank, frame)
        anchors = bank.frames[:, RECENT:TRACKED] != EMPTY
        recent = bank.frames[:, :RECENT]
        recent_ranks = ranks(recent, frame, valid[:, :RECENT])
        room = RECENT - anchors.sum(1, keepdim=True)
        return (
            torch.cat((recent_ranks, torch.full_like(rows[:, RECENT:], RECENT)), dim=1),
            torch.cat((valid[:, :RECENT] & (recent_ranks < room), anchors), dim=1),
        )
