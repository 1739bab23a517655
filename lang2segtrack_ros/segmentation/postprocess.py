# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Conversion of tensors on the device to `Track` results in image coordinates on the host."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from lang2segtrack_ros.segmentation.mask_prediction import MaskPrediction
from lang2segtrack_ros.segmentation.sam2 import concatenate
from lang2segtrack_ros.segmentation.small_regions import WHOLE, Window, remove_small_regions
from lang2segtrack_ros.types.results import Track, TrackStatus

MASK_PIXELS = 64_000_000
"""Maximum number of mask pixels that are upsampled at the same time. Many objects on a large image are processed in several batches."""


def make_tracks(
    ids: Sequence[int],
    labels: Mapping[int, str],
    prediction: MaskPrediction,
    frames_unseen: Tensor,
    stable: Tensor,
    height: int,
    width: int,
    min_region_ratio: float,
) -> list[Track]:
    """Return the results in image coordinates. All data reach the host in one copy.

    Args:
        ids: ids of the N objects.
        labels: labels by id.
        prediction: masks of the N objects.
        frames_unseen: int64 [N], frames since each object was last visible.
        stable: int64 [N], frames of steady motion.
        height: height of the image in pixels.
        width: width of the image in pixels.
        min_region_ratio: minimum area of a region of a mask relative to its largest region. Set to 0 to keep all regions.
    """
    values = torch.stack(
        (prediction.iou.double(), prediction.object_score.double(), prediction.motion_score, stable.double(), frames_unseen.double()), dim=1
    )
    if prediction.low_res_logits.device.type == "cpu":
        masks, windows = _image_masks_on_cpu(prediction.low_res_logits.numpy(), height, width)
        values_host = values.numpy()
    else:
        masks, values_host = _copy_to_host(image_masks(prediction.low_res_logits, height, width), values)
        windows = [WHOLE] * len(masks)
    tracks = []
    for row, track_id in enumerate(ids):
        iou, object_score, motion_score, stable_frames, frames_since_seen = values_host[row].tolist()
        box = remove_small_regions(masks[row], min_region_ratio, windows[row])
        visible = box is not None
        tracks.append(
            Track(
                id=track_id,
                label=labels.get(track_id, ""),
                state=TrackStatus.TRACKED if visible else TrackStatus.OCCLUDED,
                score=min(max(iou, 0.0), 1.0) if visible else 0.0,
                box=box,
                mask=masks[row],
                predicted_iou=iou,
                object_score=object_score,
                motion_score=motion_score,
                stable_frames=int(stable_frames),
                frames_since_seen=int(frames_since_seen),
            )
        )
    return tracks


def _copy_to_host(masks: Tensor, values: Tensor) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Copy masks bool [N, H, W] and values float64 [N, K] from a GPU to the host in one transfer. Masks travel as packed bits."""
    count, height, width = masks.shape
    bits = F.pad(masks.flatten(1), (0, -(height * width) % 8)).reshape(count, -1, 8)
    weights = torch.tensor([128, 64, 32, 16, 8, 4, 2, 1], dtype=torch.uint8, device=masks.device)
    packed = (bits * weights).sum(-1, dtype=torch.uint8)
    value_bytes = values.contiguous().view(torch.uint8).flatten()
    buffer = torch.cat((value_bytes, packed.flatten())).cpu().numpy()
    unpacked = np.unpackbits(buffer[value_bytes.numel() :].reshape(count, -1), axis=1, count=height * width)
    return (
        unpacked.reshape(count, height, width).view(np.bool_),
        buffer[: value_bytes.numel()].view(np.float64).reshape(values.shape).copy(),
    )


def image_masks(low_res_logits: Tensor, height: int, width: int) -> Tensor:
    """Return mask logits [N, h, w] as bool masks [N, H, W] of the image.

    The interpolation is that of SAM 2: bilinear, with corners not aligned.
    """
    if low_res_logits.device.type == "cpu":
        return torch.from_numpy(_image_masks_on_cpu(low_res_logits.numpy(), height, width)[0])
    batches = torch.split(low_res_logits[:, None], max(1, MASK_PIXELS // (height * width)))
    return concatenate([F.interpolate(batch, size=(height, width), mode="bilinear", align_corners=False)[:, 0] > 0 for batch in batches])


def _image_masks_on_cpu(low_res_logits: NDArray[np.floating], height: int, width: int) -> tuple[NDArray[np.bool_], list[Window]]:
    """Compute `image_masks` with NumPy, only around the positive logits of each mask.

    The result equals the interpolation of PyTorch to the last bit, except for fused multiply-adds. Most of an image has no positive logit.

    Returns:
        bool [N, H, W], and for each mask the window outside which it is empty.
    """
    masks, windows = np.zeros((len(low_res_logits), height, width), np.bool_), []
    above, below, row_weights = _interpolation_cells(low_res_logits.shape[1], height, low_res_logits.dtype)
    left, right, column_weights = _interpolation_cells(low_res_logits.shape[2], width, low_res_logits.dtype)
    for logits, mask in zip(low_res_logits, masks):
        x, y, columns, rows = cv2.boundingRect((logits > 0).view(np.uint8))
        row_window = slice(int(np.searchsorted(below, y)), int(np.searchsorted(above, y + rows)))
        column_window = slice(int(np.searchsorted(right, x)), int(np.searchsorted(left, x + columns)))
        windows.append((row_window, column_window))
        if not rows:
            continue
        first = above[row_window.start]
        needed = logits[first : below[row_window.stop - 1] + 1]
        weight = column_weights[column_window]
        stretched = needed[:, left[column_window]] * (1 - weight) + needed[:, right[column_window]] * weight
        weight = row_weights[row_window, None]
        upper, lower = stretched[above[row_window] - first], stretched[below[row_window] - first]
        upper *= 1 - weight
        lower *= weight
        upper += lower
        np.greater(upper, 0, out=mask[row_window, column_window])
    return masks, windows


@lru_cache(maxsize=16)
def _interpolation_cells(size: int, target: int, dtype: np.dtype[Any]) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[Any]]:
    """Return for each of `target` pixels the two of `size` cells around its center, and the weight of the second cell."""
    scale = dtype.type(size) / dtype.type(target)
    center = np.maximum(scale * (np.arange(target, dtype=dtype) + dtype.type(0.5)) - dtype.type(0.5), 0)
    first = center.astype(np.intp)
    return first, np.minimum(first + 1, size - 1), (center - first).astype(dtype)
