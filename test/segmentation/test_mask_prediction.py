# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Overlaps of many pairs that are split together equal those that are split pair after pair."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from lang2segtrack_ros.segmentation.mask_prediction import OUTSIDE_LOGIT, MaskPrediction
from lang2segtrack_ros.segmentation.sam2 import NO_OBJECT_LOGIT

OBJECTS, SIDE = 6, 24


def blobs(count: int, generator: torch.Generator) -> Tensor:
    """Return smooth random images [count, SIDE, SIDE]."""
    coarse = torch.randn(count, 1, 4, 4, generator=generator)
    return F.interpolate(coarse, size=(SIDE, SIDE), mode="bilinear", align_corners=False)[:, 0]


def split_one_pair(logits: Tensor, pair: tuple[int, int], ownership: Tensor) -> tuple[list[bool], list[bool]]:
    """Split one pair in place. Return for each of its objects whether it is confirmed, and whether it is lost."""
    union = torch.maximum(logits[pair[0]], logits[pair[1]])
    confirmed, lost = [], []
    for row, owned in zip(pair, (ownership, -ownership)):
        before, gained, taken = logits[row] > 0, (owned > 0.5) & (union > 0), owned < -0.5
        logits[row] = torch.where(gained, union, torch.where(taken, logits[row].clamp(max=OUTSIDE_LOGIT), logits[row]))
        confirmed.append(bool(gained.any()) and int(2 * gained.sum()) >= int((logits[row] > 0).sum()))
        lost.append(not confirmed[-1] and int(2 * (before & taken).sum()) > int(before.sum()))
    for row, is_lost in zip(pair, lost):
        if is_lost:
            logits[row] = NO_OBJECT_LOGIT
    return confirmed, lost


def test_pairs_together_equal_pairs_one_by_one() -> None:
    """Pairs share objects, so their order matters. Some objects are lost, and a later pair contains a lost object."""
    generator = torch.Generator().manual_seed(3)
    pairs = [(0, 1), (2, 3), (0, 2), (1, 3), (4, 5), (0, 5)]
    lost_in_all = 0
    for _ in range(20):
        logits, ownership = 4 * blobs(OBJECTS, generator), (2 * blobs(len(pairs), generator)).clamp(-1, 1)
        ones = torch.ones(OBJECTS)
        prediction = MaskPrediction.of(logits, ones, ones, ones.double(), ones > 0, torch.zeros(OBJECTS, 2))
        expected, confirmed, hidden = logits.clone(), [False] * OBJECTS, [False] * OBJECTS
        for pair, owned in zip(pairs, ownership):
            for row, is_confirmed, is_lost in zip(pair, *split_one_pair(expected, pair, owned)):
                confirmed[row] |= is_confirmed
                hidden[row] |= is_lost
        split, found = prediction.split_overlaps(pairs, ownership)
        assert torch.equal(split.low_res_logits, expected)
        assert found.tolist() == confirmed
        assert split.visible.tolist() == split.is_finite.tolist() == [not item for item in hidden]
        assert torch.equal(prediction.low_res_logits, logits), "the prediction itself must stay unchanged"
        lost_in_all += sum(hidden)
    assert lost_in_all > 10
