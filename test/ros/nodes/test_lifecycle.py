# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Lifecycle transitions of track_node: freed resources, messages of failed transitions, and recovery after a failure."""

from __future__ import annotations

import gc
import os
import threading
import warnings
import weakref
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
import rclpy
import torch
from lifecycle_msgs.srv import GetState
from rclpy.executors import SingleThreadedExecutor
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter

from lang2segtrack.srv import ListTracks
from lang2segtrack_ros.models.catalogue import WeightsError
from lang2segtrack_ros.ros.inputs import color_images
from lang2segtrack_ros.ros.nodes import track_node
from lang2segtrack_ros.ros.nodes.track_node import TrackNode
from lang2segtrack_ros.ros.outputs.publisher import Outputs
from lang2segtrack_ros.ros.support.process import poll, spin, spin_until
from lang2segtrack_ros.session.session import Session

SUCCESS, FAILURE, ERROR = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE, TransitionCallbackReturn.ERROR
TOY = {"segmenter": "toy", "detector": "toy", "device": "cpu", "image_size": 224, "configure_wait_s": 60.0}  # a size of these tests only


@pytest.fixture
def node() -> Iterator[TrackNode]:
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=int(os.environ["ROS_DOMAIN_ID"]))
    made = TrackNode(context=context, parameter_overrides=[Parameter(name, value=value) for name, value in TOY.items()])
    yield made
    made.destroy_node()
    rclpy.try_shutdown(context=context)


def state(node: TrackNode) -> str:
    return str(node._state_machine.current_state[1])


def put(node: TrackNode, **values: Any) -> list[Any]:
    return [node.set_parameters([Parameter(name, value=value)])[0] for name, value in values.items()]


def live_tensors() -> int:
    gc.collect()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return sum(isinstance(item, torch.Tensor) for item in gc.get_objects())


def own_threads() -> list[str]:
    return sorted(thread.name for thread in threading.enumerate() if thread.name.startswith("lang2segtrack"))


def network_references(node: TrackNode) -> list[weakref.ref[Any]]:
    """Return weak references to the networks of a configured node and to one parameter of each."""
    assert node.engine is not None
    networks = node.engine.call(lambda session: (session.tracker.segmenter, session.detector)).result(timeout=20)
    return [weakref.ref(item) for network in networks for item in (network, next(network.model.parameters()))]


@pytest.mark.parametrize(
    ("wrong", "words", "right"),
    [
        ({"segmenter": "sam77"}, 'no segmenter is called "sam77"', {"segmenter": "toy"}),
        ({"device": "cuda:99"}, "cuda:99", {"device": "cpu"}),
        ({"detector": "", "text": "red circle"}, "there is no detector", {"text": ""}),
        ({"text": "red " * 500}, "characters", {"text": "red circle"}),
        ({"text": ". ".join(f"red circle {number}" for number in range(66))}, "the detector reads at most", {"text": ""}),
    ],
)
def test_configure_succeeds_after_wrong_parameter_is_corrected(
    node: TrackNode, wrong: dict[str, Any], words: str, right: dict[str, Any]
) -> None:
    put(node, **wrong)
    assert node.trigger_configure() == FAILURE
    assert words in node.problem
    assert (state(node), own_threads()) == ("unconfigured", [])
    put(node, **right)
    assert node.trigger_configure() == SUCCESS
    assert (state(node), node.problem) == ("inactive", "")


def test_cleanup_frees_networks_every_time(node: TrackNode) -> None:
    """A leaked tensor or thread would cost memory each time that a robot changes its weights."""
    node.trigger_configure()  # first, so that later cycles do not count what libraries keep forever
    node.trigger_cleanup()
    tensors = live_tensors()
    for _ in range(3):
        assert node.trigger_configure() == SUCCESS
        networks = network_references(node)
        assert len(own_threads()) == 4, "engine, detector, single images, publisher"
        assert node.trigger_activate() == SUCCESS
        assert node.trigger_deactivate() == SUCCESS
        assert node.trigger_cleanup() == SUCCESS
        assert [reference() for reference in networks] == [None] * len(networks)
        assert (live_tensors(), own_threads()) == (tensors, [])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_cleanup_frees_gpu_memory(node: TrackNode) -> None:
    """The memory must be free for other processes, not only for torch's cache."""
    put(node, device="cuda", image_size=0)
    node.trigger_configure()
    used = torch.cuda.memory_reserved()
    node.trigger_cleanup()
    assert torch.cuda.memory_reserved() < used / 4


