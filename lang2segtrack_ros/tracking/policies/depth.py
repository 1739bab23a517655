# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""SAMURAI with masks that are cut by depth."""

from __future__ import annotations

from dataclasses import dataclass

from lang2segtrack_ros.tracking.policies.samurai import SamuraiPolicy


@dataclass(frozen=True)
class DepthPolicy(SamuraiPolicy):
    """SAMURAI, and masks are cut where depth says that something else is there (see `depth_gate`). Without depth it is SAMURAI."""

    name: str = "depth"
    uses_depth: bool = True
