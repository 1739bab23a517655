# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The features of an encoded image, pooled under masks; see `identity.feature_appearance` for their use."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from lang2segtrack_ros.segmentation.sam2 import ImageFeatures
from lang2segtrack_ros.segmentation.shrinking import shrink


@torch.inference_mode()
def pool(features: ImageFeatures, low_res_logits: Tensor) -> Tensor:
    """Pool the features of an image under the masks of N objects, in one batch on the device.

    Args:
        features: the encoded image.
        low_res_logits: mask logits [N, 4f, 4f].

    Returns:
        [N, S + C], surface and context. Rows of empty masks are NaN.
    """
    high = features.high[0][0].flatten(1).T  # [16 f f, S]
    side = round(features.top.shape[0] ** 0.5)
    mask = (low_res_logits > 0).to(high.dtype)[:, None]
    core = -F.max_pool2d(-mask, 3, stride=1, padding=1)  # the rim of the mask shows the background, too
    core = torch.where(core.flatten(1).any(1)[:, None, None, None], core, mask).flatten(1)
    surface = core @ high / core.sum(1, keepdim=True)
    context = F.adaptive_avg_pool2d(mask, (side, side)).flatten(1) @ (features.top - features.top.mean(0))
    return torch.cat((surface, context / context.norm(dim=1, keepdim=True)), dim=1)


def pool_masks(features: ImageFeatures, masks: Sequence[NDArray[np.bool_]]) -> NDArray[np.float32]:
    """Pool the features of an image under masks of the image, bool [H, W] each. Return [N, S + C] on the host; see `pool`."""
    return pool(features, torch.from_numpy(low_res_masks(features, masks)).to(features.top.device)).float().cpu().numpy()


def low_res_masks(features: ImageFeatures, masks: Sequence[NDArray[np.bool_]]) -> NDArray[np.float32]:
    """Return masks of the image, bool [H, W] each, as mask logits float32 [N, 4f, 4f] for `pool`."""
    side = features.high[0].shape[-1]
    return np.stack([shrink(mask, (side, side)) for mask in masks]) - np.float32(0.5)
