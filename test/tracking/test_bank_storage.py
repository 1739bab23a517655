# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Preallocated storage of memories: capacity, addresses, and writes that follow all computation."""

from __future__ import annotations

import pytest
import torch

from lang2segtrack_ros.tracking.bank_storage import BankStorage, StoragePlan, TrackRows
from lang2segtrack_ros.tracking.memory_bank import FIELDS, MemoryBank


def allocate(count: int) -> MemoryBank:
    return MemoryBank.empty(count, tokens=4, memory_dim=3, hidden_dim=5, num_pointers=16, device=torch.device("cpu"))


def numbered(count: int, first: int = 1) -> MemoryBank:
    """Return a bank whose rows hold their number in `stable` and in the spatial memories."""
    bank = allocate(count)
    numbers = torch.arange(first, first + count)
    bank.stable += numbers
    bank.features += numbers[:, None, None, None]
    return bank


def written(plan: StoragePlan) -> tuple[BankStorage, MemoryBank]:
    for write in plan.writes:
        write()
    return plan.storage, plan.bank


def addresses(bank: MemoryBank) -> list[int]:
    return [getattr(bank, name).data_ptr() for name in FIELDS]


@pytest.mark.parametrize(("count", "capacity"), [(1, 1), (2, 2), (3, 4), (5, 8), (32, 32), (33, 64)])
def test_capacity_is_the_next_power_of_two(count: int, capacity: int) -> None:
    storage, bank = written(BankStorage(allocate, allocate(0)).plan(numbered(count)))
    assert (storage.capacity, len(bank)) == (capacity, count)
    assert bank.stable.tolist() == list(range(1, count + 1))


def test_addresses_stay_while_the_capacity_suffices() -> None:
    """A CUDA graph of a step needs fixed addresses. Removal and growth within the capacity must keep them."""
    storage, bank = written(BankStorage(allocate, allocate(0)).plan(numbered(3)))
    before = addresses(bank)
    for rows in (numbered(2, 7), numbered(4, 20), numbered(1, 9)):
        storage, bank = written(storage.plan(rows))
        assert addresses(bank) == before
        assert bank.stable.tolist() == rows.stable.tolist()
        assert bank.features[:, 0, 0, 0].tolist() == rows.features[:, 0, 0, 0].tolist()
    storage, bank = written(storage.plan(numbered(5)))
    assert storage.capacity == 8
    assert addresses(bank) != before


def test_a_plan_writes_nothing() -> None:
    """All memory is allocated in the plan. Before the writes, the stored objects must stay as they are."""
    storage, bank = written(BankStorage(allocate, allocate(0)).plan(numbered(2)))
    staged = bank.staged()
    staged.write_prompted(1, 0, 5, torch.full((4, 3), 8.0), torch.zeros(5))
    staged.stable[0] = 99
    plan = storage.plan(staged)
    assert bank.stable.tolist() == [1, 2]
    assert float(bank.features[1].max()) == 2.0
    _, bank = written(plan)
    assert bank.stable.tolist() == [99, 2]
    assert float(bank.features[1].max()) == 8.0


def test_rows_of_removed_objects_are_compacted() -> None:
    rows = TrackRows((4, 7, 9), (1, 2, 3), numbered(3)).without({7})
    assert (rows.ids, rows.prompt_counts, rows.bank.stable.tolist()) == ((4, 9), (1, 3), [1, 3])
    joined = rows.joined(TrackRows((11,), (1,), numbered(1, 8)))
    assert (joined.ids, joined.prompt_counts, joined.bank.stable.tolist()) == ((4, 9, 11), (1, 3, 1), [1, 3, 8])
