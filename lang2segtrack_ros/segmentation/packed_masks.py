# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The masks and scores of objects as bytes, packed on a GPU, so that they reach the host in one small copy.

A mask travels as one bit for each pixel, with the bounding box of its positive logits. The host unpacks only this part of an image.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from lang2segtrack_ros.segmentation.interpolation import image_window
from lang2segtrack_ros.segmentation.mask_prediction import MaskPrediction
from lang2segtrack_ros.segmentation.sam2 import concatenate
from lang2segtrack_ros.segmentation.small_regions import Window

MASK_PIXELS = 64_000_000
"""Maximum number of mask pixels that are upsampled at the same time. Many objects on a large image are processed in several batches."""
SCORES = 5
"""Number of scores of an object, see `scores`."""
_BOX = 4


@dataclass(frozen=True)
class HostMasks:
    """The results of N objects on the host.

    Attributes:
        masks: bool [N, H, W].
        windows: for each mask the window of the image outside which it is empty.
        scores: float64 [N, 5], see `scores`.
    """

    masks: NDArray[np.bool_]
    windows: list[Window]
    scores: NDArray[np.float64]


def scores(prediction: MaskPrediction, frames_unseen: Tensor, stable: Tensor) -> Tensor:
    """Return predicted IoU, object score, motion score, steady frames and frames unseen of N objects, float64 [N, 5]."""
    columns = (prediction.iou, prediction.object_score, prediction.motion_score, stable, frames_unseen)
    return torch.stack([column.double() for column in columns], dim=1)


def upsampled_masks(low_res_logits: Tensor, height: int, width: int) -> Tensor:
    """Return mask logits [N, h, w] as bool masks [N, H, W] of the image, with PyTorch's interpolation, batch by batch."""
    batches = torch.split(low_res_logits[:, None], max(1, MASK_PIXELS // (height * width)))
    return concatenate([F.interpolate(batch, size=(height, width), mode="bilinear", align_corners=False)[:, 0] > 0 for batch in batches])


def pack(prediction: MaskPrediction, frames_unseen: Tensor, stable: Tensor, height: int, width: int) -> Tensor:
    """Return the results of N objects as bytes, uint8 [N, B]: scores, bounding box of the positive logits, and one bit for each pixel.

    No operation depends on values, so a CUDA graph can hold the function.

    Args:
        prediction: masks and scores of the N objects.
        frames_unseen: int64 [N], frames since each object was last visible.
        stable: int64 [N], frames of steady motion.
        height: height of the image in pixels.
        width: width of the image in pixels.
    """
    positive = prediction.low_res_logits > 0
    edges = [edge for dim in (1, 2) for edge in _range(positive.any(dim=dim))]
    values = torch.cat((scores(prediction, frames_unseen, stable), torch.stack(edges, dim=1).double()), dim=1)
    masks = F.pad(upsampled_masks(prediction.low_res_logits, height, width), (0, -width % 8))
    bits = masks.view(torch.uint8).reshape(*masks.shape[:2], -1, 8)
    packed = bits[..., 0].clone()
    for position in range(1, 8):
        packed |= bits[..., position] << position
    return torch.cat((values.view(torch.uint8), packed.flatten(1)), dim=1)


def _range(occupied: Tensor) -> tuple[Tensor, Tensor]:
    """Return the first and the last True of each row of bool [N, K]; 0 and -1 for a row without one."""
    numbers = occupied.to(torch.uint8)
    last = occupied.shape[1] - 1 - numbers.flip(1).argmax(dim=1)
    return numbers.argmax(dim=1), torch.where(occupied.any(dim=1), last, -1)


def unpack(packed: NDArray[np.uint8], low_res_shape: tuple[int, int], height: int, width: int) -> HostMasks:
    """Return the results of N objects from their bytes.

    Args:
        packed: uint8 [N, B] from `pack`.
        low_res_shape: shape (h, w) of the mask logits.
        height: height of the image in pixels.
        width: width of the image in pixels.
    """
    count, size = len(packed), (SCORES + _BOX) * 8
    values = np.ascontiguousarray(packed[:, :size]).view(np.float64)
    rows = packed[:, size:].reshape(count, height, -1)
    masks, windows = np.zeros((count, height, width), np.bool_), []
    for mask, bits, edges in zip(masks, rows, values[:, SCORES:].astype(np.intp)):
        left, right, top, bottom = map(int, edges)
        window = image_window((left, top, right - left + 1, bottom - top + 1), low_res_shape, height, width)
        windows.append(window)
        columns = window[1]
        first = columns.start // 8
        unpacked = np.unpackbits(bits[window[0], first : -(-columns.stop // 8)], axis=1, bitorder="little")
        start = columns.start - first * 8
        mask[window] = unpacked[:, start : start + columns.stop - columns.start]
    return HostMasks(masks, windows, values[:, :SCORES].copy())
