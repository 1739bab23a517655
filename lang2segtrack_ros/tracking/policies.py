# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""How an object chooses among its candidate masks and which memories it reads.

A policy is a small, stateless object; the state it works on lies in the `MemoryBank`. Everything is batched over N objects and
runs on the device without synchronisation.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from lang2segtrack_ros.tracking import kalman
from lang2segtrack_ros.tracking.candidates import Candidates, largest_part, mask_extents
from lang2segtrack_ros.tracking.kalman import BoxState
from lang2segtrack_ros.tracking.memory_bank import EMPTY, RECENT, TRACKED, MemoryBank


@dataclass(frozen=True)
class Choice:
    """The verdict on one frame of N objects, and the motion model after it.

    Attributes:
        index: int64 [N], the chosen candidate.
        motion_score: float64 [N], NaN where there is none.
        passed: bool [N], whether the frame's memory may be read later than on the next frame.
        state: filter after the frame; has_filter, stable: as in `MemoryBank`.
        anchor: bool [N], whether the frame's memory becomes an anchor as well; None for never.
    """

    index: Tensor
    motion_score: Tensor
    passed: Tensor
    state: BoxState
    has_filter: Tensor
    stable: Tensor
    anchor: Tensor | None = None


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

    @property
    def uses_depth(self) -> bool:
        """Whether masks are cut where depth says that something else is there, see `depth_gate`."""
        ...

    def choose(self, bank: MemoryBank, frame: int, candidates: Candidates) -> Choice:
        """Chooses one of M candidates for each object; `bank` is the objects' state before the frame."""
        ...

    def recent_rows(self, bank: MemoryBank, frame: int) -> tuple[Tensor, Tensor]:
        """Temporal row (int64 [N, TRACKED], 0 = newest) of each memory of a tracked frame, and whether it is read (bool, likewise).

        Slots are in the bank's order; at most RECENT of them are read.
        """
        ...


@dataclass(frozen=True)
class Sam2Policy:
    """SAM 2: the candidate with the highest predicted IoU, the memories of the last six frames."""

    name: str = "sam2"
    visible_above: float = 0.0
    uses_depth: bool = False

    def choose(self, bank: MemoryBank, frame: int, candidates: Candidates) -> Choice:
        """See `Policy.choose`."""
        unknown = torch.full_like(candidates.object_score, float("nan"), dtype=torch.float64)
        state = BoxState(bank.filter_mean, bank.filter_covariance)
        return Choice(candidates.ious.argmax(-1), unknown, torch.ones_like(bank.has_filter), state, bank.has_filter, bank.stable)

    def recent_rows(self, bank: MemoryBank, frame: int) -> tuple[Tensor, Tensor]:
        """Rows by age: the memory of `a` frames ago has row a - 1."""
        tracked = bank.frames[:, :TRACKED]
        rows = (frame - tracked).abs() - 1
        valid = (tracked != EMPTY) & (rows < RECENT)
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
        tracked = bank.frames[:, :TRACKED]
        previous = (frame - tracked).abs() == 1
        valid = (tracked != EMPTY) & (bank.passed[:, :TRACKED] | previous)
        return _ranks(tracked, frame, valid), valid


def _ranks(frames: Tensor, frame: int, valid: Tensor) -> Tensor:
    """Rank by age of the valid memories, 0 = newest: int64 [N, T]; the others get ranks behind them, cut to the last row."""
    ages = torch.where(valid, (frame - frames).abs(), torch.iinfo(torch.int64).max)
    return ages.argsort(dim=1, stable=True).argsort(dim=1).clamp(max=RECENT - 1)


