# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Subscriptions that match the publisher's QoS and explain why no message arrives."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

from rclpy.callback_groups import CallbackGroup
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSPolicyKind, QoSProfile, ReliabilityPolicy

from lang2segtrack_ros.ros.support import qos_overrides, transports
from lang2segtrack_ros.ros.support.interfaces import COLOR_COMPRESSED, COLOR_IMAGE, DEPTH_COMPRESSED, DEPTH_IMAGE, Topic

_TRANSPORTS = {
    COLOR_IMAGE.name: ("image_transport to compressed", COLOR_COMPRESSED.name),
    COLOR_COMPRESSED.name: ("image_transport to raw", COLOR_IMAGE.name),
    DEPTH_IMAGE.name: ("depth_transport to compressedDepth", DEPTH_COMPRESSED.name),
    DEPTH_COMPRESSED.name: ("depth_transport to raw", DEPTH_IMAGE.name),
}
"""Topic of an image -> the parameter that selects its other transport, and the topic of that transport."""
MAX_NAMED = 3
DEPTH = 2  # frames wait in the engine's mailbox, not in DDS


class QosMatchingSubscription:
    """A subscription that is recreated when the publishers' reliability or durability requires it.

    A best-effort subscription receives from every publisher, but large images arrive reliably only over a reliable subscription.
    A reliable subscription receives nothing from a best-effort publisher. With `qos` "auto", the subscription is therefore reliable
    exactly if all publishers are reliable. It is transient local exactly if all publishers are: then it also gets earlier messages,
    such as a camera_info that is sent once. Policies that parameters override (`support.qos_overrides`) are fixed.

    Args:
        node: node that owns the subscription.
        topic: declaration of the topic.
        callback: called with each message.
        group: callback group of the subscription.
        qos: "auto", "reliable" or "best_effort".

    Attributes:
        topic: resolved name of the topic.
        last_arrival: time.monotonic of the last message, None before the first.
    """

    def __init__(self, node: Node, topic: Topic, callback: Callable[[Any], None], group: CallbackGroup, qos: str = "auto") -> None:
        self._node = node
        self._declared = topic
        self._callback = callback
        self._group = group
        self._qos = qos
        self.topic = node.resolve_topic_name(topic.name)
        self.last_arrival: float | None = None
        self._started = time.monotonic()
        self._reliable = qos == "reliable"
        self._latched = False
        self._fixed = qos_overrides.given_policies(node, self.topic, "subscription")
        self._subscription = self._subscribe()

    def _subscribe(self) -> Any:
        reliability = ReliabilityPolicy.RELIABLE if self._reliable else ReliabilityPolicy.BEST_EFFORT
        durability = DurabilityPolicy.TRANSIENT_LOCAL if self._latched else DurabilityPolicy.VOLATILE
        profile = QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=DEPTH, reliability=reliability, durability=durability)
        options = qos_overrides.options({QoSPolicyKind.HISTORY, QoSPolicyKind.DEPTH} | self._fixed)
        subscription = self._node.create_subscription(
            self._declared.message, self.topic, self._receive, profile, callback_group=self._group, qos_overriding_options=options
        )
        self._reliable = profile.reliability == ReliabilityPolicy.RELIABLE  # rclpy writes the overrides into the profile
        self._latched = profile.durability == DurabilityPolicy.TRANSIENT_LOCAL
        return subscription

    def _receive(self, msg: Any) -> None:
        self.last_arrival = time.monotonic()
        self._callback(msg)

    def match_publishers(self) -> None:
        """Match the publishers' QoS. Call this periodically."""
        publishers = self._node.get_publishers_info_by_topic(self.topic)
        if self._qos != "auto" or not publishers:
            return
        reliable = all(info.qos_profile.reliability == ReliabilityPolicy.RELIABLE for info in publishers)
        reliable = self._reliable if QoSPolicyKind.RELIABILITY in self._fixed else reliable
        latched = reliable and all(info.qos_profile.durability == DurabilityPolicy.TRANSIENT_LOCAL for info in publishers)
        latched = self._latched if QoSPolicyKind.DURABILITY in self._fixed else latched
        if (reliable, latched) != (self._reliable, self._latched):
            self._reliable, self._latched = reliable, latched
            self._node.destroy_subscription(self._subscription)
            self._subscription = self._subscribe()

    @property
    def silent_s(self) -> float:
        """Seconds since the last message, or since the subscription was created."""
        return time.monotonic() - (self.last_arrival if self.last_arrival is not None else self._started)

    def explain_silence(self) -> str:
        """Return a sentence on why no message may be arriving. It names both sides and the fix."""
        publishers = self._node.get_publishers_info_by_topic(self.topic)
        parameter, other = _TRANSPORTS.get(self._declared.name, ("", ""))
        if not publishers:
            if other and self._node.count_publishers(self._node.resolve_topic_name(other)):
                return f"nobody publishes {self.topic}, but {self._node.resolve_topic_name(other)} has a publisher: set {parameter}"
            others = self._topics_of_this_kind()
            found = f"; such messages are published on {', '.join(others)}" if others else ""
            return f"nobody publishes {self.topic}: start the camera, or remap the topic{found}"
        own_qos = "reliable" if self._reliable else "best effort"
        incompatible = [
            f"{info.node_namespace.rstrip('/')}/{info.node_name}"
            for info in publishers
            if self._reliable and info.qos_profile.reliability == ReliabilityPolicy.BEST_EFFORT
        ]
        if incompatible:
            return (
                f"QoS mismatch on {self.topic}: this node subscribes {own_qos}, {', '.join(incompatible)} publishes best effort, "
                "so no message arrives: set image_qos to auto or best_effort, and override no reliability of this topic"
            )
        expected = self._declared.type_name
        others = sorted({info.topic_type for info in publishers} - {expected})
        if others:
            fix = f"remap the topic or set {parameter}" if parameter else "remap the topic"
            return f"{self.topic} carries {', '.join(others)}, this node expects {expected}: {fix}"
        names = ", ".join(f"{info.node_namespace.rstrip('/')}/{info.node_name}" for info in publishers)
        if self.last_arrival is not None:
            return f"{names} stopped publishing {self.topic} {self.silent_s:.0f} s ago: check that the camera is still running"
        return (
            f"{names} publishes {self.topic} with a compatible QoS ({own_qos}), but no message arrives: check that the camera is running. "
            "Fast DDS's default transports lose large images; set other transports for both sides: "
            f"{transports.advice(os.environ)}"
        )

    def _topics_of_this_kind(self) -> list[str]:
        """Return up to `MAX_NAMED` topics with messages of this type that other nodes publish. Depth images are another kind than color."""
        is_depth = "depth" in self._declared.name
        own = (self._node.get_namespace(), self._node.get_name())
        found = []
        for name, types in self._node.get_topic_names_and_types():
            if self._declared.type_name in types and ("depth" in name) == is_depth:
                publishers = self._node.get_publishers_info_by_topic(name)
                if any((item.node_namespace, item.node_name) != own for item in publishers):
                    found.append(name)
        return sorted(found)[:MAX_NAMED]

    def close(self) -> None:
        """Destroy the subscription."""
        self._node.destroy_subscription(self._subscription)
