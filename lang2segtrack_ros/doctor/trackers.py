# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Checks of the running trackers: which nodes there are, whether they answer, and which topics they use."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node

from lang2segtrack_ros.doctor.finding import Finding, Level
from lang2segtrack_ros.ros.support.interfaces import ADD_TEXT_PROMPT, DIAGNOSTICS

WATCH_S = 3.5
"""Time for the discovery of the nodes and for a status of each, which comes once a second."""
SERVICE_TYPE = f"lang2segtrack/srv/{ADD_TEXT_PROMPT.kind.__name__}"
LEVELS = {DiagnosticStatus.OK: Level.OK, DiagnosticStatus.WARN: Level.WARNING, DiagnosticStatus.STALE: Level.WARNING}


@dataclass(frozen=True)
class CameraTopics:
    """Topics of one camera.

    Attributes:
        color: topic of the color images.
        depth: topic of the depth images. Empty without depth.
        info: topic of the color camera's camera_info.
    """

    color: str
    depth: str
    info: str


@dataclass
class Tracker:
    """A tracker in the graph.

    Attributes:
        name: full name of the node, such as "/left/track_node".
        status: its last status on /diagnostics. None if none arrived.
    """

    name: str
    status: DiagnosticStatus | None = field(default=None, repr=False)

    @property
    def values(self) -> Mapping[str, str]:
        """Values of the status by key."""
        return {item.key: item.value for item in self.status.values} if self.status is not None else {}

    @property
    def topics(self) -> CameraTopics | None:
        """Topics that the tracker subscribes. None if it is not configured."""
        values = self.values
        return CameraTopics(values["color_topic"], values["depth_topic"], values["camera_info_topic"]) if "color_topic" in values else None


def watch_trackers(node: Node, seconds: float = WATCH_S) -> list[Tracker]:
    """Find the trackers of the graph, and wait for a status of each.

    Args:
        node: node that looks at the graph.
        seconds: longest time to wait. It ends early when each tracker has sent a status, but not before half of it.

    Returns:
        The trackers by name.
    """
    statuses: dict[str, DiagnosticStatus] = {}

    def store(array: DiagnosticArray) -> None:
        statuses.update({status.name: status for status in array.status})

    subscription = node.create_subscription(DiagnosticArray, DIAGNOSTICS.name, store, 10)
    executor = SingleThreadedExecutor(context=node.context)
    executor.add_node(node)
    start, names = time.monotonic(), list[str]()
    while (elapsed := time.monotonic() - start) < seconds:
        executor.spin_once(timeout_sec=0.1)
        names = _tracker_names(node)
        if elapsed > seconds / 2 and names and all(_key(name) in statuses for name in names):
            break
    executor.shutdown()
    node.destroy_subscription(subscription)
    return [Tracker(name, statuses.get(_key(name))) for name in names]


def _tracker_names(node: Node) -> list[str]:
    names = []
    for name, namespace in node.get_node_names_and_namespaces():
        try:
            services = node.get_service_names_and_types_by_node(name, namespace)
        except Exception:  # the node has ended meanwhile; rclpy has a private class for that
            continue
        if any(SERVICE_TYPE in types for _, types in services):
            names.append(f"{namespace.rstrip('/')}/{name}")
    return sorted(names)


def _key(name: str) -> str:
    return f"{name.lstrip('/')}: tracking"


def check_trackers(trackers: Sequence[Tracker]) -> list[Finding]:
    """Return a finding for each tracker: what it says of itself, or that it does not answer.

    Args:
        trackers: the trackers of the graph.
    """
    if not trackers:
        return [Finding(Level.OK, "track_node", "not running")]
    findings = []
    for tracker in trackers:
        status = tracker.status
        if status is None:
            text = f"it is in the graph, but sent no status on /diagnostics in {WATCH_S:g} s: it hangs, or it has ended without a word"
            advice = "look for its process. End a node that hangs, and start it again. The graph forgets a node that has ended after 20 s"
            findings.append(Finding(Level.ERROR, tracker.name, text, advice))
            continue
        level = LEVELS.get(status.level, Level.ERROR)
        setup = tracker.values.get("setup", "")
        advice = "" if level is Level.OK else "see docs/troubleshooting.md"
        findings.append(Finding(level, tracker.name, ", ".join(filter(None, (status.message, setup))), advice))
    return findings
