# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""SAMURAI with the anchors of DAM4SAM."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from lang2segtrack_ros.segmentation.candidates import Candidates, largest_component, mask_extents
from lang2segtrack_ros.tracking import kalman
from lang2segtrack_ros.tracking.memory_bank import EMPTY, RECENT, TRACKED, FrameNumber, MemoryBank
from lang2segtrack_ros.tracking.policies.base import Choice, age_ranks
from lang2segtrack_ros.tracking.policies.samurai import SamuraiPolicy


@dataclass(frozen=True)
class DistractorPolicy(SamuraiPolicy):
    """SAMURAI with additional memories of frames that show a distractor, an object that looks similar (DAM4SAM, arXiv:2411.17576).

    The memory of such a frame becomes an anchor. An anchor stays until three newer anchors replace it, and it is read with the temporal
    row of prompted frames. At most six memories are read: first the anchors, then the newest recent memories.

    A frame becomes an anchor under three conditions. The object is clearly visible: the predicted IoU is high and the area is steady.
    The last anchor is old enough. An alternative mask has a large component outside the chosen mask, and this component changes the box.

    Attributes:
        anchor_iou: minimum predicted IoU.
        anchor_area: maximum difference of the area from the median of the last ten areas, as a ratio.
        anchor_gap: number of frames that must lie between two anchors.
        anchor_box_iou: maximum IoU of the chosen mask's box and the box of the mask with the outside component.
    """

    name: str = "distractor"
    anchor_iou: float = 0.8
    anchor_area: float = 0.2
    anchor_gap: int = 5
    anchor_box_iou: float = 0.7

    def choose(self, bank: MemoryBank, frame: FrameNumber, candidates: Candidates) -> Choice:
        """See `Policy.choose`."""
        choice = super().choose(bank, frame, candidates)
        masks = candidates.masks > 0
        rows = torch.arange(len(bank), device=masks.device)
        chosen = masks[rows, choice.index]
        area = chosen.flatten(1).sum(1).float()
        median = torch.nanmedian(torch.where(bank.areas > 0, bank.areas, float("nan")), dim=1).values
        steady = (area - median).abs() <= self.anchor_area * median  # False while the median is NaN
        newest = bank.frames[:, RECENT:TRACKED].amax(1)
        old_enough = (newest == EMPTY) | ((frame - newest).abs() > self.anchor_gap)
        certain = (candidates.ious[rows, choice.index] > self.anchor_iou) & (candidates.object_score > 0) & choice.passed

        outside = (masks & ~chosen[:, None]).flatten(0, 1)
        component = largest_component(outside).view_as(masks)
        joint_extents = mask_extents(component | chosen[:, None])
        chosen_extents = mask_extents(chosen)
        one = torch.ones_like(chosen_extents[:, 2:])  # extents are inclusive: a box ends one cell later
        joint_boxes = torch.cat((joint_extents[..., :2], joint_extents[..., 2:] + 1), dim=-1)
        overlap = kalman.box_iou(torch.cat((chosen_extents[:, :2], chosen_extents[:, 2:] + one), dim=-1), joint_boxes)
        distractor = ((overlap <= self.anchor_box_iou) & component.flatten(2).any(2)).any(1)
        return replace(choice, anchor=certain & steady & old_enough & distractor & (area > 0))

    def recent_rows(self, bank: MemoryBank, frame: FrameNumber) -> tuple[Tensor, Tensor]:
        """Return the row of prompted frames for anchors, and rows by rank for recent memories; see `Policy.recent_rows`."""
        rows, valid = super().recent_rows(bank, frame)
        anchors = bank.frames[:, RECENT:TRACKED] != EMPTY
        recent = bank.frames[:, :RECENT]
        recent_ranks = age_ranks(recent, frame, valid[:, :RECENT])
        free_slots = RECENT - anchors.sum(1, keepdim=True)
        return (
            torch.cat((recent_ranks, torch.full_like(rows[:, RECENT:], RECENT)), dim=1),
            torch.cat((valid[:, :RECENT] & (recent_ranks < free_slots), anchors), dim=1),
        )
