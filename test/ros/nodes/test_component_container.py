# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The component container through its services: cameras and trackers in one process, shared weights, refused requests."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
import rclpy
from composition_interfaces.srv import ListNodes, LoadNode, UnloadNode
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rclpy.executors import MultiThreadedExecutor, SingleThreadedExecutor
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile

from lang2segtrack.msg import TrackArray
from lang2segtrack.srv import AddBoxPrompt
from lang2segtrack_ros.ros.nodes.component_container import PLUGINS, ComponentManager
from lang2segtrack_ros.ros.support.process import spin_until
from lang2segtrack_ros.toyworld.graph import Processes, executable, isolated_environment
from lang2segtrack_ros.toyworld.scene import SceneFrame
from test.conftest import body_box
from test.ros.nodes.page_client import Page

SMALL = {"width": 320, "height": 240, "fps": 4.0}
TOY = {"segmenter": "toy", "detector": "", "device": "cpu", "use_depth": False}
TRACKER, CAMERA = "lang2segtrack::TrackNode", "lang2segtrack::ToyCamera"


class Client:
    """Node that sends the requests of `ros2 component` and of a user of the loaded nodes."""

    def __init__(self, domain: int, container: str = "/ComponentManager") -> None:
        self.context = rclpy.Context()
        rclpy.init(context=self.context, domain_id=domain)
        self.node = rclpy.create_node("client", context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.container = container
        self.clients: dict[str, Any] = {}

    def spin(self, seconds: float, until: Callable[[], bool] = lambda: False) -> bool:
        return spin_until(self.executor, seconds, until)

    def call(self, kind: Any, name: str, **fields: Any) -> Any:
        if name not in self.clients:
            client = self.clients[name] = self.node.create_client(kind, name)
            assert self.spin(60.0, client.service_is_ready), f"{name} is not offered"
            self.spin(0.3)  # DDS discovers the response path a little later and drops responses before that
        future = self.clients[name].call_async(kind.Request(**fields))
        assert self.spin(60.0, future.done), f"{name} did not answer"
        return future.result()

    def load(self, plugin: str, parameters: dict[str, Any] | None = None, extra: dict[str, Any] | None = None, **fields: Any) -> Any:
        request = {"package_name": "lang2segtrack", "plugin_name": plugin, **fields}
        for field, values in (("parameters", parameters), ("extra_arguments", extra)):
            request[field] = [Parameter(name, value=value).to_parameter_msg() for name, value in (values or {}).items()]
        return self.call(LoadNode, f"{self.container}/_container/load_node", **request)

    def unload(self, number: int) -> Any:
        return self.call(UnloadNode, f"{self.container}/_container/unload_node", unique_id=number)

    def listed(self) -> dict[int, str]:
        answer = self.call(ListNodes, f"{self.container}/_container/list_nodes")
        return dict(zip(answer.unique_ids, answer.full_node_names))

    def close(self) -> None:
        self.executor.shutdown()
        self.node.destroy_node()
        rclpy.try_shutdown(context=self.context)


@pytest.fixture
def manager() -> Iterator[ComponentManager]:
    """Run a container in this process, so that tests can read its state. All requests use its services."""
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=int(os.environ["ROS_DOMAIN_ID"]))
    node = ComponentManager(context=context)
    executor = MultiThreadedExecutor(num_threads=2, context=context)
    executor.add_node(node)

    closing = Event()

    def spin() -> None:
        while not closing.is_set():
            executor.spin_once(timeout_sec=0.2)

    thread = Thread(target=spin)
    thread.start()
    yield node
    closing.set()
    thread.join()
    executor.shutdown()
    node.destroy_node()
    rclpy.try_shutdown(context=context)


@pytest.fixture
def client(manager: ComponentManager) -> Iterator[Client]:
    client = Client(int(os.environ["ROS_DOMAIN_ID"]))
    yield client
    client.close()


