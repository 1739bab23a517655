# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The predicted masks of one frame, before the tracker writes any memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from lang2segtrack_ros.segmentation.sam2 import NO_OBJECT_LOGIT
from lang2segtrack_ros.types.rle import Box

OUTSIDE_LOGIT = -10.0
"""Mask logit of cells that depth, a box or the ownership of pixels excludes from an object."""
_MIN_OWNERSHIP = 0.5
"""Minimum absolute ownership for which a pixel changes its object."""


@dataclass(frozen=True)
class MaskPrediction:
    """The masks of N objects on one frame.

    Attributes:
        low_res_logits: [N, h, w] mask logits.
        iou: [N], predicted IoU.
        object_score: [N], logits.
        motion_score: float64 [N], NaN for objects without a motion score.
        visible: bool [N].
        pointers: [N, C], object pointers.
        is_finite: bool [N], False where the network returned NaN or infinity. Such an object is hidden, and the tracker writes no
            memory of it.
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
        """Return a prediction of the network's outputs in which objects with NaN or infinity are hidden.

        The arguments are the attributes of the class.
        """
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
        """Return the number of frames since each object was last visible, int64 [N], from the numbers `before` this frame."""
        return torch.where((self.low_res_logits > 0).flatten(1).any(1), 0, before + 1)

    def hide(self, where: Tensor) -> MaskPrediction:
        """Return a copy in which the objects `where` (bool [N]) have no mask."""
        low_res_logits = torch.where(where[:, None, None], NO_OBJECT_LOGIT, self.low_res_logits)
        return replace(self, low_res_logits=low_res_logits, visible=self.visible & ~where)

    def clip_to_box(self, box: Box, margin: float, height: int, width: int) -> MaskPrediction:
        """Return a copy without the mask cells that lie outside a box and its margin.

        Args:
            box: (x_min, y_min, x_max, y_max) in pixels of the image.
            margin: allowed distance from the box, as a ratio of the box's width or height.
            height: height of the image in pixels.
            width: width of the image in pixels.
        """
        x1, y1, x2, y2 = box
        columns, rows = (
            torch.arange(size, device=self.low_res_logits.device) + 0.5
            for size in (self.low_res_logits.shape[2], self.low_res_logits.shape[1])
        )
        x, y = columns * (width / self.low_res_logits.shape[2]), rows * (height / self.low_res_logits.shape[1])
        margin_x, margin_y = (x2 - x1) * margin, (y2 - y1) * margin
        inside = ((y >= y1 - margin_y) & (y <= y2 + margin_y))[:, None] & ((x >= x1 - margin_x) & (x <= x2 + margin_x))
        return replace(self, low_res_logits=torch.where(inside, self.low_res_logits, NO_OBJECT_LOGIT))

    def split_overlaps(self, pairs: Sequence[tuple[int, int]], ownership: Tensor) -> tuple[MaskPrediction, Tensor]:
        """Assign each pixel of overlapping objects to the object that owns it, pair after pair.

        If an object loses more than half of its mask to the other one, the rest of the mask is hidden, and `is_finite` is False.

        Args:
            pairs: rows of the two objects of each of P pairs.
            ownership: [P, h, w]. Above 0.5 the first object of a pair owns a pixel, below -0.5 the second one. Other pixels keep their
                masks.

        Returns:
            The new prediction, and bool [N], True for objects that own at least half of their mask.
        """
        low_res_logits, device = self.low_res_logits.clone(), self.low_res_logits.device
        confirmed, hidden = torch.zeros_like(self.visible), torch.zeros_like(self.visible)
        signed = torch.stack((ownership, -ownership), dim=1)
        owned, taken_by_other = signed > _MIN_OWNERSHIP, signed < -_MIN_OWNERSHIP
        for indices in _independent(pairs):
            rows = torch.tensor([pairs[index] for index in indices], device=device)  # [K, 2]
            of_pairs = slice(None) if len(indices) == len(pairs) else torch.tensor(indices, device=device)
            masks, taken = low_res_logits[rows], taken_by_other[of_pairs]
            union, before = masks.amax(1, keepdim=True), masks > 0
            gained = owned[of_pairs] & (union > 0)
            masks = torch.where(gained, union, torch.where(taken, masks.clamp(max=OUTSIDE_LOGIT), masks))
            gain, area = gained.sum((2, 3)), (masks > 0).sum((2, 3))
            is_confirmed = (gain > 0) & (2 * gain >= area)
            is_lost = ~is_confirmed & (2 * (before & taken).sum((2, 3)) > before.sum((2, 3)))
            low_res_logits[rows] = torch.where(is_lost[..., None, None], NO_OBJECT_LOGIT, masks)
            confirmed[rows] |= is_confirmed
            hidden[rows] |= is_lost
        return (
            replace(self, low_res_logits=low_res_logits, visible=self.visible & ~hidden, is_finite=self.is_finite & ~hidden),
            confirmed,
        )

    def with_row(self, row: int, other: MaskPrediction) -> MaskPrediction:
        """Return a copy in which the object of `row` comes from `other`, a prediction of one object."""
        is_row = torch.arange(len(self.iou), device=self.iou.device) == row

        def pick(name: str) -> Tensor:
            current: Tensor = getattr(self, name)
            return torch.where(is_row.view(-1, *([1] * (current.dim() - 1))), getattr(other, name), current)

        return MaskPrediction(*(pick(item.name) for item in fields(MaskPrediction)))

    def select(self, index: Tensor) -> MaskPrediction:
        """Return the prediction of the objects `index`, int64 [M]."""
        return MaskPrediction(*(getattr(self, item.name)[index] for item in fields(MaskPrediction)))

    @staticmethod
    def join(parts: Sequence[MaskPrediction]) -> MaskPrediction:
        """Return one prediction with the objects of all parts, in order."""
        return MaskPrediction(*(torch.cat([getattr(part, item.name) for part in parts]) for item in fields(MaskPrediction)))


def _independent(pairs: Sequence[tuple[int, int]]) -> list[list[int]]:
    """Divide pairs of rows into groups without a common row, and return their indices. Pairs with a common row keep their order."""
    groups: list[list[int]] = []
    next_group: dict[int, int] = {}
    for index, pair in enumerate(pairs):
        group = max(next_group.get(row, 0) for row in pair)
        if group == len(groups):
            groups.append([])
        groups[group].append(index)
        next_group |= dict.fromkeys(pair, group + 1)
    return groups
