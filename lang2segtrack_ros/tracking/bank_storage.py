# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Preallocated storage of the memories of all objects, at fixed addresses.

The storage holds rows for 1, 2, 4, 8, ... objects. A frame writes its memories in place, so the tensors keep their addresses and shapes
until the number of objects exceeds the capacity. A CUDA graph needs both.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from lang2segtrack_ros.tracking.memory_bank import FIELDS, MemoryBank, StagedBank, Write


@dataclass(frozen=True)
class TrackRows:
    """The objects of a tracker, one row for each.

    Attributes:
        ids: ids of the N objects.
        prompt_counts: number of prompts that each object has had.
        bank: their memories. The bank may be a view of a storage, which changes with the next frame.
    """

    ids: tuple[int, ...]
    prompt_counts: tuple[int, ...]
    bank: MemoryBank

    def keep(self, ids: tuple[int, ...]) -> TrackRows:
        """Return a copy with only the given objects, in that order."""
        rows = [self.ids.index(track_id) for track_id in ids]
        return TrackRows(ids, tuple(self.prompt_counts[row] for row in rows), self.bank.select(rows))

    def without(self, ids: set[int]) -> TrackRows:
        """Return a copy without the given objects."""
        return self.keep(tuple(track_id for track_id in self.ids if track_id not in ids))

    def joined(self, other: TrackRows) -> TrackRows:
        """Return a copy with the objects of both, these first."""
        bank = MemoryBank.join([self.bank, other.bank])
        return TrackRows(self.ids + other.ids, self.prompt_counts + other.prompt_counts, bank)


@dataclass(frozen=True)
class BankStorage:
    """Storage of a memory bank whose capacity is a power of two.

    Attributes:
        allocate: returns an empty bank for a number of objects.
        buffers: rows for all objects of the capacity.
    """

    allocate: Callable[[int], MemoryBank]
    buffers: MemoryBank

    @property
    def capacity(self) -> int:
        """Return the number of objects for which the storage has rows."""
        return len(self.buffers)

    def plan(self, bank: MemoryBank) -> StoragePlan:
        """Plan to store a bank here, or in a larger storage. Nothing is written yet.

        Args:
            bank: the bank, with the staged writes of a frame if it is a `StagedBank`.
        """
        count = len(bank)
        storage = self if count <= self.capacity else BankStorage(self.allocate, self.allocate(1 << (count - 1).bit_length()))
        view = storage.buffers.first(count)
        writes = bank.writes() if isinstance(bank, StagedBank) else []
        for name in FIELDS:
            source, target = getattr(bank, name), getattr(view, name)
            if source.data_ptr() != target.data_ptr():  # tensors that are views of the storage need no copy
                writes.append(partial(target.copy_, source))
        return StoragePlan(storage, view, tuple(writes))


@dataclass(frozen=True)
class StoragePlan:
    """A planned change of a storage. All memory is allocated, and the writes only copy, so they do not fail.

    Attributes:
        storage: the storage after the writes.
        bank: its rows of the stored objects, as views.
        writes: the writes, in order.
    """

    storage: BankStorage
    bank: MemoryBank
    writes: tuple[Write, ...]
