# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""CUDA streams: each thread needs its own stream, or threads that share a GPU wait for each other."""

from __future__ import annotations

import contextlib
from typing import Any

import torch


def own_stream(device: torch.device | None, is_urgent: bool = False) -> contextlib.AbstractContextManager[Any]:
    """Return a context in which this thread uses its own CUDA stream. Without a CUDA device, the context has no effect.

    On the default stream, a tracker that copies a mask to the host waits for all queued work of the detector. Only host arrays may pass
    from one stream to another. Weights are an exception, because loading ends with a synchronization.

    Args:
        device: device of the thread's network, or None.
        is_urgent: True for the thread whose kernels start before those of other threads.
    """
    if device is None or device.type != "cuda":
        return contextlib.nullcontext()
    cuda: Any = torch.cuda  # torch has no types for its streams
    context: contextlib.AbstractContextManager[Any] = cuda.stream(new_stream(device, is_urgent))
    return context


def new_stream(device: torch.device, is_urgent: bool = False) -> Any:
    """Return a new stream of a CUDA device; see `own_stream`."""
    cuda: Any = torch.cuda
    return cuda.Stream(device, priority=-1 if is_urgent else 0)
