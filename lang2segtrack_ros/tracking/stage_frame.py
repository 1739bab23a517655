# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The memories and the motion of all objects after a frame, staged for writing."""

from __future__ import annotations

from torch import Tensor

from lang2segtrack_ros.segmentation.mask_prediction import MaskPrediction
from lang2segtrack_ros.segmentation.sam2 import ImageFeatures, Sam2Segmenter, concatenate
from lang2segtrack_ros.tracking.depth_gate import update_distances
from lang2segtrack_ros.tracking.memory_bank import FrameNumber, MemoryBank, StagedBank
from lang2segtrack_ros.tracking.policies.base import Choice


def encode_memories(segmenter: Sam2Segmenter, features: ImageFeatures, prediction: MaskPrediction, from_prompt: Tensor) -> Tensor:
    """Encode the masks of N objects as spatial memories [N, HW, 64], batch by batch.

    Args:
        segmenter: the network.
        features: the encoded image.
        prediction: the masks.
        from_prompt: bool [N], objects whose mask comes from a prompt.
    """
    encoded = []
    for batch, rows in segmenter.batches(len(prediction.iou)):
        memories = segmenter.encode_memory(features, prediction.low_res_logits[rows], prediction.object_score[rows], from_prompt[rows])
        encoded.append(memories[: batch.stop - batch.start])
    return concatenate(encoded)


def stage_frame(
    bank: MemoryBank,
    frame: FrameNumber,
    prediction: MaskPrediction,
    memories: Tensor,
    choice: Choice | None,
    from_prompt: Tensor,
    is_fresh: Tensor,
    depth: Tensor | None,
) -> StagedBank:
    """Stage the memories and the motion of all objects on a frame, except the memories of prompts.

    Args:
        bank: the memories before the frame.
        frame: frame number.
        prediction: the masks of the N objects.
        memories: [N, HW, 64], their spatial memories of the frame.
        choice: the choice of the policy; None if no object was predicted from memory.
        from_prompt: bool [N], objects whose mask comes from a prompt.
        is_fresh: bool [N], objects that start without memories.
        depth: [m, m] in meters, NaN for unknown; None without depth.
    """
    is_finite = prediction.is_finite & memories.isfinite().flatten(1).all(1)
    staged = bank.staged()
    if choice is not None:
        tracked = is_finite & ~from_prompt
        staged.write_tracked(frame, memories, choice.passed, prediction.pointers, tracked)
        if choice.anchor is not None:
            staged.write_anchor(frame, memories, choice.anchor & tracked)
        staged.write_motion(choice.state, choice.has_filter, choice.stable, is_finite & ~is_fresh)
    staged.frames_unseen = prediction.count_frames_unseen(staged.frames_unseen)
    if depth is not None:
        staged.distance = update_distances(depth, prediction.low_res_logits, staged.distance)
    staged.record_areas((prediction.low_res_logits > 0).flatten(1).sum(1).float())
    return staged
