# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Boxes of candidate masks."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from lang2segtrack_ros.segmentation.candidates import Candidates, mask_extents


@pytest.mark.parametrize("size", [16, 48, 64])
def test_boxes_equal_those_of_the_whole_upsampled_masks(size: int) -> None:
    """On a CPU only a part of each mask is upsampled. Masks at the edge, of one cell and without a cell must give the same boxes."""
    masks = F.interpolate(torch.randn(8, 3, 5, 5, generator=torch.Generator().manual_seed(size)), size=(size, size), mode="bicubic")
    masks[0] = -5.0
    masks[1] = -5.0
    masks[1, 0, 0, 0], masks[1, 1, -1, -1], masks[1, 2, size // 2, 3] = 3.0, 0.01, 20.0
    boxes = Candidates(masks, torch.zeros(8, 3), torch.zeros(8), 4 * size).boxes()
    whole = F.interpolate(masks, size=(4 * size, 4 * size), mode="bilinear", align_corners=False)
    assert torch.equal(boxes, mask_extents(whole > 0))
