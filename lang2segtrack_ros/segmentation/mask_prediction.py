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

OUTSIDE_LOGIT = -10.0
"""Mask logit of cells that something else than the network rules out."""
_SURE = 0.5


@dataclass(frozen=True)
class MaskPrediction:
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

    low_res_logits: Tensor
    iou: Tensor
    object_score: Tensor
    motion_score: Tensor
    visible: Tensor
    pointers: Tensor
    is_finite: Tensor

    @staticmethod
    def of(
        low_res_logits: Tensor, iou: Tensor, object_score: Tensor, motion_score: Tensor, visible: Tensor, pointers: Tensor
    ) -> MaskPrediction:
        """A proposal that is hidden where the network gave NaN or infinity."""
        is_finite = low_res_logits.isfinite().flatten(1).all(1) & iou.isfinite() & object_score.isfinite() & pointers.isfinite().all(1)
        return MaskPrediction(
            torch.where(is_finite[:, None, None], low_res_logits, NO_OBJECT_LOGIT),
            torch.where(is_finite, iou, 0.0),
            torch.where(is_finite, object_score, NO_OBJECT_LOGIT),
            torch.where(is_finite, motion_score, float("nan")),
            visible & is_finite,
            torch.where(is_finite[:, None], pointers, 0.0),
            is_finite,
        )

    def count_frames_unseen(self, before: Tensor) -> Tensor:
        """Frames since each object was last visible, int64 [N], from their number before this frame."""
        return torch.where((self.low_res_logits > 0).flatten(1).any(1), 0, before + 1)

    def hide(self, where: Tensor) -> MaskPrediction:
        """The same without the masks of the objects `where` (bool [N])."""
        low_res_logits = torch.where(where[:, None, None], NO_OBJECT_LOGIT, self.low_res_logits)
        return replace(self, low_res_logits=low_res_logits, visible=self.visible & ~where)

    def within(self, box: Box, margin: float, height: int, width: int) -> MaskPrediction:
        """The same without what is further from a box in an image of this size than `margin`, a share of the box's width or height."""
        x1, y1, x2, y2 = box
        columns, rows = (
            torch.arange(size, device=self.low_res_logits.device) + 0.5
            for size in (self.low_res_logits.shape[2], self.low_res_logits.shape[1])
        )
        x, y = columns * (width / self.low_res_logits.shape[2]), rows * (height / self.low_res_logits.shape[1])
        across, along = (x2 - x1) * margin, (y2 - y1) * margin
        inside = ((y >= y1 - along) & (y <= y2 + along))[:, None] & ((x >= x1 - across) & (x <= x2 + across))
        return replace(self, low_res_logits=torch.where(inside, self.low_res_logits, NO_OBJECT_LOGIT))

    def split_overlap(self, rows: Sequence[int], ownership: Tensor) -> tuple[MaskPrediction, Tensor, Tensor]:
        """The same with pixels of either of two objects given to the one whose they are.

        Args:
            rows: the two objects.
            whose: [h, w], above 0.5 the first one's, below -0.5 the second one's, else the masks stay as they are.

        Returns:
            The new proposal; for which objects at least half of the mask is theirs by `whose`, bool [N]; and which others have lost more
            than half of theirs.
        """
        low_res_logits, confirmed, lost = self.low_res_logits.clone(), torch.zeros_like(self.visible), torch.zeros_like(self.visible)
        either = low_res_logits[list(rows)].amax(0)
        for row, mine in zip(rows, (ownership, -ownership)):
            had, given, taken = low_res_logits[row] > 0, (mine > _SURE) & (either > 0), mine < -_SURE
            low_res_logits[row] = torch.where(
                given, either, torch.where(taken, low_res_logits[row].clamp(max=OUTSIDE_LOGIT), low_res_logits[row])
            )
            confirmed[row] = given.any() & (2 * given.sum() >= (low_res_logits[row] > 0).sum())
            lost[row] = ~confirmed[row] & (2 * (had & taken).sum() > had.sum())
        return replace(self, low_res_logits=low_res_logits), confirmed, lost

    def replaced(self, row: int, other: MaskPrediction) -> MaskPrediction:
        """The same with object `row` as in a proposal of one object."""
        here = torch.arange(len(self.iou), device=self.iou.device) == row

        def pick(name: str) -> Tensor:
            mine: Tensor = getattr(self, name)
            return torch.where(here.view(-1, *([1] * (mine.dim() - 1))), getattr(other, name), mine)

        return MaskPrediction(*(pick(item.name) for item in fields(MaskPrediction)))

    @staticmethod
    def join(parts: Sequence[MaskPrediction]) -> MaskPrediction:
        """The objects of several proposals, in order."""
        return MaskPrediction(*(torch.cat([getattr(part, item.name) for part in parts]) for item in fields(MaskPrediction)))
