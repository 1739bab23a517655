# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""How an object chooses among its candidate masks and which memories it reads.

A policy is a small, stateless object; the state it works on lies in the `MemoryBank`. Everything is batched over N objects and
runs on the device without synchronisation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from lang2segtrack_ros.tracking import kalman
from lang2segtrack_ros.tracking.kalman import BoxState
from lang2segtrack_ros.tracking.memory_bank import EMPTY, RECENT, MemoryBank


@dataclass(frozen=True)
class Choice:
    """The verdict on one frame of N objects, and the motion model after it.

    Attributes:
        index: int64 [N], the chosen candidate.
        motion_score: float64 [N], NaN where there is none.
        passed: bool [N], whether the frame's memory may be read later than on the next frame.
        state: filter after the frame; has_filter, stable: as in `MemoryBank`.

    """

    index: Tensor
    motion_score: Tensor
    passed: Tensor
    state: BoxState
    has_filter: Tensor
    stable: Tensor


class Policy(Protocol):
    """What a memory policy decides."""

    @property
    def name(self) -> str:
        """What the policy is called."""
        ...

    @property
    def visible_above(self) -> float:
        """An object is taken as visible when its object score is greater than this logit."""
        ...

    def needs_boxes(self) -> bool:
        """Whether `choose` looks at the candidates' boxes."""
        ...

    def choose(self, bank: MemoryBank, frame: int, ious: Tensor, boxes: Tensor | None, object_score: Tensor) -> Choice:
        """Chooses one of M candidates for each object.

        Args:
            bank: the objects' state before the frame.
            frame: number of the frame.
            ious: float32 [N, M] predicted IoU.
            boxes: [N, M, 4] inclusive pixel extents in the network's square image, 0 for an empty candidate; None if not needed.
            object_score: float32 [N] logits.

        """
        ...

    def recent_rows(self, bank: MemoryBank, frame: int) -> tuple[Tensor, Tensor]:
        """Temporal row (int64 [N, RECENT], 0 = newest) of each recent memory, and whether it is read (bool [N, RECENT])."""
        ...


@dataclass(frozen=True)
class Sam2Policy:
    """SAM 2: the candidate with the highest predicted IoU, the memories of the last six frames."""

    name: str = "sam2"
    visible_above: float = 0.0

    def needs_boxes(self) -> bool:
        """No motion model."""
        return False

    def choose(self, bank: MemoryBank, frame: int, ious: Tensor, boxes: Tensor | None, object_score: Tensor) -> Choice:
        """See `Policy.choose`."""
        unknown = torch.full_like(object_score, float("nan"), dtype=torch.float64)
        state = BoxState(bank.filter_mean, bank.filter_covariance)
        return Choice(ious.argmax(-1), unknown, torch.ones_like(bank.has_filter), state, bank.has_filter, bank.stable)

    def recent_rows(self, bank: MemoryBank, frame: int) -> tuple[Tensor, Tensor]:
        """Rows by age: the memory of `a` frames ago has row a - 1."""
        recent = bank.frames[:, :RECENT]
        rows = (frame - recent).abs() - 1
        valid = (recent != EMPTY) & (rows < RECENT)
        return rows.clamp(0, RECENT - 1), valid


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
    stable_frames: int = 15
    stable_iou: float = 0.3
    motion_weight: float = 0.25
    memory_iou: float = 0.5
    memory_object_score: float = 0.0
    memory_motion: float = 0.0

    def needs_boxes(self) -> bool:
        """The filter measures boxes."""
        return True

    def choose(self, bank: MemoryBank, frame: int, ious: Tensor, boxes: Tensor | None, object_score: Tensor) -> Choice:
        """See `Policy.choose`. The three branches of SAMURAI: (re)start, warm-up, and motion-weighted choice."""
        assert boxes is not None
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
        coasting = torch.where(bank.hidden + 1 < self.stable_frames, bank.stable, 0)
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
        recent = bank.frames[:, :RECENT]
        previous = (frame - recent).abs() == 1
        valid = (recent != EMPTY) & (bank.passed[:, :RECENT] | previous)
        ages = torch.where(valid, (frame - recent).abs(), torch.iinfo(torch.int64).max)
        return ages.argsort(dim=1).argsort(dim=1), valid


_POLICIES: dict[str, type[Sam2Policy] | type[SamuraiPolicy]] = {"sam2": Sam2Policy, "samurai": SamuraiPolicy}
POLICY_NAMES = tuple(_POLICIES)


def make_policy(policy: str | Policy) -> Policy:
    """A policy by name, or the policy itself. Raises ValueError with the known names."""
    if not isinstance(policy, str):
        return policy
    if policy not in _POLICIES:
        raise ValueError(f'no memory policy is called "{policy}"; there are {", ".join(POLICY_NAMES)}')
    return _POLICIES[policy]()
