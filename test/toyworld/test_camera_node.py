# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The camera as a process of its own on a real graph: what it publishes, what it leaves out, and what a bag has in common with it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.serialization import serialize_message

from lang2segtrack_ros.io.image_messages import depth_to_metres, image_to_rgb, stamp_ns
from lang2segtrack_ros.recordings.bag_types import BagMessages
from lang2segtrack_ros.ros.support.conversions import RosMessages
from lang2segtrack_ros.toyworld.camera_messages import COLOR, COMPRESSED, DEPTH, FRAME_TOPICS, INSTANCES, LABEL_INFO, CameraMessages, Topic
from lang2segtrack_ros.toyworld.graph import Processes, executable, isolated_environment
from lang2segtrack_ros.toyworld.stream import StreamOptions

ALL_TOPICS = (*FRAME_TOPICS, LABEL_INFO)
BAD = StreamOptions("occlusion", 2, 160, 120, 10.0, "32FC1", drop=0.3, jitter_ms=25.0)


class Listener:
    """Hears every topic of the camera, with the time of reception."""

    def __init__(self, domain: int) -> None:
        self.context = rclpy.Context()
        rclpy.init(context=self.context, domain_id=domain)
        self.node = rclpy.create_node("listener", context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.heard: dict[Topic, list[tuple[int, Any]]] = {topic: [] for topic in ALL_TOPICS}
        for topic in ALL_TOPICS:
            self.subscribe(topic)

    def subscribe(self, topic: Topic) -> None:
        def keep(message: Any) -> None:
            self.heard[topic].append((self.node.get_clock().now().nanoseconds, message))

        durability = DurabilityPolicy.TRANSIENT_LOCAL if topic.latched else DurabilityPolicy.VOLATILE
        qos = QoSProfile(depth=50, durability=durability)
        self.node.create_subscription(RosMessages.message_class(topic.kind), topic.path, keep, qos)

    def wait(self, until: Callable[[], bool], seconds: float = 120.0) -> bool:
        end = time.monotonic() + seconds
        while time.monotonic() < end and not until():
            self.executor.spin_once(timeout_sec=0.05)
        return until()

    def complete(self, frames: int) -> dict[int, dict[Topic, Any]]:
        """Messages by stamp, of stamps that were heard on every topic."""

        def stamps() -> set[int]:
            return set.intersection(*({stamp_ns(m.header.stamp) for _, m in self.heard[topic]} for topic in FRAME_TOPICS))

        assert self.wait(lambda: len(stamps()) >= frames), {topic.name: len(heard) for topic, heard in self.heard.items()}
        return {
            stamp: {topic: next(m for _, m in self.heard[topic] if stamp_ns(m.header.stamp) == stamp) for topic in FRAME_TOPICS}
            for stamp in sorted(stamps())
        }

    def close(self) -> None:
        self.executor.shutdown()
        self.node.destroy_node()
        rclpy.try_shutdown(context=self.context)


def arguments(options: StreamOptions) -> list[str]:
    return [text for name, value in vars(options).items() for text in ("-p", f"{name}:={value}")]


def shown(options: StreamOptions, colors: list[np.ndarray]) -> list[int]:
    """The numbers of the frames whose colour images these are, in order."""
    scene, index, found = options.scene(), 0, []
    for color in colors:
        while not np.array_equal(scene.render(index).color, color):
            index += 1
            assert index < 5000, "an image that the scene does not have"
        found.append(index)
    return found


@pytest.fixture(scope="module")
def bad_camera(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Listener, Processes]]:
    """A suite, drops, jitter and depth in metres, heard until twelve frames were complete."""
    logs = tmp_path_factory.mktemp("logs")
    with isolated_environment() as environment, Processes(environment, logs) as processes:
        processes.start("camera", [*executable("toy_camera"), "--ros-args", *arguments(BAD)])
        listener = Listener(int(environment["ROS_DOMAIN_ID"]))
        try:
            listener.complete(12)
            yield listener, processes
        finally:
            listener.close()


def test_messages_are_those_of_a_bag(bad_camera: tuple[Listener, Processes]) -> None:
    """Every topic: the message, field by field, is what the bag writer makes of the same frame and stamp."""
    frames = bad_camera[0].complete(12)
    indices = shown(BAD, [image_to_rgb(messages[COLOR]) for messages in frames.values()])
    library, scene = BagMessages(), BAD.scene()
    of_bag = CameraMessages(library, scene, BAD.depth_encoding)

    def canonical(kind: str, message: Any) -> bytes:
        return bytes(library.typestore.serialize_cdr(message, kind))

    def published(kind: str, message: Any) -> bytes:
        return canonical(kind, library.typestore.deserialize_cdr(serialize_message(message), kind))

    for index, (stamp, messages) in zip(indices, frames.items()):
        for topic, message in messages.items():
            expected = of_bag.frame(topic, scene.render(index), stamp)
            assert published(topic.kind, message) == canonical(topic.kind, expected), f"{topic.name}, frame {index}"
    [(_, labels)] = bad_camera[0].heard[LABEL_INFO]
    assert published(LABEL_INFO.kind, labels) == canonical(LABEL_INFO.kind, of_bag.label_info())
    assert {item.class_name for item in labels.class_map} == {body.label for body in scene.bodies if body.label}


