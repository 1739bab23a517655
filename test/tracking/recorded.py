# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Candidates with recorded boxes, for tests of policies."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from lang2segtrack_ros.segmentation.candidates import Candidates


@dataclass(frozen=True)
class Recorded(Candidates):
    """Candidates with given boxes in place of boxes from masks."""

    extents: Tensor = field(default_factory=lambda: torch.zeros(0))

    def boxes(self) -> Tensor:
        return self.extents
