# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Checks of the running ROS graph: the topics of the camera, their QoS, their messages and their traffic."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSCompatibility, QoSProfile, ReliabilityPolicy, qos_check_compatible
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from lang2segtrack_ros.doctor.finding import Finding, Level
from lang2segtrack_ros.doctor.trackers import CameraTopics, check_trackers, watch_trackers
from lang2segtrack_ros.io.image_messages import COLOR_ENCODINGS, DEPTH_ENCODINGS, ConversionError, stamp_ns
from lang2segtrack_ros.ros.support import transports
from lang2segtrack_ros.ros.support.conversions import camera_model

DEFAULT_TOPICS = CameraTopics(
    "/camera/camera/color/image_raw", "/camera/camera/aligned_depth_to_color/image_raw", "/camera/camera/color/camera_info"
)
"""Topics of a RealSense camera, and of track.launch.py."""
DISCOVERY_S = 2.0
"""Time for the discovery of publishers, in seconds."""
MESSAGE_TYPES = {
    "sensor_msgs/msg/Image": Image,
    "sensor_msgs/msg/CompressedImage": CompressedImage,
    "sensor_msgs/msg/CameraInfo": CameraInfo,
}


@dataclass(frozen=True)
class Endpoint:
    """A publisher or a subscription.

    Attributes:
        node: full name of the node.
        type: message type, such as "sensor_msgs/msg/Image".
        qos: QoS profile.
    """

    node: str
    type: str
    qos: QoSProfile


@dataclass
class Topic:
    """The observations of a topic.

    Attributes:
        name: full name.
        publishers: publishers of other nodes.
        subscriptions: subscriptions of other nodes.
        received: number of received messages.
        seconds: duration of the subscription in seconds.
        last: latest message, None if none arrived.
    """

    name: str
    publishers: Sequence[Endpoint] = ()
    subscriptions: Sequence[Endpoint] = ()
    received: int = 0
    seconds: float = 0.0
    last: Any = field(default=None, repr=False)


def check_qos(topic: Topic) -> list[Finding]:
    """Return a finding for each publisher and subscription of a topic with incompatible QoS."""
    findings = []
    for subscription in topic.subscriptions:
        for publisher in topic.publishers:
            compatible, reason = qos_check_compatible(publisher.qos, subscription.qos)
            if compatible == QoSCompatibility.ERROR:
                text = (
                    f"{publisher.node} publishes {_describe(publisher.qos)}, {subscription.node} subscribes {_describe(subscription.qos)}: "
                    f"nothing arrives ({reason.strip().rstrip(';')})"
                )
                advice = f"subscribe best effort and volatile in {subscription.node} (track_node: image_qos auto), or publish reliable"
                findings.append(Finding(Level.ERROR, f"QoS of {topic.name}", text, advice))
    return findings


def _describe(qos: QoSProfile) -> str:
    return f"{qos.reliability.name.lower().replace('_', ' ')}, {qos.durability.name.lower().replace('_', ' ')}"


def check_traffic(topic: Topic, kinds: Sequence[str], needed: bool) -> Finding:
    """Check that messages arrive on a topic.

    Args:
        topic: observations of the topic.
        kinds: accepted message types.
        needed: True if lang2segtrack cannot work without the topic. The severity is then ERROR, else WARNING.
    """
    bad = Level.ERROR if needed else Level.WARNING
    if not topic.publishers:
        return Finding(
            bad, topic.name, "no node publishes it", "start the camera, or remap to one of the topics that `ros2 topic list` shows"
        )
    names = ", ".join(sorted({item.node for item in topic.publishers}))
    other_types = sorted({item.type for item in topic.publishers} - set(kinds))
    if other_types:
        return Finding(bad, topic.name, f"{names} publishes {', '.join(other_types)}, not {' or '.join(kinds)}", "give another topic")
    if not topic.received:
        return Finding(
            bad,
            topic.name,
            f"{names} publishes it, but nothing arrived in {topic.seconds:.0f} s",
            "check that the camera runs. Large images need other transports than the defaults of Fast DDS, on both sides: "
            + transports.advice(os.environ),
        )
    return Finding(Level.OK, topic.name, f"{topic.received / topic.seconds:.1f} messages per second from {names}")


def check_image(topic: Topic, encodings: Sequence[str]) -> Finding | None:
    """Check that the latest image can be read.

    Args:
        topic: observations of the topic.
        encodings: supported encodings.

    Returns:
        None if no image arrived, or if it is compressed.
    """
    if not isinstance(topic.last, Image):
        return None
    size = f"{topic.last.width} x {topic.last.height} {topic.last.encoding}, frame {topic.last.header.frame_id or 'not given'}"
    if topic.last.encoding not in encodings:
        return Finding(
            Level.ERROR, topic.name, f"{size}: this encoding is not supported", f"set the camera to one of: {', '.join(encodings)}"
        )
    if stamp_ns(topic.last.header.stamp) == 0:
        return Finding(
            Level.WARNING, topic.name, f"{size}; its stamp is 0", "depth is matched by stamp: configure the driver to stamp its images"
        )
    return Finding(Level.OK, topic.name, size)


def check_camera(color: Topic, info: Topic) -> Finding | None:
    """Check that the camera_info is calibrated and fits the image.

    Args:
        color: observations of the color topic.
        info: observations of the camera_info topic.

    Returns:
        None if no camera_info arrived.
    """
    if info.last is None:
        return None
    try:
        camera = camera_model(info.last)
        if isinstance(color.last, Image):
            camera.resized(color.last.width, color.last.height)
    except ConversionError as error:
        return Finding(Level.ERROR, info.name, str(error), "calibrate the camera, or configure its driver to load the calibration")
    except ValueError as error:
        return Finding(Level.ERROR, info.name, str(error), f"give the camera_info topic that belongs to {color.name}")
    return Finding(Level.OK, info.name, f"calibrated, focal length {camera.fx:.0f} x {camera.fy:.0f} pixels")


