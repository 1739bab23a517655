# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The running ROS graph: do the camera's topics exist, fit, and carry images?"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSCompatibility, QoSProfile, ReliabilityPolicy, qos_check_compatible
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from lang2segtrack_ros.doctor.finding import Finding, Level
from lang2segtrack_ros.io.image_messages import COLOR_ENCODINGS, DEPTH_ENCODINGS, ConversionError, stamp_ns
from lang2segtrack_ros.ros.support import transports
from lang2segtrack_ros.ros.support.conversions import camera_model

DISCOVERY_S = 2.0
KINDS = {"sensor_msgs/msg/Image": Image, "sensor_msgs/msg/CompressedImage": CompressedImage, "sensor_msgs/msg/CameraInfo": CameraInfo}


@dataclass(frozen=True)
class Endpoint:
    """A publisher or subscription: the node's full name, the message type, its QoS."""

    node: str
    type: str
    qos: QoSProfile


@dataclass
class Topic:
    """What was seen of a topic.

    Attributes:
        name: full name.
        publishers, subscriptions: without our own.
        received: messages that came while listening.
        seconds: how long that was.
        last: the last of them.
    """

    name: str
    publishers: Sequence[Endpoint] = ()
    subscriptions: Sequence[Endpoint] = ()
    received: int = 0
    seconds: float = 0.0
    last: Any = field(default=None, repr=False)


def check_qos(topic: Topic) -> list[Finding]:
    """Each publisher and subscription of a topic that cannot hear each other, both named."""
    findings = []
    for subscription in topic.subscriptions:
        for publisher in topic.publishers:
            compatible, reason = qos_check_compatible(publisher.qos, subscription.qos)
            if compatible == QoSCompatibility.ERROR:
                text = (
                    f"{publisher.node} publishes {_words(publisher.qos)}, {subscription.node} subscribes {_words(subscription.qos)}: "
                    f"nothing arrives ({reason.strip().rstrip(';')})"
                )
                advice = f"subscribe best effort and volatile in {subscription.node} (track_node: image_qos auto), or publish reliable"
                findings.append(Finding(Level.ERROR, f"QoS of {topic.name}", text, advice))
    return findings


def _words(qos: QoSProfile) -> str:
    return f"{qos.reliability.name.lower().replace('_', ' ')}, {qos.durability.name.lower().replace('_', ' ')}"


def check_traffic(topic: Topic, kinds: Sequence[str], needed: bool) -> Finding:
    """Whether messages of one of the kinds arrive. `needed`: whether lang2segtrack does nothing without it."""
    bad = Level.ERROR if needed else Level.WARNING
    if not topic.publishers:
        return Finding(bad, topic.name, "nobody publishes it", "start the camera; `ros2 topic list` shows what there is: remap, or name it")
    names = ", ".join(sorted({item.node for item in topic.publishers}))
    strange = sorted({item.type for item in topic.publishers} - set(kinds))
    if strange:
        return Finding(bad, topic.name, f"{names} publishes {', '.join(strange)}, not {' or '.join(kinds)}", "name another topic")
    if not topic.received:
        return Finding(
            bad,
            topic.name,
            f"{names} publishes it, but nothing arrived in {topic.seconds:.0f} s",
            "is the camera running? Large images need other transports than Fast DDS's own, on both sides: "
            + transports.advice(os.environ),
        )
    return Finding(Level.OK, topic.name, f"{topic.received / topic.seconds:.1f} messages a second from {names}")


def check_image(topic: Topic, encodings: Sequence[str]) -> Finding | None:
    """Whether the last image can be read; None when there is none, or it is compressed."""
    if not isinstance(topic.last, Image):
        return None
    size = f"{topic.last.width} x {topic.last.height} {topic.last.encoding}, frame {topic.last.header.frame_id or 'not given'}"
    if topic.last.encoding not in encodings:
        return Finding(Level.ERROR, topic.name, f"{size}: this encoding is not known", f"set the camera to one of: {', '.join(encodings)}")
    if stamp_ns(topic.last.header.stamp) == 0:
        return Finding(Level.WARNING, topic.name, f"{size}; its stamp is 0", "depth is found by stamp: have the driver stamp its images")
    return Finding(Level.OK, topic.name, size)


def check_camera(color: Topic, info: Topic) -> Finding | None:
    """Whether the camera_info is calibrated and fits the image; None when there is none."""
    if info.last is None:
        return None
    try:
        camera = camera_model(info.last)
        if isinstance(color.last, Image):
            camera.resized(color.last.width, color.last.height)
    except ConversionError as error:
        return Finding(Level.ERROR, info.name, str(error), "calibrate the camera, or have its driver load the calibration")
    except ValueError as error:
        return Finding(Level.ERROR, info.name, str(error), f"name the camera_info that belongs to {color.name}")
    return Finding(Level.OK, info.name, f"calibrated, focal length {camera.fx:.0f} x {camera.fy:.0f} pixels")


