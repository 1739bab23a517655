# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""SAMURAI's memory policy."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lang2segtrack_ros.segmentation.candidates import Candidates
from lang2segtrack_ros.tracking import kalman
from lang2segtrack_ros.tracking.kalman import BoxState
from lang2segtrack_ros.tracking.memory_bank import EMPTY, TRACKED, MemoryBank
from lang2segtrack_ros.tracking.policies.base import Choice, ranks


@dataclass(frozen=True)
class SamuraiPolicy:
    """SAMURAI (arXiv:2411.11922): a motion model helps to choose, and only good frames are remembered.

    Differences from its reference, each a defect there: every object has its own filter and gates; an empty mask never reaches
    the filter (it coasts, and starts anew after `stable_frames` hidden frames); objects may start on any frame and run in
    either direction of time.

    Attributes:
        stable_frames: frames of steady motion before the filter has a say.
        stable_iou: predicted IoU above which a frame counts as steady.
        motion_weight: the filter's share in the choice (0.15 for the large model, 0.25 for the others).
        memory_iou, memory_object_score, memory_motion: a frame is remembered when it scores higher than all three.
    """

    name: str = "samurai"
    visible_above: float = -1.0
    uses_depth: bool = False
    stable_frames: int = 15
    stable_iou: float = 0.3
    motion_weight: float = 0.25
    memory_iou: float = 0.5
    memory_object_score: float = 0.0
    memory_motion: float = 0.0

    def choose(self, bank: MemoryBank, frame: int, candidates: Candidates) -> Choice:
        """See `Policy.choose`. The three branches of SAMURAI: (re)start, warm-up, and motion-weighted choice."""
        ious, object_score, boxes = candidates.ious, candidates.object_score, candidates.boxes()
        starting = ~bank.has_filter | (bank.stable == 0)
        weighing = ~starting & (bank.stable >= self.stable_frames)
        before = BoxState(bank.filter_mean, bank.filter_covariance)
        predicted = kalman.predict(before)
        motion = kalman.box_iou(predicted.boxes(), boxes)
        weighted = self.motion_weight * motion + (1 - self.motion_weight) * ious.double()
        index = torch.where(weighing[:, None], weighted, ious.double()).argmax(-1)

        rows = torch.arange(len(bank), device=ious.device)
        iou, box, motion_score = ious[rows, index], boxes[rows, index], motion[rows, index]
        seen = (object_score > self.visible_above) & (box[:, 2:] > box[:, :2]).any(-1)
        steady = seen & torch.where(weighing, iou >= self.stable_iou, iou > self.stable_iou)

        measured = kalman.measurement(box)
        start = starting & seen
        correct = ~starting & steady
        started, corrected = kalman.initiate(measured), kalman.update(predicted, measured)

        def pick(new: Tensor, fixed: Tensor, moved: Tensor, old: Tensor) -> Tensor:
            shape = (-1, *([1] * (new.dim() - 1)))
            moving = torch.where(correct.view(shape), fixed, torch.where(starting.view(shape), old, moved))
            return torch.where(start.view(shape), new, moving)

        mean = pick(started.mean, corrected.mean, predicted.mean, before.mean)
        covariance = pick(started.covariance, corrected.covariance, predicted.covariance, before.covariance)

        warming = torch.where(weighing, bank.stable, bank.stable + 1)
        coasting = torch.where(bank.frames_unseen + 1 < self.stable_frames, bank.stable, 0)
        stable = torch.where(start, bank.stable + 1, torch.where(correct, warming, 0))
        stable = torch.where(seen, stable, torch.where(starting, 0, coasting))

        score = torch.where(weighing & seen, motion_score, float("nan"))
        passed = (iou > self.memory_iou) & (object_score > self.memory_object_score)
        passed &= torch.isnan(score) | (score > self.memory_motion)
        # The reference never looks back as far as the first tracked frame after the prompt; its traces fix this.
        passed &= (frame - bank.born).abs() != 1
        return Choice(index, score, passed, BoxState(mean, covariance), bank.has_filter | start, stable)

    def recent_rows(self, bank: MemoryBank, frame: int) -> tuple[Tensor, Tensor]:
        """Rows by rank: the newest has row 0, the next one row 1, whatever their ages. The previous frame is read even if it failed."""
        tracked = bank.frames[:, :TRACKED]
        previous = (frame - tracked).abs() == 1
        valid = (tracked != EMPTY) & (bank.passed[:, :TRACKED] | previous)
        return ranks(tracked, frame, valid), valid
