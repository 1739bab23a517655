# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Memory policies by name."""

from __future__ import annotations

from lang2segtrack_ros.models.plugins import PluginError, create_plugin, plugin_names
from lang2segtrack_ros.tracking.policies.base import Policy
from lang2segtrack_ros.tracking.policies.depth import DepthPolicy
from lang2segtrack_ros.tracking.policies.distractor import DistractorPolicy
from lang2segtrack_ros.tracking.policies.sam2 import Sam2Policy
from lang2segtrack_ros.tracking.policies.samurai import SamuraiPolicy
from lang2segtrack_ros.types.checks import as_number, describe

_POLICIES: dict[str, type[Sam2Policy] | type[SamuraiPolicy]] = {
    "sam2": Sam2Policy,
    "samurai": SamuraiPolicy,
    "distractor": DistractorPolicy,
    "depth": DepthPolicy,
}
POLICY_NAMES = tuple(_POLICIES)
REQUIRED = ("name", "visible_above", "uses_depth", "choose", "recent_rows")
"""Attributes that a policy needs, see `Policy`."""


def make_policy(policy: str | Policy) -> Policy:
    """Return a policy by name, or the given policy itself.

    Args:
        policy: a built-in name, the name of a plug-in (see `models.plugins`), or a policy object.

    Raises:
        PluginError: no policy has this name, or the policy is a class, lacks an attribute, or has one of a wrong type.
    """
    if not isinstance(policy, str):
        return _checked(policy)
    if policy in _POLICIES:
        return _POLICIES[policy]()
    plugin: Policy | None = create_plugin("policy", policy, _missing)
    if plugin is None:
        known = ", ".join((*POLICY_NAMES, *plugin_names("policy")))
        raise PluginError(f'no memory policy is called "{policy}"; known policies: {known}, or "module:Class" for your own')
    return _checked(plugin)


def _missing(policy: object) -> list[str]:
    return [attribute for attribute in REQUIRED if not hasattr(policy, attribute)]


def _checked(policy: Policy) -> Policy:
    """Return a policy object. Raise PluginError if it is a class, lacks an attribute, or has one of a wrong type."""
    if isinstance(policy, type):
        raise PluginError(f"policy is {describe(policy)}: give an object, such as {policy.__name__}()")
    missing = _missing(policy)
    if missing:
        raise PluginError(
            f"policy is {describe(policy)}, which lacks {', '.join(missing)}: give a name, such as {' or '.join(POLICY_NAMES)}, "
            "or see docs/extend.md for your own"
        )
    if as_number(policy.visible_above) is None or not isinstance(policy.uses_depth, bool):
        raise PluginError(
            f'the policy "{policy.name}" has visible_above {describe(policy.visible_above)} and uses_depth {describe(policy.uses_depth)}: '
            "give a number, and True or False"
        )
    return policy
