# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Subscriptions whose QoS follows the publisher, and the watch over whether anything arrives."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

from rclpy.callback_groups import CallbackGroup
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy

from lang2segtrack_ros.ros.support import transports

DEPTH = 2  # frames wait in the engine's mailbox, not in DDS


class QosMatchingSubscription:
    """One subscription that is made anew when the publisher's reliability or durability asks for it.

    A best-effort subscription receives from everybody, but large images arrive reliably only over a reliable one; a reliable one
    receives nothing from a best-effort publisher. So with `qos` "auto" it is reliable exactly when all publishers are, and gets what
    was published before (a camera_info that is sent once, say) exactly when all publishers keep it.

    Args:
        node: whose subscription it is.
        msg_type, topic, callback, group: as for `Node.create_subscription`.
        qos: "auto", "reliable" or "best_effort".
    """

    def __init__(
        self, node: Node, msg_type: Any, topic: str, callback: Callable[[Any], None], group: CallbackGroup, qos: str = "auto"
    ) -> None:
        self._node = node
        self._type = msg_type
        self._callback = callback
        self._group = group
        self._qos = qos
        self.topic = node.resolve_topic_name(topic)
        self.last_arrival: float | None = None
        self._started = time.monotonic()
        self._reliable = qos == "reliable"
        self._latched = False
        self._subscription = self._subscribe()

    def _subscribe(self) -> Any:
        reliability = ReliabilityPolicy.RELIABLE if self._reliable else ReliabilityPolicy.BEST_EFFORT
        durability = DurabilityPolicy.TRANSIENT_LOCAL if self._latched else DurabilityPolicy.VOLATILE
        profile = QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=DEPTH, reliability=reliability, durability=durability)
        return self._node.create_subscription(self._type, self.topic, self._receive, profile, callback_group=self._group)

    def _receive(self, msg: Any) -> None:
        self.last_arrival = time.monotonic()
        self._callback(msg)

    def follow(self) -> None:
        """Matches the publishers' QoS; to be called now and then."""
        publishers = self._node.get_publishers_info_by_topic(self.topic)
        if self._qos != "auto" or not publishers:
            return
        reliable = all(info.qos_profile.reliability == ReliabilityPolicy.RELIABLE for info in publishers)
        latched = reliable and all(info.qos_profile.durability == DurabilityPolicy.TRANSIENT_LOCAL for info in publishers)
        if (reliable, latched) != (self._reliable, self._latched):
            self._reliable, self._latched = reliable, latched
            self._node.destroy_subscription(self._subscription)
            self._subscription = self._subscribe()

    @property
    def silent_s(self) -> float:
        """Seconds since the last message, or since the subscription was made."""
        return time.monotonic() - (self.last_arrival if self.last_arrival is not None else self._started)

    def silence_explained(self) -> str:
        """Why nothing may be arriving, in a sentence that names both sides."""
        publishers = self._node.get_publishers_info_by_topic(self.topic)
        if not publishers:
            return f"nobody publishes {self.topic}: start the camera, or remap the topic"
        mine = "reliable" if self._reliable else "best effort"
        deaf = [
            f"{info.node_namespace.rstrip('/')}/{info.node_name}"
            for info in publishers
            if self._reliable and info.qos_profile.reliability == ReliabilityPolicy.BEST_EFFORT
        ]
        if deaf:
            return (
                f"QoS mismatch on {self.topic}: this node subscribes {mine}, {', '.join(deaf)} publishes best effort, "
                "so nothing arrives: set image_qos to auto or best_effort"
            )
        others = sorted({info.topic_type for info in publishers} - {_type_name(self._type)})
        if others:
            expected = _type_name(self._type)
            return f"{self.topic} carries {', '.join(others)}, this node expects {expected}: remap the topic or set image_transport"
        names = ", ".join(f"{info.node_namespace.rstrip('/')}/{info.node_name}" for info in publishers)
        if self.last_arrival is not None:
            return f"{names} has stopped publishing {self.topic}, {self.silent_s:.0f} s ago: is the camera still running?"
        return (
            f"{names} publishes {self.topic} and the QoS fits ({mine}), yet nothing arrives: is the camera running? "
            f"Large images are lost on Fast DDS's default transports; for others, on both sides: {transports.advice(os.environ)}"
        )

    def close(self) -> None:
        """Ends the subscription."""
        self._node.destroy_subscription(self._subscription)


def _type_name(msg_type: Any) -> str:
    return f"{msg_type.__module__.split('.')[0]}/msg/{msg_type.__name__}"
