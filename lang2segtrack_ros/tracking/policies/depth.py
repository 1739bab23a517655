# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""SAMURAI with a depth gate on the masks."""

from __future__ import annotations

from dataclasses import dataclass

from lang2segtrack_ros.tracking.policies.samurai import SamuraiPolicy


@dataclass(frozen=True)
class DepthPolicy(SamuraiPolicy):
    """SAMURAI with masks limited by depth, see `depth_gate`. On frames without depth it equals SAMURAI."""

    name: str = "depth"
    uses_depth: bool = True
