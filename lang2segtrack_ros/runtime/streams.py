# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""CUDA streams: threads that work on one GPU wait for each other unless each has its own."""

from __future__ import annotations

import contextlib
from typing import Any

import torch


def own_stream(device: torch.device | None) -> contextlib.AbstractContextManager[Any]:
    """Work of this thread goes to a CUDA stream of its own; on other devices, or none, nothing changes.

    On the stream that is every thread's otherwise, a tracker that brings a mask home waits for all that a detector has queued before.
    Only arrays on the host may go from one stream to the other, and weights, which are there when a network is loaded.
    """
    cuda: Any = torch.cuda  # its streams are untyped
    return cuda.stream(cuda.Stream(device)) if device is not None and device.type == "cuda" else contextlib.nullcontext()