def test_two_trackers_share_weights_and_unload_independently(manager: ComponentManager, client: Client, frames: list[SceneFrame]) -> None:
    """Both trackers work with one copy of the weights. After one is unloaded, the other continues."""
    received: dict[str, list[TrackArray]] = {"/left": [], "/right": []}
    numbers = {}
    for side, messages in received.items():
        client.node.create_subscription(TrackArray, f"{side}/tracks", messages.append, QoSProfile(depth=20))
        camera = client.load(CAMERA, SMALL, node_namespace=side, remap_rules=["~/color/image_raw:=color/image_raw"])
        assert (camera.success, camera.full_node_name) == (True, f"{side}/camera"), camera.error_message
        tracker = client.load(TRACKER, TOY, node_namespace=side, node_name="eye", extra={"use_intra_process_comms": False})
        assert (tracker.success, tracker.full_node_name) == (True, f"{side}/eye"), tracker.error_message
        numbers[side] = tracker.unique_id
    assert client.listed() == {1: "/left/camera", 2: "/left/eye", 3: "/right/camera", 4: "/right/eye"}
    assert client.call(GetState, "/left/eye/get_state").current_state.label == "active"

    x1, y1, x2, y2 = body_box(frames[0], 1)
    for side in received:
        answer = client.call(AddBoxPrompt, f"{side}/add_box_prompt", x_min=x1, y_min=y1, x_max=x2, y_max=y2, label=side)
        assert answer.success, answer.message
    for side, messages in received.items():
        assert client.spin(20.0, lambda messages=messages: bool(messages and messages[-1].tracks)), side  # type: ignore[misc]
        assert [track.label for track in messages[-1].tracks] == [side]

    used = [
        manager.components[number].node.engine.call(lambda session: session.tracker.segmenter).result(timeout=20)
        for number in numbers.values()
    ]
    assert [[tensor.data_ptr() for tensor in segmenter.model.parameters()] for segmenter in used[:1]] == [
        [tensor.data_ptr() for tensor in segmenter.model.parameters()] for segmenter in used[1:]
    ]

    assert client.unload(numbers["/left"]).success
    assert numbers["/left"] not in client.listed()
    client.spin(1.0)
    before = len(received["/left"]), len(received["/right"])
    assert client.spin(20.0, lambda: len(received["/right"]) > before[1] + 2), "the remaining node must continue"
    assert [track.label for track in received["/right"][-1].tracks] == ["/right"]
    assert len(received["/left"]) == before[0]
    second = client.unload(numbers["/left"])
    assert not second.success
    assert f"No node found with unique_id: {numbers['/left']}" in second.error_message
    reloaded = client.load(TRACKER, TOY, node_namespace="/left", node_name="eye")
    assert reloaded.success, reloaded.error_message
    assert reloaded.unique_id == 5, "an id is never reused"


@pytest.mark.parametrize(
    ("plugin", "fields", "words"),
    [
        ("lang2segtrack::Klingon", {}, 'requested plugin name "lang2segtrack::Klingon"; lang2segtrack has: lang2segtrack::TrackNode'),
        (TRACKER, {"package_name": "demo_nodes_cpp"}, 'package "demo_nodes_cpp"'),
        (TRACKER, {"parameters": {**TOY, "detect_every": "often"}}, "detect_every"),
        (TRACKER, {"parameters": {**TOY, "detect_every": 0}}, "detect_every"),
        (TRACKER, {"parameters": {**TOY, "policy": "samurei"}}, 'could not start: no memory policy is called "samurei"'),
        (TRACKER, {"parameters": {**TOY, "segmenter": "sam77"}}, 'could not start: no segmenter is called "sam77"'),
        (CAMERA, {"parameters": {"width": 7}}, "width is 7"),
        (CAMERA, {"node_name": "two words"}, "two words"),
        (CAMERA, {"node_namespace": "no//namespace"}, "no//namespace"),
        (CAMERA, {"remap_rules": ["nonsense"]}, "nonsense"),
        (CAMERA, {"extra": {"use_intra_process_comms": "yes"}}, "'use_intra_process_comms' must be a boolean"),
        (CAMERA, {"log_level": 7}, "log level 7 does not exist; choose from: 10 DEBUG"),
    ],
)
def test_failed_load_reports_reason_and_keeps_nothing(client: Client, plugin: str, fields: dict[str, Any], words: str) -> None:
    """The node must not stay in the list, and must not block the next load."""
    answer = client.load(plugin, **fields)
    assert not answer.success
    assert words in answer.error_message
    assert client.listed() == {}


