# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Memory policies by name."""

from __future__ import annotations

from lang2segtrack_ros.tracking.policies.base import Policy
from lang2segtrack_ros.tracking.policies.depth import DepthPolicy
from lang2segtrack_ros.tracking.policies.distractor import DistractorPolicy
from lang2segtrack_ros.tracking.policies.sam2 import Sam2Policy
from lang2segtrack_ros.tracking.policies.samurai import SamuraiPolicy

_POLICIES: dict[str, type[Sam2Policy] | type[SamuraiPolicy]] = {
    "sam2": Sam2Policy,
    "samurai": SamuraiPolicy,
    "distractor": DistractorPolicy,
    "depth": DepthPolicy,
}
POLICY_NAMES = tuple(_POLICIES)


def make_policy(policy: str | Policy) -> Policy:
    """A policy by name, or the policy itself. Raises ValueError with the known names."""
    if not isinstance(policy, str):
        return policy
    if policy not in _POLICIES:
        raise ValueError(f'no memory policy is called "{policy}"; there are {", ".join(POLICY_NAMES)}')
    return _POLICIES[policy]()
