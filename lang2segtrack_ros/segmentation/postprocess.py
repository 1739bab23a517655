# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Conversion of tensors on the device to `Track` results in image coordinates on the host."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from lang2segtrack_ros.segmentation.interpolation import image_masks_on_cpu
from lang2segtrack_ros.segmentation.mask_prediction import MaskPrediction
from lang2segtrack_ros.segmentation.packed_masks import HostMasks, pack, scores, unpack, upsampled_masks
from lang2segtrack_ros.segmentation.small_regions import remove_small_regions
from lang2segtrack_ros.types.results import Track, TrackStatus


def make_tracks(ids: Sequence[int], labels: Mapping[int, str], results: HostMasks, min_region_ratio: float) -> list[Track]:
    """Return the results in image coordinates.

    Args:
        ids: ids of the N objects.
        labels: labels by id.
        results: masks and scores of the N objects, from `to_host`. The masks change in place.
        min_region_ratio: minimum area of a region of a mask relative to its largest region. Set to 0 to keep all regions.
    """
    tracks = []
    for row, track_id in enumerate(ids):
        iou, object_score, motion_score, stable_frames, frames_since_seen = results.scores[row].tolist()
        mask = results.masks[row]
        box = remove_small_regions(mask, min_region_ratio, results.windows[row])
        visible = box is not None
        tracks.append(
            Track(
                id=track_id,
                label=labels.get(track_id, ""),
                state=TrackStatus.TRACKED if visible else TrackStatus.OCCLUDED,
                score=min(max(iou, 0.0), 1.0) if visible else 0.0,
                box=box,
                mask=mask,
                predicted_iou=iou,
                object_score=object_score,
                motion_score=motion_score,
                stable_frames=int(stable_frames),
                frames_since_seen=int(frames_since_seen),
            )
        )
    return tracks


def to_host(prediction: MaskPrediction, frames_unseen: Tensor, stable: Tensor, height: int, width: int) -> HostMasks:
    """Return masks and scores of N objects on the host. All data of a GPU reach the host in one copy.

    Args:
        prediction: masks of the N objects.
        frames_unseen: int64 [N], frames since each object was last visible.
        stable: int64 [N], frames of steady motion.
        height: height of the image in pixels.
        width: width of the image in pixels.
    """
    logits = prediction.low_res_logits
    if logits.device.type == "cpu":
        masks, windows = image_masks_on_cpu(logits.numpy(), height, width)
        return HostMasks(masks, windows, scores(prediction, frames_unseen, stable).numpy())
    packed = pack(prediction, frames_unseen, stable, height, width)
    return unpack(packed.cpu().numpy(), (logits.shape[1], logits.shape[2]), height, width)


def image_masks(low_res_logits: Tensor, height: int, width: int) -> Tensor:
    """Return mask logits [N, h, w] as bool masks [N, H, W] of the image.

    The interpolation is that of SAM 2: bilinear, with corners not aligned.
    """
    if low_res_logits.device.type == "cpu":
        return torch.from_numpy(image_masks_on_cpu(low_res_logits.numpy(), height, width)[0])
    return upsampled_masks(low_res_logits, height, width)