@dataclass(frozen=True)
class DistractorPolicy(SamuraiPolicy):
    """SAMURAI, and memories of frames on which something else looked like the object (DAM4SAM, arXiv:2411.17576).

    Such a frame becomes an anchor: a memory that stays until three newer anchors push it out, and is read with the temporal row of
    prompted frames. The newest recent memories fill what the anchors leave of the six that are read. A frame is an anchor when the
    object is surely seen (predicted IoU, steady area), the last anchor is some frames old, and an alternative mask has a large part
    outside the chosen one, so that both together make another box.

    Attributes:
        anchor_iou: predicted IoU that is needed.
        anchor_area: how much the area may differ from the median of the last ten, as a share.
        anchor_gap: frames that must lie between two anchors.
        anchor_box_iou: the box of both parts and the chosen mask's box overlap at most this much.
    """

    name: str = "distractor"
    anchor_iou: float = 0.8
    anchor_area: float = 0.2
    anchor_gap: int = 5
    anchor_box_iou: float = 0.7

    def choose(self, bank: MemoryBank, frame: int, candidates: Candidates) -> Choice:
        """See `Policy.choose`."""
        choice = super().choose(bank, frame, candidates)
        on = candidates.masks > 0
        rows = torch.arange(len(bank), device=on.device)
        chosen = on[rows, choice.index]
        area = chosen.flatten(1).sum(1).float()
        median = torch.nanmedian(torch.where(bank.areas > 0, bank.areas, float("nan")), dim=1).values
        steady = (area - median).abs() <= self.anchor_area * median  # False while the median is NaN
        newest = bank.frames[:, RECENT:TRACKED].amax(1)
        rested = (newest == EMPTY) | ((frame - newest).abs() > self.anchor_gap)
        sure = (candidates.ious[rows, choice.index] > self.anchor_iou) & (candidates.object_score > 0) & choice.passed

        outside = (on & ~chosen[:, None]).flatten(0, 1)
        part = largest_part(outside).view_as(on)
        together = mask_extents(part | chosen[:, None])
        own = mask_extents(chosen)
        one = torch.ones_like(own[:, 2:])  # extents are inclusive: a box ends one cell later
        wide = torch.cat((together[..., :2], together[..., 2:] + 1), dim=-1)
        overlap = kalman.box_iou(torch.cat((own[:, :2], own[:, 2:] + one), dim=-1), wide)
        rival = ((overlap <= self.anchor_box_iou) & part.flatten(2).any(2)).any(1)
        return replace(choice, anchor=sure & steady & rested & rival & (area > 0))

    def recent_rows(self, bank: MemoryBank, frame: int) -> tuple[Tensor, Tensor]:
        """Anchors have the row of prompted frames; the newest recent memories have rows by rank."""
        rows, valid = super().recent_rows(bank, frame)
        anchors = bank.frames[:, RECENT:TRACKED] != EMPTY
        recent = bank.frames[:, :RECENT]
        ranks = _ranks(recent, frame, valid[:, :RECENT])
        room = RECENT - anchors.sum(1, keepdim=True)
        return (
            torch.cat((ranks, torch.full_like(rows[:, RECENT:], RECENT)), dim=1),
            torch.cat((valid[:, :RECENT] & (ranks < room), anchors), dim=1),
        )


@dataclass(frozen=True)
class DepthPolicy(SamuraiPolicy):
    """SAMURAI, and masks are cut where depth says that something else is there (see `depth_gate`). Without depth it is SAMURAI."""

    name: str = "depth"
    uses_depth: bool = True


_POLICIES: dict[str, type[Sam2Policy] | type[SamuraiPolicy]] = {
    "sam2": Sam2Policy,
    "samurai": SamuraiPolicy,
    "distractor": DistractorPolicy,
    "depth": DepthPolicy,
}
POLICY_NAMES = tuple(_POLICIES)


def make_policy(policy: str | Policy) -> Policy:
    """A policy by name, or the policy itself. Raises ValueError with the known names."""
    if not isinstance(policy, str):
        return policy
    if policy not in _POLICIES:
        raise ValueError(f'no memory policy is called "{policy}"; there are {", ".join(POLICY_NAMES)}')
    return _POLICIES[policy]()
