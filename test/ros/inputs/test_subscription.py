# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Why no image arrives, as a sentence."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
import rclpy
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.node import Node
from sensor_msgs.msg import Image

from lang2segtrack_ros.ros.inputs.subscription import QosMatchingSubscription
from lang2segtrack_ros.ros.support.interfaces import COLOR_IMAGE, DEPTH_IMAGE
from lang2segtrack_ros.ros.support.process import poll


@pytest.fixture
def nodes() -> Iterator[tuple[Node, Node]]:
    """Return the node that listens, and another one."""
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=int(os.environ["ROS_DOMAIN_ID"]))
    made = rclpy.create_node("listener", context=context), rclpy.create_node("camera", context=context)
    yield made
    for node in made:
        node.destroy_node()
    rclpy.try_shutdown(context=context)


def test_silence_names_topics_with_images(nodes: tuple[Node, Node]) -> None:
    """A camera in another namespace is the most frequent reason for silence. Depth and the node's own images do not help."""
    node, camera = nodes
    for owner, topic in ((camera, "/left/color/image_raw"), (camera, "/left/depth/image_raw"), (node, "/overlay")):
        owner.create_publisher(Image, topic, 1)
    group = MutuallyExclusiveCallbackGroup()
    color, depth = (QosMatchingSubscription(node, topic, lambda _: None, group) for topic in (COLOR_IMAGE, DEPTH_IMAGE))
    poll(lambda: all(node.count_publishers(f"/left/{kind}/image_raw") for kind in ("color", "depth")))
    end = "start the camera, or remap the topic; such messages are published on"
    assert color.explain_silence() == f"nobody publishes /color/image_raw: {end} /left/color/image_raw"
    assert depth.explain_silence() == f"nobody publishes /depth/image_raw: {end} /left/depth/image_raw"
