# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Images as networks take them: on the device, scaled, normalised with ImageNet's mean and deviation."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

IMAGE_MEAN = (0.485, 0.456, 0.406)
IMAGE_STD = (0.229, 0.224, 0.225)


def normalised(color: NDArray[np.uint8], size: tuple[int, int], device: torch.device, number: torch.dtype = torch.float32) -> Tensor:
    """An RGB uint8 [H, W, 3] image as [1, 3, *size] of type `number`: bilinear with antialiasing, rounded to whole values, normalised.

    Rounding after the scaling is what PIL and OpenCV do, and lets a CPU scale in integers, ten times as fast.
    """
    pixels = torch.from_numpy(np.require(color, requirements=["C", "W"])).to(device).permute(2, 0, 1)[None]
    if pixels.shape[-2:] != size:
        source = pixels if device.type == "cpu" else pixels.float()
        scaled = F.interpolate(source, size=size, mode="bilinear", align_corners=False, antialias=True)
        pixels = scaled if device.type == "cpu" else scaled.round()
    return normalise(pixels, number)


def normalise(pixels: Tensor, number: torch.dtype = torch.float32) -> Tensor:
    """Pixels [N, 3, H, W] of 0..255 with ImageNet's mean and deviation, as type `number`."""
    mean, std = _statistics(pixels.device, number)
    scaled = pixels.contiguous().to(number, copy=True)  # colours apart: the mean is taken off in half the time then
    return scaled.div_(255.0).sub_(mean).div_(std)


@lru_cache(maxsize=16)
def _statistics(device: torch.device, number: torch.dtype) -> tuple[Tensor, Tensor]:
    """Mean and deviation, each [1, 3, 1, 1]; making tensors takes as long as using them."""
    with torch.inference_mode(False):  # others may want gradients
        mean, std = (torch.tensor(values, dtype=number, device=device).view(1, 3, 1, 1) for values in (IMAGE_MEAN, IMAGE_STD))
    return mean, std