def check_depth_fits(color: Topic, depth: Topic) -> Finding | None:
    """Whether depth belongs to colour in space and time; None when one of them has not come."""
    if not isinstance(color.last, Image) or not isinstance(depth.last, Image):
        return None
    apart = abs(stamp_ns(color.last.header.stamp) - stamp_ns(depth.last.header.stamp)) / 1e9
    if apart > 1.0:
        text = f"its stamps are {apart:.1f} s from those of {color.name}"
        return Finding(Level.ERROR, depth.name, text, "depth is found by stamp: synchronise the clocks, or use the camera's own stamps")
    if color.last.header.frame_id != depth.last.header.frame_id:
        text = f"frame {depth.last.header.frame_id}, colour {color.last.header.frame_id}: not aligned, it will be reprojected"
        return Finding(Level.WARNING, depth.name, text, "let the camera align depth (realsense2_camera: align_depth.enable:=true)")
    return Finding(Level.OK, depth.name, "aligned with colour")


def listen(node: Node, names: Sequence[str], seconds: float) -> dict[str, Topic]:
    """Listens to the named topics, to each as soon as its publisher is discovered, and looks at the whole graph at the end.

    A busy machine discovers a publisher late; it is waited for as long as is listened at all, DISCOVERY_S and `seconds` more.
    """
    executor = SingleThreadedExecutor(context=node.context)
    executor.add_node(node)
    seen = {name: Topic(name) for name in names}
    since: dict[str, float] = {}
    end = time.monotonic() + DISCOVERY_S + seconds
    while time.monotonic() < end:
        for name in seen.keys() - since.keys():
            if publishers := _endpoints(node.get_publishers_info_by_topic(name), node):
                since[name] = time.monotonic()
                _subscribe(node, seen[name], publishers)
        executor.spin_once(timeout_sec=0.05)
    for name, start in since.items():
        seen[name].seconds = time.monotonic() - start
    executor.shutdown()
    everything = {*names, *(name for name, _ in node.get_topic_names_and_types())}
    seen = {name: seen.get(name, Topic(name)) for name in everything}
    for name, topic in seen.items():
        topic.publishers = _endpoints(node.get_publishers_info_by_topic(name), node)
        topic.subscriptions = _endpoints(node.get_subscriptions_info_by_topic(name), node)
    return seen


def _endpoints(infos: Sequence[Any], node: Node) -> list[Endpoint]:
    found = [Endpoint(f"{info.node_namespace.rstrip('/')}/{info.node_name}", info.topic_type, info.qos_profile) for info in infos]
    return [item for item in found if item.node != node.get_fully_qualified_name()]


def _subscribe(node: Node, topic: Topic, publishers: Sequence[Endpoint]) -> None:
    kind = next((KINDS[item.type] for item in publishers if item.type in KINDS), None)
    if kind is None:
        return
    reliable = all(item.qos.reliability == ReliabilityPolicy.RELIABLE for item in publishers)
    durability = publishers[0].qos.durability if reliable and len(publishers) == 1 else None
    qos = QoSProfile(depth=5, reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT)
    if durability is not None:
        qos.durability = durability

    def take(message: Any) -> None:
        topic.received += 1
        topic.last = message

    node.create_subscription(kind, topic.name, take, qos)


def look_at_graph(color: str, depth: str, info: str, seconds: float) -> list[Finding]:
    """All checks of this room on the graph that this process can see. An empty `depth` leaves depth and camera_info out."""
    context = rclpy.Context()
    rclpy.init(context=context)
    node = rclpy.create_node("lang2segtrack_doctor", context=context)
    try:
        names = [color, *([depth, info] if depth else [])]
        seen = listen(node, names, seconds)
        services = [name for name, types in node.get_service_names_and_types() if "lang2segtrack/srv/AddTextPrompt" in types]
    finally:
        node.destroy_node()
        rclpy.shutdown(context=context)
    findings = [
        Finding(Level.OK, "track_node", ", ".join(name.rpartition("/")[0] or "/" for name in services) if services else "not running"),
        check_traffic(seen[color], ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"), True),
        check_image(seen[color], COLOR_ENCODINGS),
    ]
    if depth:
        findings += [
            check_traffic(seen[depth], ("sensor_msgs/msg/Image",), False),
            check_image(seen[depth], DEPTH_ENCODINGS),
            check_depth_fits(seen[color], seen[depth]),
            check_traffic(seen[info], ("sensor_msgs/msg/CameraInfo",), False),
            check_camera(seen[color], seen[info]),
        ]
    return [finding for finding in findings if finding is not None] + [item for topic in seen.values() for item in check_qos(topic)]
