# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The camera as a process on a real graph: its messages, its dropped frames, and its agreement with the bag writer."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.serialization import serialize_message

from lang2segtrack_ros.io.image_messages import depth_to_meters, image_to_rgb, stamp_ns
from lang2segtrack_ros.recordings.bag_types import BagMessages
from lang2segtrack_ros.ros.support.conversions import RosMessages
from lang2segtrack_ros.ros.support.process import spin_until
from lang2segtrack_ros.toyworld.camera_messages import COLOR, COMPRESSED, DEPTH, FRAME_TOPICS, INSTANCES, LABEL_INFO, CameraMessages, Topic
from lang2segtrack_ros.toyworld.graph import Processes, executable, isolated_environment
from lang2segtrack_ros.toyworld.stream import StreamOptions

ALL_TOPICS = (*FRAME_TOPICS, LABEL_INFO)
DEGRADED = StreamOptions("occlusion", 2, 160, 120, 10.0, "32FC1", drop=0.3, jitter_ms=25.0)


class TopicRecorder:
    """Node that records every topic of the camera with the time of reception."""

    def __init__(self, domain: int) -> None:
        self.context = rclpy.Context()
        rclpy.init(context=self.context, domain_id=domain)
        self.node = rclpy.create_node("listener", context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.received: dict[Topic, list[tuple[int, Any]]] = {topic: [] for topic in ALL_TOPICS}
        for topic in ALL_TOPICS:
            self.subscribe(topic)

    def subscribe(self, topic: Topic) -> None:
        def record(message: Any) -> None:
            self.received[topic].append((self.node.get_clock().now().nanoseconds, message))

        durability = DurabilityPolicy.TRANSIENT_LOCAL if topic.latched else DurabilityPolicy.VOLATILE
        qos = QoSProfile(depth=50, durability=durability)
        self.node.create_subscription(RosMessages.message_class(topic.kind), topic.path, record, qos)

    def wait(self, until: Callable[[], bool], seconds: float = 120.0) -> bool:
        return spin_until(self.executor, seconds, until)

    def complete(self, frames: int) -> dict[int, dict[Topic, Any]]:
        """Return the messages by stamp, for stamps that arrived on every topic."""

        def stamps() -> set[int]:
            return set.intersection(*({stamp_ns(m.header.stamp) for _, m in self.received[topic]} for topic in FRAME_TOPICS))

        assert self.wait(lambda: len(stamps()) >= frames), {topic.name: len(received) for topic, received in self.received.items()}
        return {
            stamp: {topic: next(m for _, m in self.received[topic] if stamp_ns(m.header.stamp) == stamp) for topic in FRAME_TOPICS}
            for stamp in sorted(stamps())
        }

    def close(self) -> None:
        self.executor.shutdown()
        self.node.destroy_node()
        rclpy.try_shutdown(context=self.context)


def arguments(options: StreamOptions) -> list[str]:
    return [text for name, value in vars(options).items() for text in ("-p", f"{name}:={value}")]


def frame_indices(options: StreamOptions, colors: list[np.ndarray]) -> list[int]:
    """Return the frame indices of color images, in order."""
    scene, index, indices = options.scene(), 0, []
    for color in colors:
        while not np.array_equal(scene.render(index).color, color):
            index += 1
            assert index < 5000, "the image is not a frame of the scene"
        indices.append(index)
    return indices


@pytest.fixture(scope="module")
def degraded_camera(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[TopicRecorder, Processes]]:
    """Yield a camera with a suite, drops, jitter and depth in meters, after twelve complete frames."""
    logs = tmp_path_factory.mktemp("logs")
    with isolated_environment() as environment, Processes(environment, logs) as processes:
        processes.start("camera", [*executable("toy_camera"), "--ros-args", *arguments(DEGRADED)])
        recorder = TopicRecorder(int(environment["ROS_DOMAIN_ID"]))
        try:
            recorder.complete(12)
            yield recorder, processes
        finally:
            recorder.close()


def test_messages_equal_those_of_a_bag(degraded_camera: tuple[TopicRecorder, Processes]) -> None:
    """Camera and bag writer share the message factory, so each message must have the same content for one frame and stamp."""
    frames = degraded_camera[0].complete(12)
    indices = frame_indices(DEGRADED, [image_to_rgb(messages[COLOR]) for messages in frames.values()])
    library, scene = BagMessages(), DEGRADED.scene()
    bag_messages = CameraMessages(library, scene, DEGRADED.depth_encoding)

    def canonical(kind: str, message: Any) -> bytes:
        return bytes(library.typestore.serialize_cdr(message, kind))

    def published(kind: str, message: Any) -> bytes:
        return canonical(kind, library.typestore.deserialize_cdr(serialize_message(message), kind))

    for index, (stamp, messages) in zip(indices, frames.items()):
        for topic, message in messages.items():
            expected = bag_messages.frame(topic, scene.render(index), stamp)
            assert published(topic.kind, message) == canonical(topic.kind, expected), f"{topic.name}, frame {index}"
    [(_, labels)] = degraded_camera[0].received[LABEL_INFO]
    assert published(LABEL_INFO.kind, labels) == canonical(LABEL_INFO.kind, bag_messages.label_info())
    assert {item.class_name for item in labels.class_map} == {body.label for body in scene.bodies if body.label}


def test_dropped_frames_leave_gaps_in_regular_stamps(degraded_camera: tuple[TopicRecorder, Processes]) -> None:
    frames = degraded_camera[0].complete(12)
    stamps = np.array(list(frames))
    assert not ((stamps - stamps[0]) % DEGRADED.period_ns).any()
    indices = frame_indices(DEGRADED, [image_to_rgb(messages[COLOR]) for messages in frames.values()])
    assert all(DEGRADED.is_published(index) for index in indices)
    assert (np.diff(stamps) // DEGRADED.period_ns >= np.diff(indices)).all(), "a dropped frame must keep its slot"


def test_messages_arrive_after_their_delay(degraded_camera: tuple[TopicRecorder, Processes]) -> None:
    frames = degraded_camera[0].complete(12)
    indices = frame_indices(DEGRADED, [image_to_rgb(messages[COLOR]) for messages in frames.values()])
    received = {stamp_ns(message.header.stamp): received_at for received_at, message in degraded_camera[0].received[COLOR]}
    for index, stamp in zip(indices, frames):
        assert received[stamp] - stamp >= DEGRADED.delay_ns(index)


def test_late_subscriber_gets_the_latched_labels(degraded_camera: tuple[TopicRecorder, Processes]) -> None:
    recorder = degraded_camera[0]
    recorder.received[LABEL_INFO].clear()
    recorder.subscribe(LABEL_INFO)
    assert recorder.wait(lambda: bool(recorder.received[LABEL_INFO]))


def test_types_and_qos_of_all_topics(degraded_camera: tuple[TopicRecorder, Processes]) -> None:
    """All topics are reliable and labels are latched. Type hashes on the graph equal those of the bag's definitions."""
    store = BagMessages().typestore
    for topic in ALL_TOPICS:
        [info] = degraded_camera[0].node.get_publishers_info_by_topic(topic.path)
        assert info.topic_type == topic.kind
        assert info.qos_profile.reliability is ReliabilityPolicy.RELIABLE
        assert (info.qos_profile.durability is DurabilityPolicy.TRANSIENT_LOCAL) == topic.latched
        if hasattr(info, "topic_type_hash"):  # available since Iron
            assert str(info.topic_type_hash) == store.hash_rihs01(topic.kind)


def test_camera_reports_published_and_dropped_frames(degraded_camera: tuple[TopicRecorder, Processes]) -> None:
    """This test runs last because it ends the camera."""
    processes = degraded_camera[1]
    processes.stop()
    counts = re.search(r"frames published: (\d+), left out: (\d+)", processes.log("camera"))
    assert counts, processes.log("camera")
    published, left_out = int(counts[1]), int(counts[2])
    assert published >= 12
    assert left_out == sum(not DEGRADED.is_published(index) for index in range(published + left_out))


def test_default_options_publish_the_demo(tmp_path: Path) -> None:
    """The default is the demo's four shapes with depth in millimeters. A JPEG subscriber gets JPEG."""
    with isolated_environment() as environment, Processes(environment, tmp_path) as processes:
        size = ["-p", "width:=160", "-p", "height:=120", "-p", "fps:=5"]
        processes.start("camera", [*executable("toy_camera"), "--ros-args", *size])
        recorder = TopicRecorder(int(environment["ROS_DOMAIN_ID"]))
        try:
            messages = next(iter(recorder.complete(2).values()))
        finally:
            recorder.close()
    options = StreamOptions(width=160, height=120)
    color = image_to_rgb(messages[COLOR])
    shot = options.scene().render(frame_indices(options, [color])[0])
    assert messages[DEPTH].encoding == "16UC1"
    assert np.array_equal(np.nan_to_num(depth_to_meters(messages[DEPTH])), shot.depth_mm.astype(np.float32) * np.float32(0.001))
    assert np.array_equal(np.frombuffer(messages[INSTANCES].data, "<u2").reshape(120, 160), shot.instances)
    assert messages[COMPRESSED].format == "rgb8; jpeg compressed bgr8"
    labels = {item.class_id: item.class_name for item in recorder.received[LABEL_INFO][0][1].class_map}
    assert labels == {1: "red circle", 2: "blue star", 3: "yellow square", 4: "purple cross"}


@pytest.mark.parametrize(
    ("parameter", "sentence"),
    [
        ("suite:=crosing", 'suite is "crosing"; it must be one of: demo, room, easy, crossing'),
        ("suit:=easy", "unknown parameter suit; the parameters are: suite, seed"),
        ("drop:=2.0", "drop is 2.0; it must lie between 0 and 0.95"),
    ],
)
def test_invalid_parameter_is_reported_and_ends_the_node(tmp_path: Path, parameter: str, sentence: str) -> None:
    with isolated_environment() as environment, Processes(environment, tmp_path) as processes:
        camera = processes.start("camera", [*executable("toy_camera"), "--ros-args", "-p", parameter])
        assert camera.wait(120) == 2
        assert f"toy_camera: {sentence}" in processes.log("camera")
        assert "Traceback" not in processes.log("camera")
