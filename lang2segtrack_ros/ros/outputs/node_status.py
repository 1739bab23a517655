# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""State of track_node for /diagnostics: rates, latency, and the counters of all its parts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.node import Node

from lang2segtrack_ros.ros.inputs.receive_thread import ReceiveThread
from lang2segtrack_ros.ros.outputs.diagnostics import Diagnostics, summarize
from lang2segtrack_ros.ros.outputs.publisher import Outputs
from lang2segtrack_ros.ros.support.latency import Latency
from lang2segtrack_ros.ros.support.session_loading import SessionLoading
from lang2segtrack_ros.runtime.metrics import Rates, memory
from lang2segtrack_ros.session.engine_thread import EngineThread


class NodeStatus:
    """Publisher of the state of track_node.

    Args:
        node: node that owns the publisher.

    Attributes:
        latency: latency of the last result.
        setup: networks and policy of the configured node in one line.
        device: device of its networks.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._diagnostics = Diagnostics(node)
        self._rates = Rates()
        self.latency = Latency()
        self.setup, self.device = "", ""

    def begin(self, setup: str, device: str) -> None:
        """Start anew with the networks of a configured node.

        Args:
            setup: see the attribute.
            device: see the attribute.
        """
        self._rates = Rates()
        self.setup, self.device = setup, device

    def publish_unconfigured(self, problem: str, loading: SessionLoading | None) -> None:
        """Publish why the node does not work.

        Args:
            problem: sentence on why the last transition failed. Empty after a success.
            loading: networks that are being loaded, otherwise None.
        """
        level, message = (DiagnosticStatus.ERROR, problem) if problem else (DiagnosticStatus.STALE, "not configured")
        if loading is not None:
            level, message = DiagnosticStatus.OK, f"loading the networks, for {loading.seconds:.0f} s now"
        self._diagnostics.publish(level, message, {})

    def publish(
        self, engine: EngineThread[Any], outputs: Outputs, receiver: ReceiveThread | None, parts: Mapping[str, object], silence: str
    ) -> None:
        """Publish the state of the configured node.

        Args:
            engine: its engine.
            outputs: its publishers.
            receiver: thread that receives its images. None while the node is paused.
            parts: values of its other parts.
            silence: sentence on why no image arrives. Empty if images arrive.
        """
        self.latency.warn_once(self._node.get_logger().warning)
        statistics = engine.statistics
        counts = {"received": statistics.received, "processed": statistics.processed}
        received = [receiver.last_error] if receiver is not None and receiver.last_error else []
        last_error = "; ".join([*engine.last_errors, *outputs.last_errors, *received]) or "none"
        values: dict[str, object] = {
            "setup": self.setup,
            "device": self.device,
            **{f"images_{name}_rate_hz": rate for name, rate in self._rates.update(counts).items()},
            "latency_ms_last": self.latency.text,
            **engine.metrics,
            **outputs.metrics,
            **parts,
            "thread_restarts": engine.restarts + outputs.restarts + (receiver.restarts if receiver is not None else 0),
            **memory(self.device),
            "last_error": last_error,
        }
        level, message = summarize(
            silence=silence,
            failed_at=max(statistics.failed_at, outputs.failed_at),
            last_error=last_error,
            degraded_to=engine.degraded_to,
            is_active=receiver is not None,
        )
        self._diagnostics.publish(level, message, values)
