# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""State of a node on /diagnostics, once a second. It includes every counter of the node."""

from __future__ import annotations

import time
from collections.abc import Mapping

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.node import Node

from lang2segtrack_ros.ros.support.interfaces import DIAGNOSTICS

RECENT_S = 10.0
"""Diagnostics keep the level WARN for this long after a failure. The counters keep the failure."""


class Diagnostics:
    """Publisher of one diagnostic status.

    Args:
        node: node that owns the publisher.
        subject: second part of the status's name, after the node's name.
    """

    def __init__(self, node: Node, subject: str = "tracking") -> None:
        self._node = node
        self._subject = subject
        self._publisher = DIAGNOSTICS.advertise(node)

    def publish(self, level: bytes, message: str, values: Mapping[str, object]) -> None:
        """Publish a status.

        Args:
            level: DiagnosticStatus.OK, WARN, ERROR or STALE.
            message: summary in one sentence.
            values: named values. `device` is also the status's hardware id.
        """
        status = DiagnosticStatus(
            level=level,
            name=f"{self._node.get_fully_qualified_name().lstrip('/')}: {self._subject}",
            message=message,
            hardware_id=str(values.get("device", "")),
            values=[KeyValue(key=key, value=str(value)) for key, value in values.items()],
        )
        array = DiagnosticArray(status=[status])
        array.header.stamp = self._node.get_clock().now().to_msg()
        self._publisher.publish(array)


def summarize(*, silence: str, failed_at: float, last_error: str, degraded_to: str, is_active: bool) -> tuple[bytes, str]:
    """Return the level and the message of track_node's status.

    Args:
        silence: sentence on why no image arrives. Empty if images arrive.
        failed_at: time.monotonic of the last image or result that failed.
        last_error: last error of any thread.
        degraded_to: settings that were reduced after memory ran out. Empty for full settings.
        is_active: True if the node is active, False if it is paused.
    """
    if silence:
        return DiagnosticStatus.WARN, silence
    if time.monotonic() - failed_at < RECENT_S:
        return DiagnosticStatus.WARN, f"images fail: {last_error}"
    if degraded_to:
        return DiagnosticStatus.WARN, f"out of memory: from now on {degraded_to}"
    return DiagnosticStatus.OK, "tracking" if is_active else "paused"
