# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The six memory slots hold exactly the memories that SAMURAI reads from its unbounded list."""

from __future__ import annotations

import random

import pytest
import torch

from lang2segtrack_ros.tracking.memory_bank import EMPTY, RECENT, TRACKED, MemoryBank
from lang2segtrack_ros.tracking.policies.sam2 import Sam2Policy
from lang2segtrack_ros.tracking.policies.samurai import SamuraiPolicy


def write(bank: MemoryBank, frame: int, passed: list[bool]) -> None:
    count = len(bank)
    features = torch.full((count, 4, 64), float(frame), dtype=torch.bfloat16)
    where = torch.ones(count, dtype=torch.bool)
    bank.write_tracked(frame, features, torch.tensor(passed), torch.full((count, 128), float(frame)), where)


def empty(count: int = 1) -> MemoryBank:
    return MemoryBank.empty(count, 4, 64, 128, 16, torch.device("cpu"))


def read(bank: MemoryBank, row: int, frame: int, policy: SamuraiPolicy | Sam2Policy) -> dict[int, int]:
    """Return the temporal rows of the memories that the policy reads, by frame."""
    rows, valid = policy.recent_rows(bank, frame)
    return {int(bank.frames[row, slot]): int(rows[row, slot]) for slot in range(TRACKED) if valid[row, slot]}


@pytest.mark.parametrize("seed", range(5))
def test_samurai_reads_the_same_memories_as_a_scan_of_the_whole_past(seed: int) -> None:
    """The reference scans back for passed memories, adds the previous frame, and takes the newest six. Two objects pass differently."""
    chance = random.Random(seed)
    bank = empty(2)
    history: list[list[bool]] = [[], []]
    for frame in range(60):
        for row in range(2):
            past = [index for index, passed in enumerate(history[row]) if passed]
            if frame and frame - 1 not in past:
                past.append(frame - 1)
            newest = sorted(past)[-RECENT:]
            assert read(bank, row, frame, SamuraiPolicy()) == {index: rank for rank, index in enumerate(reversed(newest))}
        verdicts = [chance.random() < 0.3, chance.random() < 0.8]
        for row in range(2):
            history[row].append(verdicts[row])
        write(bank, frame, verdicts)
        for row in range(2):  # the features must match their frame numbers
            for slot in range(RECENT):
                if bank.frames[row, slot] != EMPTY:
                    assert float(bank.features[row, slot, 0, 0]) == int(bank.frames[row, slot])


def test_sam2_reads_the_last_six_frames_by_age() -> None:
    bank = empty()
    for frame in range(20):
        assert read(bank, 0, frame, Sam2Policy()) == {frame - age: age - 1 for age in range(1, min(frame, RECENT) + 1)}
        write(bank, frame, [True])


def test_pointers_form_a_ring_buffer() -> None:
    bank = empty()
    for frame in range(40):
        write(bank, frame, [True])
    assert sorted(bank.pointer_frames[0, : bank.ring].tolist()) == list(range(25, 40))
    assert bank.ring == 15


def test_select_and_join_move_all_fields_of_objects() -> None:
    bank = empty(3)
    write(bank, 0, [True, False, True])
    bank.stable += torch.tensor([1, 2, 3])
    bank = MemoryBank.join([bank.select([2, 0]), empty(1)])
    assert bank.stable.tolist() == [3, 1, 0]
    assert bank.passed[:, 0].tolist() == [True, True, False]
    assert len(bank) == 3
