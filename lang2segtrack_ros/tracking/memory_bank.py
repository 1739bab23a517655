# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""What every object remembers, in tensors whose size depends on the number of objects alone.

Per object: `RECENT` spatial memories of tracked frames, up to `ANCHORS` of frames that a policy wants to keep, up to `MAX_PROMPTED`
of frames it was prompted on, one object pointer for each of the last `num_pointers - 1` frames and for each prompted frame, the
motion model and its counters. Nothing grows with the length of the stream.

Why `RECENT` = 6 slots are enough: SAMURAI reads the newest six memories that pass its gates, and the previous frame's even when it
does not pass. A memory that did not pass is read once, so its slot is the next one to be overwritten; otherwise the oldest is.
Gates are decided when a memory is written, which makes the look-back O(1) where the reference scans the past on every frame.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from lang2segtrack_ros.tracking.kalman import BoxState

RECENT = 6
ANCHORS = 3
TRACKED = RECENT + ANCHORS
MAX_PROMPTED = 4
AREAS = 10
EMPTY = -1
"""Frame number of a slot that holds nothing."""


@dataclass
class MemoryBank:
    """The memories of N objects; objects come first in every tensor. S slots: recent, anchors, prompted.

    Attributes:
        features: [N, S, HW, 64], spatial memories, bfloat16 unless the segmenter says otherwise.
        frames: int64 [N, S], the frame each slot was written on, EMPTY for none.
        passed: bool [N, S], whether the memory passed the policy's gates.
        pointers: float32 [N, P, C], object pointers: a ring over frames, then the prompted frames'.
        pointer_frames: int64 [N, P], as `frames`.
        filter_mean, filter_covariance: float64 [N, 8], [N, 4, 3], the motion model (see `kalman`).
        has_filter: bool [N].
        stable: int64 [N], SAMURAI's count of steady frames.
        frames_unseen: int64 [N], frames since the object was last visible.
        born: int64 [N], the frame of the first prompt.
        areas: float32 [N, AREAS], areas of the latest masks that were not empty, in cells of the low-resolution logits; 0 for none.
        distance: float32 [N] metres, NaN unknown, see `depth_gate`.
    """

    features: Tensor
    frames: Tensor
    passed: Tensor
    pointers: Tensor
    pointer_frames: Tensor
    filter_mean: Tensor
    filter_covariance: Tensor
    has_filter: Tensor
    stable: Tensor
    frames_unseen: Tensor
    born: Tensor
    areas: Tensor
    distance: Tensor

    @staticmethod
    def empty(
        count: int,
        tokens: int,
        memory_dim: int,
        hidden_dim: int,
        num_pointers: int,
        device: torch.device,
        memory_dtype: torch.dtype = torch.bfloat16,
        compute_dtype: torch.dtype = torch.float32,
    ) -> MemoryBank:
        """A bank of `count` objects that remember nothing; `tokens` = HW, `hidden_dim` = C, `num_pointers` = pointers read on a frame."""
        slots = TRACKED + MAX_PROMPTED
        ring = num_pointers - 1 + MAX_PROMPTED

        def whole(*shape: int, value: int = 0) -> Tensor:
            return torch.full((count, *shape), value, dtype=torch.int64, device=device)

        return MemoryBank(
            features=torch.zeros(count, slots, tokens, memory_dim, dtype=memory_dtype, device=device),
            frames=whole(slots, value=EMPTY),
            passed=torch.zeros(count, slots, dtype=torch.bool, device=device),
            pointers=torch.zeros(count, ring, hidden_dim, dtype=compute_dtype, device=device),
            pointer_frames=whole(ring, value=EMPTY),
            filter_mean=torch.zeros(count, 8, dtype=torch.float64, device=device),
            filter_covariance=torch.zeros(count, 4, 3, dtype=torch.float64, device=device),
            has_filter=torch.zeros(count, dtype=torch.bool, device=device),
            stable=whole(),
            frames_unseen=whole(),
            born=whole(),
            areas=torch.zeros(count, AREAS, device=device),
            distance=torch.full((count,), float("nan"), device=device),
        )

    def __len__(self) -> int:
        return int(self.frames.shape[0])

    @property
    def ring(self) -> int:
        """Number of pointer slots that are a ring over frames."""
        return int(self.pointers.shape[1]) - MAX_PROMPTED

    def append(self, other: MemoryBank) -> None:
        """Adds the objects of another bank behind the present ones."""
        joined = {item.name: torch.cat((getattr(self, item.name), getattr(other, item.name))) for item in fields(self)}
        vars(self).update(joined)  # all or nothing: the device may run out of memory on the way

    def copy(self) -> MemoryBank:
        """Another bank with the same contents."""
        return MemoryBank(*(getattr(self, item.name).clone() for item in fields(self)))

    def keep(self, rows: list[int]) -> None:
        """Keeps the objects of the given rows, in that order."""
        index = torch.tensor(rows, dtype=torch.int64, device=self.frames.device)
        vars(self).update({item.name: getattr(self, item.name)[index] for item in fields(self)})

    def resized(self, old: int, new: int) -> MemoryBank:
        """The bank for a network that works on images of another size: spatial memories [N, S, old * old, 64] become new * new.

        The motion model counts in pixels of the network's image, and starts anew.
        """
        count, slots, _, width = self.features.shape
        maps = self.features.cpu().float().reshape(count * slots, old, old, width).permute(0, 3, 1, 2)  # on the host: the device is full
        scaled = F.interpolate(maps, size=(new, new), mode="bilinear", align_corners=False, antialias=True)
        features = scaled.flatten(2).transpose(1, 2).reshape(count, slots, new * new, width).to(self.features.dtype)
        return replace(
            self,
            features=features.to(self.features.device),
            has_filter=torch.zeros_like(self.has_filter),
            stable=torch.zeros_like(self.stable),
            areas=self.areas * (new / old) ** 2,
        )

    def write_tracked(self, frame: int, features: Tensor, passed: Tensor, pointers: Tensor, where: Tensor) -> None:
        """Stores a tracked frame of the objects `where` (bool [N]): features [N, HW, 64], gate verdicts [N], pointers [N, C]."""
        recent = self.frames[:, :RECENT]
        # The order in which slots are given away: a memory that failed its gates, an empty slot, the oldest.
        order = torch.where(recent == EMPTY, EMPTY, torch.where(self.passed[:, :RECENT], recent, EMPTY - 1))
        order = torch.where(recent == frame, EMPTY - 2, order)  # the frame is done again, because something after this had failed
        rows = torch.arange(len(self), device=recent.device)
        slot = order.argmin(dim=1)
        self.features[rows, slot] = torch.where(where[:, None, None], features, self.features[rows, slot])
        self.frames[rows, slot] = torch.where(where, frame, self.frames[rows, slot])
        self.passed[rows, slot] = torch.where(where, passed, self.passed[rows, slot])
        place = frame % self.ring
        self.pointers[:, place] = torch.where(where[:, None], pointers, self.pointers[:, place])
        self.pointer_frames[:, place] = torch.where(where, frame, EMPTY)

    def write_anchor(self, frame: int, features: Tensor, where: Tensor) -> None:
        """Stores an anchor of the objects `where` (bool [N]) in place of their oldest: features [N, HW, 64]."""
        rows = torch.arange(len(self), device=self.frames.device)
        anchors = self.frames[:, RECENT:TRACKED]
        slot = RECENT + torch.where(anchors == frame, EMPTY - 1, anchors).argmin(dim=1)
        self.features[rows, slot] = torch.where(where[:, None, None], features, self.features[rows, slot])
        self.frames[rows, slot] = torch.where(where, frame, self.frames[rows, slot])
        self.passed[rows, slot] = self.passed[rows, slot] | where

    def write_motion(self, state: BoxState, has_filter: Tensor, stable: Tensor, where: Tensor) -> None:
        """Stores the motion model and the steady frames (int64 [N]) of the objects `where` (bool [N])."""
        self.filter_mean = torch.where(where[:, None], state.mean, self.filter_mean)
        self.filter_covariance = torch.where(where[:, None, None], state.covariance, self.filter_covariance)
        self.has_filter = torch.where(where, has_filter, self.has_filter)
        self.stable = torch.where(where, stable, self.stable)

    def note_areas(self, areas: Tensor) -> None:
        """Remembers the latest areas [N], in cells; empty masks are not counted."""
        self.areas = torch.where((areas > 0)[:, None], torch.cat((areas[:, None], self.areas[:, :-1]), dim=1), self.areas)

    def write_prompted(self, row: int, slot: int, frame: int, features: Tensor, pointer: Tensor) -> None:
        """Stores a prompted frame of one object in prompt slot 0 <= slot < MAX_PROMPTED: features [HW, 64], pointer [C]."""
        self.features[row, TRACKED + slot] = features
        self.frames[row, TRACKED + slot] = frame
        self.passed[row, TRACKED + slot] = True
        self.pointers[row, self.ring + slot] = pointer
        self.pointer_frames[row, self.ring + slot] = frame
