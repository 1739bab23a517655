# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The meter of allocated memory."""

from __future__ import annotations

import pytest
import torch

from lang2segtrack_ros.runtime.peak_memory import PeakMemory


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_peak_counts_what_lives_at_the_same_time(device: str) -> None:
    """Three tensors of 4,000 bytes are made, of which two live at the same time. Views and writes in place allocate nothing."""
    outside = torch.ones(1000, device=device)
    with PeakMemory() as meter:
        one = outside + 1
        two = one * 2
        del one
        two.view(10, 100)[3].add_(1)
        outside.add_(1)
        three = two + 1
    assert meter.peak == 8000
    assert three.shape == (1000,)


def test_view_keeps_its_tensor_alive() -> None:
    with PeakMemory() as meter:
        view = torch.ones(1000)[:10]
        other = torch.ones(1000)
    assert meter.peak == 8000
    assert len(view) < len(other)
