# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Features are pooled under each mask alone."""

from __future__ import annotations

import numpy as np
import torch

from lang2segtrack_ros.segmentation.feature_pooling import pool, pool_masks
from lang2segtrack_ros.segmentation.sam2 import ImageFeatures

SIDE = 4  # of the stride-16 map
SURFACE, CONTEXT = 2, 16


def random_features(seed: int = 0) -> ImageFeatures:
    make = torch.Generator().manual_seed(seed)
    high = torch.rand(1, SURFACE, 4 * SIDE, 4 * SIDE, generator=make), torch.rand(1, 2 * SURFACE, 2 * SIDE, 2 * SIDE, generator=make)
    return ImageFeatures(high, torch.rand(SIDE * SIDE, CONTEXT, generator=make), torch.zeros(SIDE * SIDE, CONTEXT))


def test_pool_batches_without_mixing_objects() -> None:
    features, logits = random_features(), torch.randn(5, 4 * SIDE, 4 * SIDE, generator=torch.Generator().manual_seed(1))
    together = pool(features, logits)
    assert together.shape == (5, SURFACE + CONTEXT)
    for row in range(5):
        torch.testing.assert_close(pool(features, logits[row : row + 1])[0], together[row])


def test_pool_takes_the_surface_inside_and_the_context_of_the_mask() -> None:
    features = random_features()
    logits = torch.full((2, 4 * SIDE, 4 * SIDE), -1.0)
    logits[0, 4:8, 8:12] = 1.0  # exactly one cell of the coarse map: row 1, column 2
    pooled = pool(features, logits)
    torch.testing.assert_close(pooled[0, :SURFACE], features.high[0][0, :, 5:7, 9:11].mean((1, 2)))
    expected = features.top[1 * SIDE + 2] - features.top.mean(0)
    torch.testing.assert_close(pooled[0, SURFACE:], expected / expected.norm())
    assert pooled[1].isnan().all()


def test_masks_of_the_image_are_shrunk_to_the_features() -> None:
    features = random_features()
    mask = np.zeros((64, 96), bool)
    mask[16:32, 48:72] = True  # rows 4 to 8 and columns 8 to 12 of 16
    logits = torch.full((1, 4 * SIDE, 4 * SIDE), -1.0)
    logits[0, 4:8, 8:12] = 1.0
    np.testing.assert_allclose(pool_masks(features, [mask])[0], pool(features, logits)[0].numpy(), rtol=1e-6)
