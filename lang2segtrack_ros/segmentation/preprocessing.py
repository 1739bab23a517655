# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Input images of the networks: moved to the device, resized, and normalized, by default with the statistics of ImageNet."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

IMAGE_MEAN = (0.485, 0.456, 0.406)
IMAGE_STD = (0.229, 0.224, 0.225)
Statistics = tuple[tuple[float, float, float], tuple[float, float, float]]
"""Mean and standard deviation of the values 0..1 of red, green and blue."""
IMAGENET: Statistics = (IMAGE_MEAN, IMAGE_STD)


def resize_and_normalize(
    color: NDArray[np.uint8] | Tensor,
    size: tuple[int, int],
    device: torch.device,
    dtype: torch.dtype = torch.float32,
    statistics: Statistics = IMAGENET,
) -> Tensor:
    """Return an image as a normalized tensor [1, 3, *size].

    The image is resized bilinearly with antialiasing, and its values are rounded to integers. PIL and OpenCV round after resizing too.
    Rounding also lets a CPU resize in integers, which is ten times as fast.

    Args:
        color: RGB uint8 [H, W, 3], an array or a tensor.
        size: height and width of the result in pixels.
        device: device of the result.
        dtype: type of the result.
        statistics: mean and standard deviation of the colors that the network expects.
    """
    image = color if isinstance(color, Tensor) else torch.from_numpy(np.require(color, requirements=["C", "W"]))
    pixels = image.to(device).permute(2, 0, 1)[None]
    if pixels.shape[-2:] != size:
        source = pixels if device.type == "cpu" else pixels.float()
        scaled = F.interpolate(source, size=size, mode="bilinear", align_corners=False, antialias=True)
        pixels = scaled if device.type == "cpu" else scaled.round()
    return normalize(pixels, dtype, statistics)


def normalize(pixels: Tensor, dtype: torch.dtype = torch.float32, statistics: Statistics = IMAGENET) -> Tensor:
    """Normalize pixels [N, 3, H, W] of 0..255 with the mean and standard deviation of the colors, and return them as `dtype`."""
    mean, std = _as_tensors(statistics, pixels.device, dtype)
    scaled = pixels.contiguous().to(dtype, copy=True)  # separate color planes halve the time to subtract the mean
    return scaled.div_(255.0).sub_(mean).div_(std)


@lru_cache(maxsize=16)
def _as_tensors(statistics: Statistics, device: torch.device, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Return the mean and the standard deviation, each [1, 3, 1, 1]. Creating these tensors takes as long as using them."""
    with torch.inference_mode(False):  # training needs gradients through the cached tensors
        mean, std = (torch.tensor(values, dtype=dtype, device=device).view(1, 3, 1, 1) for values in statistics)
    return mean, std