def test_duplicate_node_name_is_refused(client: Client) -> None:
    """Two nodes with one name would respond to each other's service requests."""
    assert client.load(CAMERA, SMALL, node_name="eye", log_level=40, extra={"unheard_of": 1}).success
    second = client.load(CAMERA, SMALL, node_name="eye")
    assert not second.success
    assert "/camera/eye is already loaded with id 1: choose another node name or namespace" in second.error_message
    assert client.load(CAMERA, SMALL, node_name="other").success
    assert client.listed() == {1: "/camera/eye", 2: "/camera/other"}


def test_every_plugin_loads_and_unloads_twice(client: Client) -> None:
    """The second load fails if the first one left something behind, such as an open port."""
    minimal = {TRACKER: {**TOY, "autostart": False}, CAMERA: SMALL, "lang2segtrack::WebNode": {"port": 18473}}
    assert set(minimal) == set(PLUGINS)
    for _ in range(2):
        numbers = []
        for plugin, parameters in minimal.items():
            answer = client.load(plugin, parameters)
            assert answer.success, answer.error_message
            numbers.append(answer.unique_id)
        assert all(client.unload(number).success for number in numbers)
        assert client.listed() == {}


def test_node_without_autostart_stays_unconfigured(client: Client) -> None:
    loaded = client.load(TRACKER, {**TOY, "segmenter": "sam77", "autostart": False})
    assert loaded.success, loaded.error_message
    assert client.call(GetState, "/track_node/get_state").current_state.label == "unconfigured"


def test_node_shut_down_by_its_own_service_can_be_unloaded(client: Client) -> None:
    """A second shutdown is an error in rclpy. The caller must get a response, and the container must keep running."""
    for name in ("one", "two"):
        assert client.load(TRACKER, {"autostart": False}, node_name=name).success
    shutdown = Transition(id=Transition.TRANSITION_UNCONFIGURED_SHUTDOWN)
    assert client.call(ChangeState, "/one/change_state", transition=shutdown).success
    answer = client.unload(1)
    assert answer.success, answer.error_message
    assert client.listed() == {2: "/two"}


def test_web_node_serves_while_loaded_and_frees_its_port(client: Client) -> None:
    """Also a refused web node, whose address needs a token, must leave nothing behind."""
    refused = client.load("lang2segtrack::WebNode", {"address": "0.0.0.0", "port": 0})
    assert "a token is needed" in refused.error_message
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    loaded = client.load("lang2segtrack::WebNode", {"port": port})
    assert loaded.success, loaded.error_message
    page = Page(f"http://127.0.0.1:{port}/")
    assert page.ask("").status == 200
    assert page.ask("api/state").json["problem"].startswith("there is no service /list_tracks")
    assert client.unload(loaded.unique_id).success
    assert client.load("lang2segtrack::WebNode", {"port": port}).success


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_executable_with_all_nodes(tmp_path: Path, number: signal.Signals) -> None:
    with isolated_environment() as environment, Processes(environment, tmp_path) as processes:
        process = processes.start(
            "container", [*executable("component_container"), "--ros-args", "-r", "__node:=box", "-r", "__ns:=/robot"]
        )
        client = Client(int(environment["ROS_DOMAIN_ID"]), "/robot/box")
        try:
            assert client.load(CAMERA, SMALL).full_node_name == "/camera/camera"
            assert client.load(TRACKER, TOY).full_node_name == "/track_node"
        finally:
            client.close()
        process.send_signal(number)
        assert process.wait(20) == 0
        assert "Traceback" not in processes.log("container")
