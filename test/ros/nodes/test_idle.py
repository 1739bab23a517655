# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""A node without prompts, objects and subscribers does next to nothing, and misses nothing that comes later."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from lang2segtrack.srv import AddBoxPrompt
from lang2segtrack_ros.io.image_messages import ConversionError
from lang2segtrack_ros.ros.inputs.color_images import IDLE_PERIOD_S
from lang2segtrack_ros.ros.nodes.track_node import TrackNode
from lang2segtrack_ros.ros.support.conversions import MESSAGES
from lang2segtrack_ros.ros.support.process import spin_until
from lang2segtrack_ros.segmentation.sam2 import Sam2Segmenter
from lang2segtrack_ros.session.session import Session
from lang2segtrack_ros.toyworld.scene import SceneFrame
from test.conftest import body_box

PERIOD_S = 0.05


class Graph:
    """An active node and a camera in one executor.

    Attributes:
        node: the node.
        camera: node of the camera and of clients.
    """

    def __init__(self, **values: Any) -> None:
        self.context = rclpy.Context()
        rclpy.init(context=self.context, domain_id=int(os.environ["ROS_DOMAIN_ID"]))
        toy = {"segmenter": "toy", "detector": "", "device": "cpu", "use_depth": False, "configure_wait_s": 60.0, **values}
        self.node = TrackNode(context=self.context, parameter_overrides=[Parameter(name, value=value) for name, value in toy.items()])
        self.camera = rclpy.create_node("camera", context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        for node in (self.node, self.camera):
            self.executor.add_node(node)
        self._images = self.camera.create_publisher(Image, "color/image_raw", QoSProfile(depth=5))
        assert self.node.autostart()
        assert self.spin(10.0, lambda: self._images.get_subscription_count() > 0)

    def spin(self, seconds: float, until: Callable[[], bool] = lambda: False) -> bool:
        return spin_until(self.executor, seconds, until)

    def show(self, color: np.ndarray, **changes: Any) -> None:
        """Publish an image and wait until the node has received it."""
        message = MESSAGES.image(color, "bgr8", Header(frame_id="eye"))
        for name, value in changes.items():
            setattr(message, name, value)
        self._images.publish(message)
        self.spin(PERIOD_S)

    def processed(self) -> int:
        """Return the number of processed images when the engine has finished its work."""
        assert self.node.engine is not None
        self.node.engine.call(lambda session: None).result(10.0)
        return self.node.engine.statistics.processed

    def close(self) -> None:
        self.node.destroy_node()
        self.camera.destroy_node()
        self.executor.shutdown()
        rclpy.try_shutdown(context=self.context)


@pytest.fixture
def graph() -> Iterator[Graph]:
    made = Graph()
    yield made
    made.close()


def test_idle_images_are_counted_and_the_newest_one_is_available(graph: Graph, frames: list[SceneFrame]) -> None:
    """Requests for the last image, such as an exemplar, must get the newest one although it was not converted."""
    for frame in frames[:16]:
        graph.show(frame.color)
    assert graph.node.engine is not None
    statistics = graph.node.engine.statistics
    assert 1 <= graph.processed() <= 16 * PERIOD_S / IDLE_PERIOD_S + 2
    assert statistics.received == statistics.processed + statistics.idle
    assert statistics.received >= 15, "DDS may lose one image while it connects"
    latest = graph.node.latest_color
    assert latest is not None
    assert (latest == frames[15].color[..., ::-1]).all()


def test_prompt_ends_idleness_on_the_next_image(graph: Graph, frames: list[SceneFrame]) -> None:
    """The prompt is applied to the first image after it, and the history begins there."""
    for frame in frames[:8]:
        graph.show(frame.color)
    before = graph.processed()
    x1, y1, x2, y2 = body_box(frames[8], 1)
    client = graph.camera.create_client(AddBoxPrompt, "add_box_prompt")
    assert graph.spin(10.0, client.service_is_ready)
    future = client.call_async(AddBoxPrompt.Request(x_min=x1, y_min=y1, x_max=x2, y_max=y2))
    graph.spin(0.2)
    for frame in frames[8:13]:
        graph.show(frame.color[..., ::-1])
        graph.processed()
    assert graph.spin(5.0, future.done)
    assert future.result().success, future.result().message
    assert graph.processed() == before + 5
    assert graph.node.engine is not None

    def stored(session: Session) -> list[int]:
        session.update_appearance()
        return session.history.numbers() if session.history is not None else []

    assert len(graph.node.engine.call(stored).result(10.0)) == 5


def test_viewer_of_an_idle_node_gets_the_camera_image(graph: Graph, frames: list[SceneFrame], monkeypatch: pytest.MonkeyPatch) -> None:
    """A viewer must see every image before its first prompt. That needs no network."""
    overlays: list[Image] = []
    graph.camera.create_subscription(Image, "overlay", overlays.append, QoSProfile(depth=20))
    assert graph.spin(10.0, lambda: graph.node.count_subscribers("overlay") > 0)
    while not graph.processed():  # DDS may lose the first images while it connects
        graph.show(frames[0].color)
    monkeypatch.setattr(Sam2Segmenter, "encode", lambda *_: pytest.fail("the network has run"))
    for frame in frames[1:7]:
        graph.show(frame.color)
    assert graph.spin(5.0, lambda: len(overlays) >= 6), len(overlays)
    shown = np.frombuffer(overlays[-1].data, np.uint8).reshape(frames[6].color.shape)
    assert (shown == frames[6].color[..., ::-1]).all()


def test_unusable_image_of_an_idle_stream_is_reported(graph: Graph, frames: list[SceneFrame]) -> None:
    """A stream that cannot be used must be reported before somebody prompts. Nothing else would show it."""
    while not graph.processed():
        graph.show(frames[0].color)
    graph.show(frames[1].color, encoding="klingon8")
    with pytest.raises(ConversionError, match="klingon8"):
        _ = graph.node.latest_color
    end = time.monotonic() + 2 * IDLE_PERIOD_S
    while time.monotonic() < end and graph.node.skipped["unknown_encoding"] < 2:
        graph.show(frames[1].color, encoding="klingon8")
    assert graph.node.skipped["unknown_encoding"] == 2