def test_drops_leave_gaps_and_stamps_stay_regular(bad_camera: tuple[Listener, Processes]) -> None:
    frames = bad_camera[0].complete(12)
    stamps = np.array(list(frames))
    assert not ((stamps - stamps[0]) % BAD.period_ns).any()
    indices = shown(BAD, [image_to_rgb(messages[COLOR]) for messages in frames.values()])
    assert all(BAD.kept(index) for index in indices)
    assert (np.diff(stamps) // BAD.period_ns >= np.diff(indices)).all(), "a frame that was left out takes its time too"


def test_nothing_comes_before_its_delay(bad_camera: tuple[Listener, Processes]) -> None:
    frames = bad_camera[0].complete(12)
    indices = shown(BAD, [image_to_rgb(messages[COLOR]) for messages in frames.values()])
    received = {stamp_ns(message.header.stamp): at for at, message in bad_camera[0].heard[COLOR]}
    for index, stamp in zip(indices, frames):
        assert received[stamp] - stamp >= BAD.delay_ns(index)


def test_a_late_listener_gets_the_labels(bad_camera: tuple[Listener, Processes]) -> None:
    listener = bad_camera[0]
    listener.heard[LABEL_INFO].clear()
    listener.subscribe(LABEL_INFO)
    assert listener.wait(lambda: bool(listener.heard[LABEL_INFO]))


def test_types_and_quality_of_service(bad_camera: tuple[Listener, Processes]) -> None:
    """All reliable, labels latched; and the definitions in a bag hash to the types on the wire."""
    store = BagMessages().typestore
    for topic in ALL_TOPICS:
        [info] = bad_camera[0].node.get_publishers_info_by_topic(topic.path)
        assert info.topic_type == topic.kind
        assert info.qos_profile.reliability is ReliabilityPolicy.RELIABLE
        assert (info.qos_profile.durability is DurabilityPolicy.TRANSIENT_LOCAL) == topic.latched
        if hasattr(info, "topic_type_hash"):  # not before Iron
            assert str(info.topic_type_hash) == store.hash_rihs01(topic.kind)


def test_left_out_frames_are_counted(bad_camera: tuple[Listener, Processes]) -> None:
    """Runs last: it ends the camera."""
    processes = bad_camera[1]
    processes.stop()
    told = re.search(r"frames published: (\d+), left out: (\d+)", processes.log("camera"))
    assert told, processes.log("camera")
    published, left_out = int(told[1]), int(told[2])
    assert published >= 12
    assert left_out == sum(not BAD.kept(index) for index in range(published + left_out))


def test_the_demo_is_the_default(tmp_path: Path) -> None:
    """Depth in millimetres, the demo's four shapes, JPEG only for those who listen."""
    with isolated_environment() as environment, Processes(environment, tmp_path) as processes:
        size = ["-p", "width:=160", "-p", "height:=120", "-p", "fps:=5"]
        processes.start("camera", [*executable("toy_camera"), "--ros-args", *size])
        listener = Listener(int(environment["ROS_DOMAIN_ID"]))
        try:
            messages = next(iter(listener.complete(2).values()))
        finally:
            listener.close()
    options = StreamOptions(width=160, height=120)
    color = image_to_rgb(messages[COLOR])
    shot = options.scene().render(shown(options, [color])[0])
    assert messages[DEPTH].encoding == "16UC1"
    assert np.array_equal(np.nan_to_num(depth_to_metres(messages[DEPTH])), shot.depth_mm.astype(np.float32) * np.float32(0.001))
    assert np.array_equal(np.frombuffer(messages[INSTANCES].data, "<u2").reshape(120, 160), shot.instances)
    assert messages[COMPRESSED].format == "rgb8; jpeg compressed bgr8"
    labels = {item.class_id: item.class_name for item in listener.heard[LABEL_INFO][0][1].class_map}
    assert labels == {1: "red circle", 2: "blue star", 3: "yellow square", 4: "purple cross"}


@pytest.mark.parametrize(
    ("parameter", "sentence"),
    [
        ("suite:=crosing", 'suite is "crosing"; it must be one of: demo, easy, crossing'),
        ("suit:=easy", "there is no parameter suit; there are: suite, seed"),
        ("drop:=2.0", "drop is 2.0; it must lie between 0 and 0.95"),
    ],
)
def test_wrong_parameters_are_told_and_end_it(tmp_path: Path, parameter: str, sentence: str) -> None:
    with isolated_environment() as environment, Processes(environment, tmp_path) as processes:
        camera = processes.start("camera", [*executable("toy_camera"), "--ros-args", "-p", parameter])
        assert camera.wait(120) == 2
        assert f"toy_camera: {sentence}" in processes.log("camera")
        assert "Traceback" not in processes.log("camera")
