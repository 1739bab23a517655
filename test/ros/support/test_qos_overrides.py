# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Parameters that override QoS, on a real graph."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import rclpy
from rclpy.context import Context
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image

from lang2segtrack_ros.ros.inputs.receive_thread import ReceiveThread
from lang2segtrack_ros.ros.inputs.subscription import QosMatchingSubscription
from lang2segtrack_ros.ros.nodes.track_node import TrackNode
from lang2segtrack_ros.ros.support.interfaces import COLOR_IMAGE, DETECTIONS, RESULT_QOS
from lang2segtrack_ros.ros.support.process import poll
from lang2segtrack_ros.ros.support.qos_overrides import unused

COLOR, RESULTS = "qos_overrides./color/image_raw.subscription", "qos_overrides./detections.publisher"


@pytest.fixture
def context() -> Iterator[Context]:
    made = Context()
    rclpy.init(context=made, domain_id=int(os.environ["ROS_DOMAIN_ID"]))
    yield made
    rclpy.try_shutdown(context=made)


@pytest.fixture
def make(context: Context) -> Iterator[Callable[..., Node]]:
    """Return a function that creates a node with parameters; the nodes are destroyed at the end."""
    nodes = []

    def create(name: str, **values: Any) -> Node:
        overrides = [Parameter(key, value=value) for key, value in values.items()]
        nodes.append(rclpy.create_node(name, context=context, parameter_overrides=overrides))
        return nodes[-1]

    yield create
    for node in nodes:
        node.destroy_node()


def seen(endpoints: Callable[[str], list[Any]], topic: str) -> QoSProfile:
    """Return the QoS of the only publisher or subscription of a topic, as another node sees it. DDS shares no depth."""
    poll(lambda: len(endpoints(topic)) == 1)
    return endpoints(topic)[0].qos_profile


def test_overrides_reach_publisher_and_subscription(make: Callable[..., Node]) -> None:
    """An override holds for one entity only. The declared profile is shared by all nodes of a process and must not change."""
    values = {f"{RESULTS}.reliability": "best_effort", f"{RESULTS}.depth": 2, f"{COLOR}.reliability": "reliable", f"{COLOR}.depth": 7}
    node, other = make("overridden", **values), make("other")
    publisher = DETECTIONS.advertise(node)
    receiver = ReceiveThread(node.context)
    subscription = QosMatchingSubscription(node, COLOR_IMAGE, lambda _: None, receiver)
    try:
        assert seen(other.get_publishers_info_by_topic, "/detections").reliability == ReliabilityPolicy.BEST_EFFORT
        assert seen(other.get_subscriptions_info_by_topic, "/color/image_raw").reliability == ReliabilityPolicy.RELIABLE
        assert (publisher.qos_profile.depth, node.get_parameter(f"{COLOR}.depth").value) == (2, 7)
        assert (RESULT_QOS.depth, RESULT_QOS.reliability) == (5, ReliabilityPolicy.RELIABLE)
        assert unused(node) == []
    finally:
        subscription.close()
        receiver.close()


def test_matching_leaves_overridden_policies_alone(make: Callable[..., Node]) -> None:
    """`auto` follows the publisher, except for a policy that the user has fixed."""
    fixed = make("fixed", **{f"{COLOR}.reliability": "best_effort"})
    free, camera = make("free"), make("camera")
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    camera.create_publisher(Image, "color/image_raw", latched)
    receiver = ReceiveThread(fixed.context)
    subscriptions = [QosMatchingSubscription(node, COLOR_IMAGE, lambda _: None, receiver) for node in (fixed, free)]
    try:
        for node in (fixed, free):
            poll(lambda node=node: node.count_publishers("/color/image_raw") == 1)
        for subscription in subscriptions:
            subscription.match_publishers()

        def found() -> dict[str, tuple[Any, Any]]:
            infos = camera.get_subscriptions_info_by_topic("/color/image_raw")
            return {info.node_name: (info.qos_profile.reliability, info.qos_profile.durability) for info in infos}

        best_effort = ReliabilityPolicy.BEST_EFFORT, DurabilityPolicy.VOLATILE
        reliable = ReliabilityPolicy.RELIABLE, DurabilityPolicy.TRANSIENT_LOCAL
        poll(lambda: found() == {"fixed": best_effort, "free": reliable})
    finally:
        for subscription in subscriptions:
            subscription.close()
        receiver.close()


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        (f"{RESULTS}.reliability", "bestest", "'bestest' is no reliability; choose from: system_default, reliable, best_effort"),
        (f"{RESULTS}.depth", 0, "0 is no queue depth: give an integer of 1 or more"),
        (f"{RESULTS}.depth", "ten", "'ten' is no queue depth"),
        (f"{COLOR}.history", True, "True is no history; choose from: system_default, keep_last, keep_all"),
        (f"{COLOR}.lifespan", 5, "policy lifespan cannot be overridden; choose from: history, depth, reliability, durability"),
        ("qos_overrides.detections.publisher.depth", 5, "with the full topic name"),
        ("qos_overrides./detections.depth", 5, "with the full topic name"),
    ],
)
def test_wrong_override_is_refused_at_start(context: Context, name: str, value: Any, words: str) -> None:
    """rclpy would fail in a later transition, without the allowed values, or ignore the parameter."""
    with pytest.raises(ValueError, match=r"^parameter qos_overrides\.") as error:
        TrackNode(context=context, parameter_overrides=[Parameter(name, value=value)])
    assert name in str(error.value)
    assert words in str(error.value)


def test_override_of_another_topic_is_named(make: Callable[..., Node]) -> None:
    """A misspelled topic would leave the QoS as it is, without a word."""
    name = "qos_overrides./detection.publisher.depth"
    node = make("misspelled", **{name: 3})
    DETECTIONS.advertise(node)
    assert unused(node) == [name]
