# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Memory policies by name. The module itself loads no torch, so that help texts and launch files can list the names."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from lang2segtrack_ros.models.plugins import PluginError, create_plugin, plugin_names
from lang2segtrack_ros.types.checks import as_number, describe

if TYPE_CHECKING:
    from lang2segtrack_ros.tracking.policies.base import Policy

_CLASSES = {"sam2": "Sam2Policy", "samurai": "SamuraiPolicy", "distractor": "DistractorPolicy", "depth": "DepthPolicy"}
"""Classes of the built-in policies. The module of a policy has the policy's name."""
POLICY_NAMES = tuple(_CLASSES)
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
    if policy in _CLASSES:
        built_in: Policy = getattr(import_module(f"lang2segtrack_ros.tracking.policies.{policy}"), _CLASSES[policy])()
        return built_in
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
