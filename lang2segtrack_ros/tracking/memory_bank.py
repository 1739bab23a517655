# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The memories of all objects, in tensors whose size depends only on the number of objects.

The bank stores for each object:

* `RECENT` spatial memories of tracked frames, up to `ANCHORS` of anchor frames, and up to `MAX_PROMPTED` of prompted frames;
* one object pointer for each of the last `num_pointers - 1` frames, and one for each prompted frame;
* the state of the motion model and its counters.

No tensor grows with the length of the stream.

`RECENT` = 6 slots are enough. SAMURAI reads the newest six memories that pass its gates. It also reads the memory of the previous frame
if that memory failed the gates. A failed memory is read only once, so its slot is overwritten first, before the slot of the oldest
memory. The gates are evaluated when a memory is written. The look-back is therefore O(1), while the reference scans the past on every
frame.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Union

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
"""Frame number of an empty slot."""
FrameNumber = Union[int, Tensor]
"""Number of a frame: an integer, or int64 [1] inside a static function, whose constants never change."""


@dataclass
class MemoryBank:
    """The memories of N objects, in S slots for each object: recent, anchors, prompted.

    Attributes:
        features: [N, S, HW, 64], spatial memories in the segmenter's `memory_dtype`, by default bfloat16.
        frames: int64 [N, S], frame number of each slot, EMPTY for an empty slot.
        passed: bool [N, S], True for memories that passed the gates of the policy.
        pointers: float32 [N, P, C], object pointers: a ring buffer over frames, then those of prompted frames.
        pointer_frames: int64 [N, P], frame number of each pointer, EMPTY for an empty slot.
        filter_mean: float64 [N, 8], state of the motion model, see `kalman`.
        filter_covariance: float64 [N, 4, 3], covariance of the motion model.
        has_filter: bool [N], True for objects with an initialized motion model.
        stable: int64 [N], SAMURAI's count of steady frames.
        frames_unseen: int64 [N], frames since the object was last visible.
        first_frame: int64 [N], frame number of the first prompt.
        areas: float32 [N, AREAS], areas of the latest nonempty masks in cells of the low-resolution logits, 0 for missing values.
        distance: float32 [N], distance from the camera in meters, NaN for unknown, see `depth_gate`.
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
    first_frame: Tensor
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
        """Return a bank of objects without memories.

        Args:
            count: number of objects N.
            tokens: number of stride-16 tokens HW.
            memory_dim: channels of a spatial memory.
            hidden_dim: channels C of an object pointer.
            num_pointers: maximum number of pointers that are read on a frame, the current one included.
            device: device of the tensors.
            memory_dtype: type of the spatial memories.
            compute_dtype: type of the pointers.
        """
        slots = TRACKED + MAX_PROMPTED
        ring = num_pointers - 1 + MAX_PROMPTED

        def integers(*shape: int, value: int = 0) -> Tensor:
            return torch.full((count, *shape), value, dtype=torch.int64, device=device)

        return MemoryBank(
            features=torch.zeros(count, slots, tokens, memory_dim, dtype=memory_dtype, device=device),
            frames=integers(slots, value=EMPTY),
            passed=torch.zeros(count, slots, dtype=torch.bool, device=device),
            pointers=torch.zeros(count, ring, hidden_dim, dtype=compute_dtype, device=device),
            pointer_frames=integers(ring, value=EMPTY),
            filter_mean=torch.zeros(count, 8, dtype=torch.float64, device=device),
            filter_covariance=torch.zeros(count, 4, 3, dtype=torch.float64, device=device),
            has_filter=torch.zeros(count, dtype=torch.bool, device=device),
            stable=integers(),
            frames_unseen=integers(),
            first_frame=integers(),
            areas=torch.zeros(count, AREAS, device=device),
            distance=torch.full((count,), float("nan"), device=device),
        )

    def __len__(self) -> int:
        return int(self.frames.shape[0])

    @property
    def nbytes(self) -> int:
        """The size of all tensors in bytes."""
        return sum(int(getattr(self, name).nbytes) for name in FIELDS)

    @property
    def ring(self) -> int:
        """The number of pointer slots in the ring buffer over frames."""
        return int(self.pointers.shape[1]) - MAX_PROMPTED

    def _put_features(self, rows: Tensor | int, slots: Tensor | int, values: Tensor) -> None:
        """Write spatial memories into slots of rows."""
        self.features[rows, slots] = values.to(self.features.dtype)

    def staged(self) -> StagedBank:
        """Return a copy that collects writes. The spatial memories of this bank change only by `StagedBank.writes`."""
        values = {name: getattr(self, name) for name in FIELDS}
        for name in ("frames", "passed", "pointers", "pointer_frames", "stable"):  # written in place; the others are replaced
            values[name] = values[name].clone()
        return StagedBank(**values)

    @staticmethod
    def join(banks: Sequence[MemoryBank]) -> MemoryBank:
        """Return a copy with the objects of all banks, in order."""
        return MemoryBank(*(torch.cat([getattr(bank, name) for bank in banks]) for name in FIELDS))

    def first(self, count: int) -> MemoryBank:
        """Return views of the first `count` objects."""
        return MemoryBank(*(getattr(self, name)[:count] for name in FIELDS))

    def select(self, rows: Sequence[int]) -> MemoryBank:
        """Return a copy with only the objects of the given rows, in that order."""
        index = torch.tensor(rows, dtype=torch.int64, device=self.frames.device)
        return MemoryBank(*(getattr(self, name)[index] for name in FIELDS))

    def resized(self, old: int, new: int) -> MemoryBank:
        """Return the bank for a network with another image size.

        Spatial memories are interpolated. The motion model restarts, because its unit is a pixel of the network's image.

        Args:
            old: side of the present stride-16 map, HW = old * old.
            new: side of the new stride-16 map.
        """
        count, slots, _, width = self.features.shape
        maps = (
            self.features.cpu().float().reshape(count * slots, old, old, width).permute(0, 3, 1, 2)
        )  # on the host, because the device has no free memory
        scaled = F.interpolate(maps, size=(new, new), mode="bilinear", align_corners=False, antialias=True)
        features = scaled.flatten(2).transpose(1, 2).reshape(count, slots, new * new, width).to(self.features.dtype)
        return replace(
            self,
            features=features.to(self.features.device),
            has_filter=torch.zeros_like(self.has_filter),
            stable=torch.zeros_like(self.stable),
            areas=self.areas * (new / old) ** 2,
        )

    def write_tracked(self, frame: FrameNumber, features: Tensor, passed: Tensor, pointers: Tensor, where: Tensor) -> None:
        """Write the memories of a tracked frame.

        Args:
            frame: frame number.
            features: [N, HW, 64], spatial memories.
            passed: bool [N], True for memories that passed the gates of the policy.
            pointers: [N, C], object pointers.
            where: bool [N], objects to write.
        """
        recent = self.frames[:, :RECENT]
        # The slot to overwrite: first a memory that failed the gates, then an empty slot, then the oldest memory.
        order = torch.where(recent == EMPTY, EMPTY, torch.where(self.passed[:, :RECENT], recent, EMPTY - 1))
        rows = torch.arange(len(self), device=recent.device)
        slot = order.argmin(dim=1)
        self._put_features(rows, slot, torch.where(where[:, None, None], features, self.features[rows, slot]))
        self.frames[rows, slot] = torch.where(where, frame, self.frames[rows, slot])
        self.passed[rows, slot] = torch.where(where, passed, self.passed[rows, slot])
        in_slot = torch.arange(self.pointers.shape[1], device=recent.device) == frame % self.ring
        self.pointers.copy_(torch.where((where[:, None] & in_slot)[..., None], pointers[:, None], self.pointers))
        self.pointer_frames.copy_(torch.where(in_slot, torch.where(where, frame, EMPTY)[:, None], self.pointer_frames))

    def write_anchor(self, frame: FrameNumber, features: Tensor, where: Tensor) -> None:
        """Replace the oldest anchor of the objects `where` (bool [N]) by the spatial memories `features` [N, HW, 64] of a frame."""
        rows = torch.arange(len(self), device=self.frames.device)
        anchors = self.frames[:, RECENT:TRACKED]
        slot = RECENT + anchors.argmin(dim=1)
        self._put_features(rows, slot, torch.where(where[:, None, None], features, self.features[rows, slot]))
        self.frames[rows, slot] = torch.where(where, frame, self.frames[rows, slot])
        self.passed[rows, slot] = self.passed[rows, slot] | where

    def write_motion(self, state: BoxState, has_filter: Tensor, stable: Tensor, where: Tensor) -> None:
        """Write the motion model and the counts of steady frames (int64 [N]) of the objects `where` (bool [N])."""
        self.filter_mean = torch.where(where[:, None], state.mean, self.filter_mean)
        self.filter_covariance = torch.where(where[:, None, None], state.covariance, self.filter_covariance)
        self.has_filter = torch.where(where, has_filter, self.has_filter)
        self.stable = torch.where(where, stable, self.stable)

    def record_areas(self, areas: Tensor) -> None:
        """Record the mask areas [N] of a frame, in cells. Empty masks are skipped."""
        self.areas = torch.where((areas > 0)[:, None], torch.cat((areas[:, None], self.areas[:, :-1]), dim=1), self.areas)

    def write_prompted(self, row: int, slot: int, frame: int, features: Tensor, pointer: Tensor) -> None:
        """Write the memory of a prompted frame of one object.

        Args:
            row: row of the object.
            slot: prompt slot, 0 <= slot < MAX_PROMPTED.
            frame: frame number.
            features: [HW, 64], spatial memory.
            pointer: [C], object pointer.
        """
        self._put_features(row, TRACKED + slot, features)
        self.frames[row, TRACKED + slot] = frame
        self.passed[row, TRACKED + slot] = True
        self.pointers[row, self.ring + slot] = pointer
        self.pointer_frames[row, self.ring + slot] = frame


FIELDS = tuple(item.name for item in fields(MemoryBank))
"""Names of the tensors of a bank."""


Write = Callable[[], object]
"""A write that only copies between tensors."""


@dataclass(frozen=True)
class FeatureWrite:
    """Spatial memories [K, HW, 64] for the slots `slots` of the rows `rows`, int64 [K] each."""

    rows: Tensor
    slots: Tensor
    values: Tensor


class StagedBank(MemoryBank):
    """A bank that takes the writes of one frame; see `MemoryBank.staged`.

    All values are computed and all memory is allocated when a write is staged.

    Attributes:
        feature_writes: the staged writes of spatial memories, in order.
    """

    def __init__(self, **values: Tensor) -> None:
        super().__init__(**values)
        self.feature_writes: list[FeatureWrite] = []

    def _put_features(self, rows: Tensor | int, slots: Tensor | int, values: Tensor) -> None:
        """Stage a write of spatial memories."""
        if not isinstance(rows, Tensor) or not isinstance(slots, Tensor):
            rows, slots = (torch.tensor([int(value)], device=self.features.device) for value in (rows, slots))
            values = values[None]
        self.feature_writes.append(FeatureWrite(rows, slots, values.to(self.features.dtype)))

    def writes(self) -> list[Write]:
        """Return the staged writes of spatial memories, in order."""
        return [partial(self.features.index_put_, (item.rows, item.slots), item.values) for item in self.feature_writes]
