# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The number of objects that fit into the memory of a device, known before the first frame."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import torch

from lang2segtrack_ros.runtime.peak_memory import PeakMemory

Result = TypeVar("Result")
SHARE = 0.9
"""Part of the free memory that is used for objects. The rest is for workspaces of libraries and for fragmentation."""


@dataclass(frozen=True)
class Capacity:
    """Memory that objects need on a device.

    Attributes:
        stored: bytes that the memories of one object take.
        work: bytes that the processing of one object in a batch takes, above that of the image.
        image: bytes that the processing of an image takes.
        batch: largest number of objects in one batch.
        free: free bytes of the device; None if they are unknown.
    """

    stored: int
    work: int
    image: int
    batch: int
    free: int | None = None

    def needed(self, objects: int) -> int:
        """Return the bytes that a number of objects needs."""
        return self.image + objects * self.stored + min(objects, self.batch) * self.work

    @property
    def objects(self) -> int | None:
        """Return the number of objects that fit into the free memory; None if that is unknown."""
        if self.free is None:
            return None
        available = int(self.free * SHARE) - self.image
        in_one_batch = available // (self.stored + self.work)
        return max(0, in_one_batch if in_one_batch < self.batch else (available - self.batch * self.work) // self.stored)

    def __str__(self) -> str:
        """Describe the memory in a sentence."""
        text = f"an object needs {self.stored / 1e6:.1f} MB for its memories and {self.work / 1e6:.1f} MB while it is processed"
        return text if self.free is None else f"{text}; about {self.objects} objects fit into the free {self.free / 1e9:.1f} GB"


def peak_of(process: Callable[[], Result]) -> tuple[Result, int]:
    """Return what a function returns, and the largest number of bytes that it allocates."""
    with PeakMemory() as meter:
        result = process()
    return result, meter.peak


def free_bytes(device: torch.device) -> int | None:
    """Return the free memory of a GPU in bytes, memory that PyTorch has cached included. None for a CPU."""
    if device.type != "cuda":
        return None
    cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return int(torch.cuda.mem_get_info(device)[0]) + cached
