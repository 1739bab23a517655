# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""From tensors on the device to `Track` results in image coordinates on the host."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from lang2segtrack_ros.segmentation.mask_prediction import MaskPrediction
from lang2segtrack_ros.segmentation.sam2 import joined
from lang2segtrack_ros.segmentation.small_regions import WHOLE, Window, remove_small_regions
from lang2segtrack_ros.types.results import Track, TrackStatus

MASK_PIXELS = 64_000_000
"""Pixels of masks that are upsampled at once: many objects on a large image are done in parts."""


def make_tracks(
    ids: Sequence[int],
    labels: dict[int, str],
    prediction: MaskPrediction,
    frames_unseen: Tensor,
    stable: Tensor,
    height: int,
    width: int,
    min_region_ratio: float,
) -> list[Track]:
    """Results in image coordinates, through one copy to the host.

    Args:
        ids: of the N objects.
        labels: by id.
        proposal: their masks.
        hidden: int64 [N], frames since each was last visible.
        stable: int64 [N], frames of steady motion.
        height: of the image, in pixels.
        width: likewise.
        min_region_ratio: specks smaller than this share of a mask's largest part go; 0 keeps them.
    """
    numbers = torch.stack(
        (prediction.iou.double(), prediction.object_score.double(), prediction.motion_score, stable.double(), frames_unseen.double()), dim=1
    )
    if prediction.low_res_logits.device.type == "cpu":
        masks, windows = _image_masks(prediction.low_res_logits.numpy(), height, width)
        numbers_host = numbers.numpy()
    else:
        masks, numbers_host = _to_host(image_masks(prediction.low_res_logits, height, width), numbers)
        windows = [WHOLE] * len(masks)
    tracks = []
    for row, track_id in enumerate(ids):
        iou, object_score, motion_score, steady, unseen = (float(value) for value in numbers_host[row])
        box = remove_small_regions(masks[row], min_region_ratio, windows[row])
        seen = box is not None
        tracks.append(
            Track(
                id=track_id,
                label=labels.get(track_id, ""),
                state=TrackStatus.TRACKED if seen else TrackStatus.OCCLUDED,
                score=min(max(iou, 0.0), 1.0) if seen else 0.0,
                box=box,
                mask=masks[row],
                predicted_iou=iou,
                object_score=object_score,
                motion_score=motion_score,
                stable_frames=int(steady),
                frames_since_seen=int(unseen),
            )
        )
    return tracks


def _to_host(masks: Tensor, numbers: Tensor) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Brings masks bool [N, H, W] and numbers float64 [N, K] from a GPU to the host in one copy."""
    count, height, width = masks.shape
    bits = F.pad(masks.flatten(1), (0, -(height * width) % 8)).reshape(count, -1, 8)
    weights = torch.tensor([128, 64, 32, 16, 8, 4, 2, 1], dtype=torch.uint8, device=masks.device)
    packed = (bits * weights).sum(-1, dtype=torch.uint8)
    first = numbers.contiguous().view(torch.uint8).flatten()
    buffer = torch.cat((first, packed.flatten())).cpu().numpy()
    unpacked = np.unpackbits(buffer[first.numel() :].reshape(count, -1), axis=1, count=height * width)
    return (
        unpacked.reshape(count, height, width).view(np.bool_),
        buffer[: first.numel()].view(np.float64).reshape(numbers.shape).copy(),
    )


def image_masks(low_res_logits: Tensor, height: int, width: int) -> Tensor:
    """Mask logits [N, h, w] as masks bool [N, H, W] of the image: bilinear, corners not aligned, as SAM 2 does."""
    if low_res_logits.device.type == "cpu":
        return torch.from_numpy(_image_masks(low_res_logits.numpy(), height, width)[0])
    parts = torch.split(low_res_logits[:, None], max(1, MASK_PIXELS // (height * width)))
    return joined([F.interpolate(part, size=(height, width), mode="bilinear", align_corners=False)[:, 0] > 0 for part in parts])


def _image_masks(low_res_logits: NDArray[np.floating], height: int, width: int) -> tuple[NDArray[np.bool_], list[Window]]:
    """The same on a CPU, to the last bit but for fused products, and only where a logit is positive: the rest of an image is its most.

    With the windows outside of which masks are empty.
    """
    masks, windows = np.zeros((len(low_res_logits), height, width), np.bool_), []
    above, below, lines_share = _neighbours(low_res_logits.shape[1], height, low_res_logits.dtype)
    left, right, columns_share = _neighbours(low_res_logits.shape[2], width, low_res_logits.dtype)
    for logits, mask in zip(low_res_logits, masks):
        x, y, columns, lines = cv2.boundingRect((logits > 0).view(np.uint8))
        down = slice(int(np.searchsorted(below, y)), int(np.searchsorted(above, y + lines)))
        along = slice(int(np.searchsorted(right, x)), int(np.searchsorted(left, x + columns)))
        windows.append((down, along))
        share = columns_share[along]
        stretched = logits[:, left[along]] * (1 - share) + logits[:, right[along]] * share
        share = lines_share[down, None]
        upper, lower = stretched[above[down]], stretched[below[down]]
        upper *= 1 - share
        lower *= share
        upper += lower
        np.greater(upper, 0, out=mask[down, along])
    return masks, windows


@lru_cache(maxsize=16)
def _neighbours(size: int, target: int, dtype: np.dtype[Any]) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[Any]]:
    """Between which two of `size` cells the centre of each of `target` pixels lies, and the second one's share."""
    scale = dtype.type(size) / dtype.type(target)
    centre = np.maximum(scale * (np.arange(target, dtype=dtype) + dtype.type(0.5)) - dtype.type(0.5), 0)
    first = centre.astype(np.intp)
    return first, np.minimum(first + 1, size - 1), (centre - first).astype(dtype)
