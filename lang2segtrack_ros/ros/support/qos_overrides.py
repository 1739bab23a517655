# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""QoS of publishers and subscriptions that parameters override, as in rclcpp: `qos_overrides.<topic>.<publisher|subscription>.<policy>`.

rclpy declares these parameters when it creates the entity. It would report a wrong value only then, without the allowed ones.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSPolicyKind, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions

PREFIX = "qos_overrides."
POLICIES = (QoSPolicyKind.HISTORY, QoSPolicyKind.DEPTH, QoSPolicyKind.RELIABILITY, QoSPolicyKind.DURABILITY)
_ENTITIES = ("publisher", "subscription")
_VALUES: Mapping[str, type[Any]] = {"history": HistoryPolicy, "reliability": ReliabilityPolicy, "durability": DurabilityPolicy}


def options(policies: Collection[Any] = POLICIES) -> QoSOverridingOptions:
    """Return the option of an entity whose policies may be overridden."""
    return QoSOverridingOptions(policies)


def given_policies(node: Node, topic: str, entity: str) -> set[Any]:
    """Return the policies that parameters override.

    Args:
        node: the node.
        topic: resolved name of the topic.
        entity: "publisher" or "subscription".
    """
    given = _given(node)
    return {policy for policy in POLICIES if f"{PREFIX}{topic}.{entity}.{policy.name.lower()}" in given}


def find_problem(node: Node) -> str:
    """Return a sentence on the first given override with an unknown policy or a wrong value. Empty without a problem."""
    for name, parameter in sorted(_given(node).items()):
        topic, _, rest = name.removeprefix(PREFIX).partition(".")
        entity, _, policy = rest.partition(".")
        problem = _problem(topic, entity, policy, parameter.value)
        if problem:
            return f"parameter {name}: {problem}"
    return ""


def _problem(topic: str, entity: str, policy: str, value: Any) -> str:
    if not topic.startswith("/") or entity not in _ENTITIES:
        return "write qos_overrides./<topic>.publisher.<policy> or qos_overrides./<topic>.subscription.<policy>, with the full topic name"
    if policy == "depth":
        return "" if type(value) is int and value > 0 else f"{value!r} is no queue depth: give an integer of 1 or more"
    if policy not in _VALUES:
        return f"policy {policy or 'none'} cannot be overridden; choose from: {', '.join(kind.name.lower() for kind in POLICIES)}"
    allowed = [member.name.lower() for member in _VALUES[policy] if member.name != "UNKNOWN"]
    return "" if value in allowed else f"{value!r} is no {policy}; choose from: {', '.join(allowed)}"


def unused(node: Node) -> list[str]:
    """Return the names of given overrides that no publisher or subscription of the node has used so far."""
    return sorted(name for name in _given(node) if not node.has_parameter(name))


def _given(node: Node) -> dict[str, Any]:
    overrides = getattr(node, "_parameter_overrides", {})
    return {name: parameter for name, parameter in overrides.items() if name.startswith(PREFIX)}