@pytest.mark.parametrize("transitions", [[], ["configure"], ["configure", "activate"]], ids=["unconfigured", "inactive", "active"])
def test_shutdown_frees_networks_in_every_state(node: TrackNode, transitions: list[str]) -> None:
    for name in transitions:
        assert getattr(node, f"trigger_{name}")() == SUCCESS
    networks = network_references(node) if transitions else []
    assert node.trigger_shutdown() == SUCCESS
    assert (state(node), own_threads()) == ("finalized", [])
    assert [reference() for reference in networks] == [None] * len(networks)


def broken(*_: Any, **__: Any) -> None:
    raise RuntimeError("lens cap")


@pytest.mark.parametrize("transition", ["configure", "activate", "deactivate", "cleanup"])
def test_failing_transition_is_reported_and_node_can_restart(node: TrackNode, transition: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """rclpy silently moves such a node to error processing. No thread may keep running after that."""
    order = ["configure", "activate", "deactivate", "cleanup"]
    for name in order[: order.index(transition)]:
        assert getattr(node, f"trigger_{name}")() == SUCCESS
    with monkeypatch.context() as patch:
        if transition in ("configure", "activate"):
            patch.setattr(
                *{"configure": (track_node, "Outputs"), "activate": (color_images, "QosMatchingSubscription")}[transition], broken
            )
        else:
            times = iter([broken])
            name, real = ("_unsubscribe", TrackNode._unsubscribe) if transition == "deactivate" else ("close", Outputs.close)
            owner: Any = TrackNode if transition == "deactivate" else Outputs
            patch.setattr(owner, name, lambda self: next(times, real)(self))
        assert getattr(node, f"trigger_{transition}")() == (FAILURE if transition == "configure" else ERROR)
    failed = "could not load the networks" if transition == "configure" else f"on_{transition} failed"
    assert node.problem == f"{failed}: RuntimeError: lens cap"
    assert (state(node), own_threads()) == ("unconfigured", [])
    assert node.autostart()
    assert state(node) == "active"


def test_impossible_transition_changes_nothing(node: TrackNode) -> None:
    """On Humble and Jazzy, rclpy raises here, and the caller of the service would wait forever."""
    assert node.trigger_activate() == ERROR
    assert state(node) == "unconfigured"
    assert node.trigger_configure() == SUCCESS
    assert node.trigger_configure() == ERROR
    assert state(node) == "inactive"


def test_parameters_of_a_configured_node(node: TrackNode) -> None:
    """Fixed parameters are refused until cleanup. Dynamic ones apply at once. A set with one refused parameter applies none."""
    assert node.autostart()
    (fixed,) = put(node, image_size=192)
    assert not fixed.successful
    assert fixed.reason == "image_size is fixed while the node is configured: run the cleanup transition first, or set it at start"
    assert all(answer.successful for answer in put(node, detect_every=9, lost_after_s=0.5))
    assert node.engine is not None
    assert node.engine.call(lambda session: (session.options.detect_every, session.options.lost_after_s)).result(timeout=20) == (9, 0.5)
    both = node.set_parameters_atomically([Parameter("detect_every", value=3), Parameter("policy", value="sam2")])
    assert not both.successful
    assert node.engine.call(lambda session: session.options.detect_every).result(timeout=20) == 9
    node.trigger_deactivate()
    node.trigger_cleanup()
    assert put(node, image_size=192)[0].successful
    assert node.autostart()
    assert node.engine.call(lambda session: session.tracker.segmenter.image_size).result(timeout=20) == 192


class SlowLoading:
    """A load of the networks that takes until `end` is set. It stands in for a download.

    Attributes:
        end: ends the load.
        error: exception that the load raises. None loads the toy networks.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, node: TrackNode) -> None:
        self.end = threading.Event()
        self.error: Exception | None = None
        self._load = track_node.make_session
        monkeypatch.setattr(track_node, "make_session", self._make)
        put(node, configure_wait_s=0.0)

    def _make(self, value: Callable[[str], Any]) -> Session:
        assert self.end.wait(60)
        if self.error is not None:
            raise self.error
        return self._load(value)


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch, node: TrackNode) -> Iterator[SlowLoading]:
    loading = SlowLoading(monkeypatch, node)
    yield loading
    loading.end.set()


def finish(node: TrackNode) -> None:
    """Wait until the networks are loaded, and let the node use them, as its watchdog does."""
    poll(node._finish_loading)


def test_configure_returns_while_networks_load(node: TrackNode, slow: SlowLoading) -> None:
    """A lifecycle manager has a timeout of seconds, and a download takes minutes. Activation then waits for the networks."""
    assert (node.trigger_configure(), node.trigger_activate()) == (SUCCESS, SUCCESS)
    assert state(node) == "active"
    assert not node._finish_loading()
    assert "still loading" in node.explain_no_engine()
    assert not put(node, image_size=192)[0].successful, "the load has read this value already"
    assert (node.engine, node._color) == (None, None)
    slow.end.set()
    finish(node)
    assert node.engine is not None
    assert node._color is not None
    assert node._color.subscription is not None, "the node is active, so it must listen"


@pytest.mark.parametrize("is_active", [False, True])
def test_load_that_fails_later_unconfigures_the_node(node: TrackNode, slow: SlowLoading, is_active: bool) -> None:
    """A manager sees the state, and the user the reason. The next configure works."""
    node.trigger_configure()
    if is_active:
        node.trigger_activate()
    slow.error = WeightsError("the hub is closed")
    slow.end.set()
    finish(node)
    assert (state(node), node.problem, own_threads()) == ("unconfigured", "the hub is closed", [])
    slow.error = None
    assert node.autostart()
    assert state(node) == "active"


def test_cleanup_abandons_a_load(node: TrackNode, slow: SlowLoading) -> None:
    """Nobody must wait for a download that is no longer wanted. Its session is closed when it ends."""
    node.trigger_configure()
    (load,) = [thread for thread in threading.enumerate() if thread.name == "loading-networks"]
    assert node.trigger_cleanup() == SUCCESS
    assert load.is_alive(), "cleanup has waited for the load"
    assert state(node) == "unconfigured"
    slow.end.set()
    load.join(timeout=60)
    assert not load.is_alive()
    assert (node.engine, own_threads()) == (None, [])
    assert node.autostart()


def test_state_answers_and_prompts_wait_while_networks_load(node: TrackNode, slow: SlowLoading) -> None:
    """Before, the executor was blocked, so that a manager saw no state. A prompt that a script sends at the start must not be lost."""
    client_node = rclpy.create_node("manager", context=node.context)
    manager = client_node.create_client(GetState, "/track_node/get_state")
    user = client_node.create_client(ListTracks, "/list_tracks")
    executor, client_executor = (SingleThreadedExecutor(context=node.context) for _ in range(2))
    executor.add_node(node)
    client_executor.add_node(client_node)
    started = threading.Thread(target=lambda: spin(executor, lambda: node.autostart(partial(spin, executor))))
    started.start()
    try:
        assert all(client.wait_for_service(timeout_sec=20) for client in (manager, user))
        tracks, answer = user.call_async(ListTracks.Request()), manager.call_async(GetState.Request())
        assert spin_until(client_executor, 20, answer.done)
        assert answer.result().current_state.label == "inactive"
        assert not tracks.done()
        slow.end.set()
        started.join(timeout=60)
        assert spin_until(client_executor, 20, lambda: bool(executor.spin_once(timeout_sec=0.02)) or tracks.done())
        assert list(tracks.result().tracks) == []
    finally:
        slow.end.set()
        started.join(timeout=60)
        for item in (client_executor, executor):
            item.shutdown()
        client_node.destroy_node()
    assert state(node) == "active"
