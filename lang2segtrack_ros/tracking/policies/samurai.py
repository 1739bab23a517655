# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The memory policy of SAMURAI."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lang2segtrack_ros.segmentation.candidates import Candidates
from lang2segtrack_ros.tracking import kalman
from lang2segtrack_ros.tracking.kalman import BoxState
from lang2segtrack_ros.tracking.memory_bank import EMPTY, TRACKED, FrameNumber, MemoryBank
from lang2segtrack_ros.tracking.policies.base import Choice, age_ranks


@dataclass(frozen=True)
class SamuraiPolicy:
    """SAMURAI (arXiv:2411.11922): a motion model supports the choice, and only memories of good frames are read.

    This implementation corrects three defects of the reference:

    * Every object has its own filter and gates.
    * An empty mask never updates the filter. The filter continues with its prediction, and restarts after `stable_frames` frames without
      the object.
    * Objects may start on any frame, and time may run in either direction.

    Attributes:
        stable_frames: number of frames with steady motion before the filter influences the choice.
        stable_iou: predicted IoU above which a frame counts as steady.
        motion_weight: weight of the filter in the choice, 0.15 for the large model and 0.25 for the others.
        memory_iou: predicted IoU above which a memory passes the gates.
        memory_object_score: object score above which a memory passes the gates.
        memory_motion: motion score above which a memory passes the gates. A memory must pass all three gates.
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

    def choose(self, bank: MemoryBank, frame: FrameNumber, candidates: Candidates) -> Choice:
        """See `Policy.choose`. SAMURAI has three branches: start or restart, warm-up, and choice weighted by motion."""
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
        visible = (object_score > self.visible_above) & (box[:, 2:] > box[:, :2]).any(-1)
        steady = visible & torch.where(weighing, iou >= self.stable_iou, iou > self.stable_iou)

        measured = kalman.measurement(box)
        start = starting & visible
        correct = ~starting & steady
        started, corrected = kalman.initiate(measured), kalman.update(predicted, measured)

        def select(started: Tensor, corrected: Tensor, predicted: Tensor, before: Tensor) -> Tensor:
            shape = (-1, *([1] * (started.dim() - 1)))
            running = torch.where(correct.view(shape), corrected, torch.where(starting.view(shape), before, predicted))
            return torch.where(start.view(shape), started, running)

        mean = select(started.mean, corrected.mean, predicted.mean, before.mean)
        covariance = select(started.covariance, corrected.covariance, predicted.covariance, before.covariance)

        warming = torch.where(weighing, bank.stable, bank.stable + 1)
        coasting = torch.where(bank.frames_unseen + 1 < self.stable_frames, bank.stable, 0)
        stable = torch.where(start, bank.stable + 1, torch.where(correct, warming, 0))
        stable = torch.where(visible, stable, torch.where(starting, 0, coasting))

        score = torch.where(weighing & visible, motion_score, float("nan"))
        passed = (iou > self.memory_iou) & (object_score > self.memory_object_score)
        passed &= torch.isnan(score) | (score > self.memory_motion)
        # The reference never reads the memory of the first tracked frame after the prompt, and its traces require this.
        passed &= (frame - bank.first_frame).abs() != 1
        return Choice(index, score, passed, BoxState(mean, covariance), bank.has_filter | start, stable)

    def recent_rows(self, bank: MemoryBank, frame: FrameNumber) -> tuple[Tensor, Tensor]:
        """Return rows by rank: the newest memory has row 0, the next one row 1, whatever their ages; see `Policy.recent_rows`.

        The memory of the previous frame is read even if it failed the gates.
        """
        tracked = bank.frames[:, :TRACKED]
        previous = (frame - tracked).abs() == 1
        valid = (tracked != EMPTY) & (bank.passed[:, :TRACKED] | previous)
        return age_ranks(tracked, frame, valid), valid