def check_depth_alignment(color: Topic, depth: Topic) -> Finding | None:
    """Check that depth and color have the same frame and close stamps.

    Args:
        color: observations of the color topic.
        depth: observations of the depth topic.

    Returns:
        None if one of the two images has not arrived.
    """
    if not isinstance(color.last, Image) or not isinstance(depth.last, Image):
        return None
    difference_s = abs(stamp_ns(color.last.header.stamp) - stamp_ns(depth.last.header.stamp)) / 1e9
    if difference_s > 1.0:
        text = f"its stamps differ from those of {color.name} by {difference_s:.1f} s"
        return Finding(Level.ERROR, depth.name, text, "depth is matched by stamp: synchronize the clocks, or use the stamps of the camera")
    if color.last.header.frame_id != depth.last.header.frame_id:
        text = f"frame {depth.last.header.frame_id}, color frame {color.last.header.frame_id}: not aligned, the node will reproject it"
        return Finding(Level.WARNING, depth.name, text, "align depth in the camera driver (realsense2_camera: align_depth.enable:=true)")
    return Finding(Level.OK, depth.name, "aligned with color")


def listen(node: Node, names: Sequence[str], seconds: float) -> dict[str, Topic]:
    """Subscribe to the named topics as soon as their publishers are discovered, and list the endpoints of all topics at the end.

    A busy machine discovers a publisher late. So discovery continues for the whole time, which is DISCOVERY_S plus `seconds`.

    Args:
        node: node that subscribes.
        names: full names of the topics.
        seconds: time to listen after discovery.

    Returns:
        The observations of all topics of the graph, by name.
    """
    executor = SingleThreadedExecutor(context=node.context)
    executor.add_node(node)
    topics = {name: Topic(name) for name in names}
    since: dict[str, float] = {}
    end = time.monotonic() + DISCOVERY_S + seconds
    while time.monotonic() < end:
        for name in topics.keys() - since.keys():
            if publishers := _endpoints(node.get_publishers_info_by_topic(name), node):
                since[name] = time.monotonic()
                _subscribe(node, topics[name], publishers)
        executor.spin_once(timeout_sec=0.05)
    for name, start in since.items():
        topics[name].seconds = time.monotonic() - start
    executor.shutdown()
    all_names = {*names, *(name for name, _ in node.get_topic_names_and_types())}
    topics = {name: topics.get(name, Topic(name)) for name in all_names}
    for name, topic in topics.items():
        topic.publishers = _endpoints(node.get_publishers_info_by_topic(name), node)
        topic.subscriptions = _endpoints(node.get_subscriptions_info_by_topic(name), node)
    return topics


def _endpoints(infos: Sequence[Any], node: Node) -> list[Endpoint]:
    endpoints = [Endpoint(f"{info.node_namespace.rstrip('/')}/{info.node_name}", info.topic_type, info.qos_profile) for info in infos]
    return [item for item in endpoints if item.node != node.get_fully_qualified_name()]


def _subscribe(node: Node, topic: Topic, publishers: Sequence[Endpoint]) -> None:
    kind = next((MESSAGE_TYPES[item.type] for item in publishers if item.type in MESSAGE_TYPES), None)
    if kind is None:
        return
    reliable = all(item.qos.reliability == ReliabilityPolicy.RELIABLE for item in publishers)
    durability = publishers[0].qos.durability if reliable and len(publishers) == 1 else None
    qos = QoSProfile(depth=5, reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT)
    if durability is not None:
        qos.durability = durability

    def store(message: Any) -> None:
        topic.received += 1
        topic.last = message

    node.create_subscription(kind, topic.name, store, qos)


def check_graph(given: CameraTopics | None, seconds: float) -> list[Finding]:
    """Check the trackers of the ROS graph, and the topics of their cameras.

    Args:
        given: topics to check instead of those that the trackers subscribe. Without depth, depth and camera_info are not checked.
        seconds: time to listen to the cameras.
    """
    context = rclpy.Context()
    rclpy.init(context=context)
    node = rclpy.create_node("lang2segtrack_doctor", context=context)
    try:
        trackers = watch_trackers(node)
        used = [tracker.topics for tracker in trackers if tracker.topics is not None]
        cameras = list(dict.fromkeys([given] if given is not None else used or [DEFAULT_TOPICS]))
        names = [name for camera in cameras for name in (camera.color, *((camera.depth, camera.info) if camera.depth else ()))]
        topics = listen(node, names, seconds)
    finally:
        node.destroy_node()
        rclpy.shutdown(context=context)
    findings = check_trackers(trackers)
    for camera in cameras:
        findings += check_camera_topics(camera, topics)
    return findings + [item for topic in topics.values() for item in check_qos(topic)]


def check_camera_topics(camera: CameraTopics, topics: Mapping[str, Topic]) -> list[Finding]:
    """Run the checks of one camera.

    Args:
        camera: names of its topics.
        topics: observations by name.
    """
    color = topics[camera.color]
    findings = [
        check_traffic(color, ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"), True),
        check_image(color, COLOR_ENCODINGS),
    ]
    if camera.depth:
        depth, info = topics[camera.depth], topics[camera.info]
        findings += [
            check_traffic(depth, ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"), False),
            check_image(depth, DEPTH_ENCODINGS),
            check_depth_alignment(color, depth),
            check_traffic(info, ("sensor_msgs/msg/CameraInfo",), False),
            check_camera(color, info),
        ]
    return [finding for finding in findings if finding is not None]
