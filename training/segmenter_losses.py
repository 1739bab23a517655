# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Losses of the segmenter's training: masks, coarse masks at stride 16, and separation of an object from its look-alikes."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

MAX_MEAN_SQUARE = 64.0
"""Mean square of the features at stride 16 above which `identity_loss` penalizes their size."""


def mask_losses(logits: Tensor, truth: Tensor, others: Tensor, dice_weight: float = 1.0) -> tuple[Tensor, Tensor]:
    """Compare mask logits with ground truth. Pixels of other objects count three times.

    Args:
        logits: [B, M, h, w], M candidate masks per object.
        truth: [B, R, R], the object's mask.
        others: [B, R, R], masks of the other objects.
        dice_weight: weight of the dice loss.

    Returns:
        The sum of focal and dice loss, and the IoU, both [B, M].
    """
    x = F.interpolate(logits, size=truth.shape[1:], mode="bilinear", align_corners=False)
    goal = truth[:, None]
    entropy = F.binary_cross_entropy_with_logits(x, goal.expand_as(x), reduction="none") * (1 + 2 * others[:, None])
    p = x.sigmoid()
    intersection, predicted_size, true_size = (p * goal).sum((2, 3)), p.sum((2, 3)), goal.sum((2, 3))
    p_correct = 2 * p * goal - p - goal + 1
    focal = (entropy * (0.5 * (1 - p_correct) ** 2 + 0.5)).mean((2, 3))
    dice = 1 - (2 * intersection + 1) / (predicted_size + true_size + 1)
    with torch.no_grad():
        hard = (x > 0).float()
        both = (hard * goal).sum((2, 3))
        iou = both / (hard.sum((2, 3)) + true_size - both).clamp(min=1)
    return 8 * focal + dice_weight * dice, iou


def coarse_loss(logits: Tensor, truth: Tensor) -> Tensor:
    """Return [B] cross entropy and dice loss of logits [B, HW] against covered fractions [B, HW]."""
    p = logits.sigmoid()
    dice = 1 - (2 * (p * truth).sum(1) + 0.5) / (p.sum(1) + truth.sum(1) + 0.5)
    return F.binary_cross_entropy_with_logits(logits, truth, reduction="none").mean(1) * 4 + dice


def _token_owners(own: Tensor, rivals: Tensor) -> tuple[Tensor, Tensor]:
    """Assign tokens to the object and to the other objects.

    A small object that fills no token gets its fullest ones.

    Args:
        own: fraction [..., HW] of each token that the object covers.
        rivals: fraction [..., HW] of each token that other objects cover.

    Returns:
        Tokens of the object and tokens of the others, both bool [..., HW].
    """
    own_tokens = own > 0.6 * own.amax(-1, keepdim=True).clamp(min=0.4)
    return own_tokens, (rivals > 0.6) & ~own_tokens


def identity_loss(top: Tensor, own: Tensor, rivals: Tensor) -> tuple[Tensor, Tensor]:
    """Measure how well features separate an object on later frames from other objects.

    Mask losses alone do not teach this separation. Without this loss, features at stride 16 encode the kind of an object only. They
    separated two objects with one label but different color gains in 52 of 100 cases; their mean color separates all.

    Args:
        top: features [B, T, HW, C] of each object's frames.
        own: fraction [B, T, HW] of each token that the object covers.
        rivals: fraction [B, T, HW] of each token that other objects cover.

    Returns:
        The mean contrastive loss (InfoNCE with the tokens of the other objects, arXiv:1807.03748), and the fraction of object-frames
        that are separated correctly.
    """
    features = F.normalize(top - top.mean((0, 1, 2)).detach(), dim=-1)  # attention ignores the part that all tokens share
    is_own, is_other = _token_owners(own, rivals)
    own_weight = is_own.float()
    anchor = F.normalize((features[:, 0] * own_weight[:, 0, :, None]).sum(1), dim=-1)
    similarity = torch.einsum("bthc,bc->bth", features, anchor) / 0.1
    size, others = own_weight.sum(2), is_other.sum(2)
    correct = (similarity * own_weight).sum(2) / size.clamp(min=1)
    wrong = similarity.masked_fill(~is_other, -30.0).logsumexp(2) - others.clamp(min=1).log()
    counts = (size > 0) & (others > 0) & (size[:, :1] > 0)
    number = counts.sum().clamp(min=1)
    # The loss compares directions only, so nothing else bounds the features' size. Large features make attention one-hot.
    excess = F.relu(top.square().mean() / MAX_MEAN_SQUARE - 1)
    return (F.softplus(wrong - correct) * counts).sum() / number + excess.square(), ((correct > wrong) & counts).sum() / number


def attention_loss(attention_logits: list[Tensor], own: Tensor, rivals: Tensor, own_first: Tensor, rivals_first: Tensor) -> Tensor:
    """Measure how often memory attention confuses the object with other objects of the prompted frame.

    Args:
        attention_logits: logits [B, HW, HW] of each layer, see `Driver`.
        own: fraction [B, HW] of each token that the object covers.
        rivals: fraction [B, HW] of each token that other objects cover.
        own_first: same as `own`, on the prompted frame.
        rivals_first: same as `rivals`, on the prompted frame.
    """
    is_own, is_other = _token_owners(own, rivals)
    is_own_first, is_other_first = _token_owners(own_first, rivals_first)
    comparable = is_own_first.any(1, keepdim=True) & is_other_first.any(1, keepdim=True)
    size, others = is_own_first.sum(1, keepdim=True).clamp(min=1).log(), is_other_first.sum(1, keepdim=True).clamp(min=1).log()
    total = own.new_zeros(())
    for logits in attention_logits:
        to_own = logits.masked_fill(~is_own_first[:, None], -1e4).logsumexp(2) - size
        to_others = logits.masked_fill(~is_other_first[:, None], -1e4).logsumexp(2) - others
        wrong = torch.where(is_own, to_others - to_own, to_own - to_others)
        counts = (is_own | is_other) & comparable
        total = total + (F.softplus(wrong) * counts).sum() / counts.sum().clamp(min=1)
    return total / max(len(attention_logits), 1)
