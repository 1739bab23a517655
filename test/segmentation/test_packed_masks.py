# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Results packed on the device: the bytes must give the same masks and scores as the path of a CPU."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from lang2segtrack_ros.runtime.graphs import check_static
from lang2segtrack_ros.segmentation.mask_prediction import MaskPrediction
from lang2segtrack_ros.segmentation.packed_masks import pack, unpack
from lang2segtrack_ros.segmentation.postprocess import to_host


def prediction(seed: int, count: int = 3, side: int = 32) -> MaskPrediction:
    """Return smooth random masks of `count` objects. The last object has no mask."""
    generator = torch.Generator().manual_seed(seed)
    logits = F.avg_pool2d(torch.randn(count, side, side, generator=generator), 5, stride=1, padding=2) - 0.3
    logits[-1] = -1.0
    scores = [torch.rand(count, generator=generator) for _ in range(3)]
    return MaskPrediction.of(logits, scores[0], scores[1], scores[2].double(), scores[1] > 0, torch.zeros(count, 4))


@pytest.mark.parametrize(("height", "width"), [(48, 64), (37, 53), (32, 9), (480, 641)])
def test_bytes_hold_the_masks_and_scores(height: int, width: int) -> None:
    """Widths that are no multiple of 8 end in a partly filled byte. Both interpolations differ by rounding only."""
    masks = prediction(1)
    unseen, stable = torch.tensor([0, 3, 9]), torch.tensor([1, 2, 3])
    expected = to_host(masks, unseen, stable, height, width)
    found = unpack(pack(masks, unseen, stable, height, width).numpy(), (32, 32), height, width)
    assert (found.scores == expected.scores).all()
    assert found.windows == expected.windows
    assert np.count_nonzero(found.masks != expected.masks) <= 1e-4 * expected.masks.size
    assert expected.masks[:2].any(axis=(1, 2)).all()
    assert not found.masks[2].any()


def test_packing_depends_on_no_value() -> None:
    """A CUDA graph holds the function."""
    unseen = torch.zeros(3, dtype=torch.int64)
    check_static(pack, *((prediction(seed), unseen, unseen, 48, 60) for seed in (1, 2)))
