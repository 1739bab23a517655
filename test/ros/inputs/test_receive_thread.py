# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The thread that receives messages instead of an executor. No executor spins in these tests."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator

import pytest
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile
from std_msgs.msg import Header

from lang2segtrack_ros.ros.inputs.receive_thread import ReceiveThread


@pytest.fixture
def node() -> Iterator[Node]:
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=int(os.environ["ROS_DOMAIN_ID"]))
    made = rclpy.create_node("receiver", context=context)
    yield made
    made.destroy_node()
    rclpy.try_shutdown(context=context)


@pytest.fixture
def receiver(node: Node) -> Iterator[ReceiveThread]:
    made = ReceiveThread(node.context)
    yield made
    made.close()


def send_until(node: Node, topic: str, until: Callable[[], bool]) -> bool:
    """Publish numbers on a topic until a condition holds, at most for ten seconds."""
    publisher = node.create_publisher(Header, topic, QoSProfile(depth=10))
    end, number = time.monotonic() + 10.0, 0
    while not until() and time.monotonic() < end:
        publisher.publish(Header(frame_id=str(number)))
        number += 1
        time.sleep(0.02)
    node.destroy_publisher(publisher)
    return until()


def test_subscriptions_may_come_and_go(node: Node, receiver: ReceiveThread) -> None:
    """Subscriptions are created again when the QoS of a publisher changes, while the thread waits. Messages come in order."""
    first: list[int] = []
    second: list[int] = []
    subscription = node.create_subscription(Header, "first", lambda msg: first.append(int(msg.frame_id)), 10, callback_group=receiver)
    assert send_until(node, "first", lambda: len(first) > 3)
    assert first == sorted(first)
    node.destroy_subscription(subscription)
    del subscription
    node.create_subscription(Header, "second", lambda msg: second.append(int(msg.frame_id)), 10, callback_group=receiver)
    assert send_until(node, "second", lambda: len(second) > 3)
    count = len(first)
    send_until(node, "second", lambda: len(second) > 8)
    assert len(first) == count
    assert receiver.restarts == 0


def test_failing_callback_is_counted_and_messages_continue(node: Node, receiver: ReceiveThread, caplog: pytest.LogCaptureFixture) -> None:
    """One image that a library cannot process must not end the stream."""
    received: list[str] = []

    def callback(msg: Header) -> None:
        received.append(msg.frame_id)
        if len(received) == 1:
            raise ArithmeticError("the first message")

    node.create_subscription(Header, "topic", callback, 10, callback_group=receiver)
    assert send_until(node, "topic", lambda: len(received) > 2)
    assert (receiver.restarts, receiver.last_error) == (1, "ArithmeticError: the first message")
    assert "ArithmeticError: the first message" in caplog.text


def test_executor_takes_none_of_the_messages(node: Node, receiver: ReceiveThread) -> None:
    """Two takers of one subscription would exchange images, and each message would wake the executor for nothing."""
    threads: set[str] = set()
    calls: list[None] = []

    def callback(_: Header) -> None:
        threads.add(threading.current_thread().name)
        calls.append(None)

    node.create_subscription(Header, "topic", callback, 10, callback_group=receiver)
    executor = SingleThreadedExecutor(context=node.context)
    executor.add_node(node)
    stopping = threading.Event()
    spinning = threading.Thread(target=lambda: [executor.spin_once(timeout_sec=0.05) for _ in iter(stopping.is_set, True)])
    spinning.start()
    try:
        assert send_until(node, "topic", lambda: len(calls) > 10)
    finally:
        stopping.set()
        spinning.join()
        executor.shutdown()
    assert threads == {"lang2segtrack-receiver"}


def test_thread_ends_with_its_context(node: Node) -> None:
    """A signal shuts the context down before the node is destroyed. The node must end at once then."""
    receiver = ReceiveThread(node.context)
    node.create_subscription(Header, "topic", lambda _: None, 10, callback_group=receiver)
    rclpy.shutdown(context=node.context)
    began = time.monotonic()
    receiver.close()
    assert time.monotonic() - began < 1.0
    assert receiver.restarts == 0
    assert "lang2segtrack-receiver" not in {thread.name for thread in threading.enumerate()}
