# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Masks that are proposed for objects on one frame, before anything is remembered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from lang2segtrack_ros.segmentation.sam2 import NO_OBJECT_LOGIT
from lang2segtrack_ros.types.rle import Box

ELSEWHERE_LOGIT = -10.0
"""Mask logit of cells that something else than the network rules out."""
_SURE = 0.5


@dataclass(frozen=True)
class Proposal:
    """Masks of N objects on one frame.

    Attributes:
        low: [N, h, w] mask logits.
        iou: [N] predicted IoU.
        object_score: [N] logits.
        motion_score: float64 [N], NaN where there is none.
        visible: bool [N].
        pointers: [N, C] object pointers.
        sound: bool [N], whether the network gave numbers. What is not sound shows as hidden and is not remembered.
    """

    low: Tensor
    iou: Tensor
    object_score: Tensor
    motion_score: Tensor
    visible: Tensor
    pointers: Tensor
    sound: Tensor

    @staticmethod
    def of(low: Tensor, iou: Tensor, object_score: Tensor, motion_score: Tensor, visible: Tensor, pointers: Tensor) -> Proposal:
        """A proposal that is hidden where the network gave NaN or infinity."""
        sound = low.isfinite().flatten(1).all(1) & iou.isfinite() & object_score.isfinite() & pointers.isfinite().all(1)
        return Proposal(
            torch.where(sound[:, None, None], low, NO_OBJECT_LOGIT),
            torch.where(sound, iou, 0.0),
            torch.where(sound, object_score, NO_OBJECT_LOGIT),
            torch.where(sound, motion_score, float("nan")),
            visible & sound,
            torch.where(sound[:, None], pointers, 0.0),
            sound,
        )

    def frames_hidden(self, before: Tensor) -> Tensor:
        """Frames since each object was last visible, int64 [N], from their number before this frame."""
        return torch.where((self.low > 0).flatten(1).any(1), 0, before + 1)

    def hide(self, where: Tensor) -> Proposal:
        """The same without the masks of the objects `where` (bool [N])."""
        low = torch.where(where[:, None, None], NO_OBJECT_LOGIT, self.low)
        return replace(self, low=low, visible=self.visible & ~where)

    def within(self, box: Box, margin: float, height: int, width: int) -> Proposal:
        """The same without what is further from a box in an image of this size than `margin`, a share of the box's width or height."""
        x1, y1, x2, y2 = box
        columns, rows = (torch.arange(size, device=self.low.device) + 0.5 for size in (self.low.shape[2], self.low.shape[1]))
        x, y = columns * (width / self.low.shape[2]), rows * (height / self.low.shape[1])
        across, along = (x2 - x1) * margin, (y2 - y1) * margin
        inside = ((y >= y1 - along) & (y <= y2 + along))[:, None] & ((x >= x1 - across) & (x <= x2 + across))
        return replace(self, low=torch.where(inside, self.low, NO_OBJECT_LOGIT))

    def share_out(self, rows: Sequence[int], whose: Tensor) -> tuple[Proposal, Tensor, Tensor]:
        """The same with pixels of either of two objects given to the one whose they are.

        Args:
            rows: the two objects.
            whose: [h, w], above 0.5 the first one's, below -0.5 the second one's, else the masks stay as they are.

        Returns:
            The new proposal; for which objects at least half of the mask is theirs by `whose`, bool [N]; and which others have lost more
            than half of theirs.
        """
        low, confirmed, lost = self.low.clone(), torch.zeros_like(self.visible), torch.zeros_like(self.visible)
        either = low[list(rows)].amax(0)
        for row, mine in zip(rows, (whose, -whose)):
            had, given, taken = low[row] > 0, (mine > _SURE) & (either > 0), mine < -_SURE
            low[row] = torch.where(given, either, torch.where(taken, low[row].clamp(max=ELSEWHERE_LOGIT), low[row]))
            confirmed[row] = given.any() & (2 * given.sum() >= (low[row] > 0).sum())
            lost[row] = ~confirmed[row] & (2 * (had & taken).sum() > had.sum())
        return replace(self, low=low), confirmed, lost

    def replaced(self, row: int, other: Proposal) -> Proposal:
        """The same with object `row` as in a proposal of one object."""
        here = torch.arange(len(self.iou), device=self.iou.device) == row

        def pick(name: str) -> Tensor:
            mine: Tensor = getattr(self, name)
            return torch.where(here.view(-1, *([1] * (mine.dim() - 1))), getattr(other, name), mine)

        return Proposal(*(pick(item.name) for item in fields(Proposal)))

    @staticmethod
    def join(parts: Sequence[Proposal]) -> Proposal:
        """The objects of several proposals, in order."""
        return Proposal(*(torch.cat([getattr(part, item.name) for part in parts]) for item in fields(Proposal)))
