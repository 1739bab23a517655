# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The fast interpolation of masks on a CPU equals that of SAM 2."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from lang2segtrack_ros.segmentation.postprocess import image_masks


@pytest.mark.parametrize("size", [(240, 320), (480, 640), (721, 1283), (31, 33), (48, 48)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_masks_equal_interpolation_of_pytorch(size: tuple[int, int], dtype: torch.dtype) -> None:
    """Image sizes are larger, smaller, odd and equal. Objects are inside, at the edges, a single cell, empty and full."""
    generator = torch.Generator().manual_seed(7)
    low = F.avg_pool2d(torch.randn(9, 1, 50, 50, generator=generator, dtype=dtype), 3, 1)[:, 0] - 0.2
    low[1] = -1.0
    low[2] = 1.0
    low[3], low[3, 0, 47] = -0.7, 0.9
    low[4], low[4, 20:30, :5] = -2.0, 3.0
    low[5], low[5, 47, 47] = -1e-3, 1e-3
    expected = F.interpolate(low[:, None], size=size, mode="bilinear", align_corners=False)[:, 0]
    wrong = image_masks(low, *size) != (expected > 0)
    assert expected[wrong].abs().max().item() < 1e-6 if wrong.any() else True, "only logits within rounding of 0 may change their sign"
    assert image_masks(low[:0], *size).shape == (0, *size)
