# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""track_node's services for a node that people look at and prompt through. May be called from any thread; bounded in number and time."""

from __future__ import annotations

import threading
import time
from collections import deque
from concurrent.futures import Future
from typing import Any, Union

from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from vision_msgs.msg import Point2D

from lang2segtrack.srv import AddBoxPrompt, AddPointPrompt, AddTextPrompt, ListTracks, RemoveTextPrompt, RemoveTrack
from lang2segtrack_ros.types.prompts import BoxPrompt, PointPrompt, TextPrompt

LIMIT_S = 10.0
MAX_WAITING = 8
"""Requests under way. Services queue ten, and lose the oldest of more without a word."""
SERVICES = {
    AddTextPrompt: "add_text_prompt",
    AddBoxPrompt: "add_box_prompt",
    AddPointPrompt: "add_point_prompt",
    RemoveTrack: "remove_track",
    RemoveTextPrompt: "remove_text_prompt",
    ListTracks: "list_tracks",
}
SETTLE_S = 0.4
"""A service is used when it has been there this long: its way back is found a little later, and answers without one are dropped."""
ViewerPrompt = Union[TextPrompt, BoxPrompt, PointPrompt]


class TrackerError(RuntimeError):
    """track_node could not be asked; the message says why. `reason` is a word for it."""

    def __init__(self, reason: str, sentence: str) -> None:
        super().__init__(sentence)
        self.reason = reason


class TrackerClient:
    """Clients of `SERVICES`. Requests are sent on the executor's thread, whoever makes them.

    Args:
        node: whose clients they are.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._group = ReentrantCallbackGroup()
        self._clients = {kind: node.create_client(kind, name, callback_group=self._group) for kind, name in SERVICES.items()}
        self._lock = threading.Lock()
        self._orders: deque[tuple[Any, Any, Future[Any]]] = deque()
        self._sent: list[tuple[float, Any, Any, Future[Any]]] = []  # until when, client, rclpy's future, ours
        self._ready_since: dict[str, float] = {}
        self._guard = node.create_guard_condition(self._send, self._group)
        self._watch = node.create_timer(0.25, self._on_watchdog, callback_group=self._group, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def prompt(self, prompt: ViewerPrompt) -> Future[Any]:
        """Asks for objects; the future gets the service's response or a TrackerError."""
        if isinstance(prompt, TextPrompt):
            return self._call(AddTextPrompt, AddTextPrompt.Request(text=prompt.text, mode=prompt.mode))
        common = {"label": prompt.label, "track_id": prompt.track_id or 0}
        if isinstance(prompt, BoxPrompt):
            sides = dict(zip(("x_min", "y_min", "x_max", "y_max"), prompt.box))
            return self._call(AddBoxPrompt, AddBoxPrompt.Request(**sides, **common))
        points = [Point2D(x=x, y=y) for x, y in prompt.points]
        return self._call(AddPointPrompt, AddPointPrompt.Request(points=points, labels=list(prompt.labels), **common))

    def remove(self, track_id: int) -> Future[Any]:
        """Forgets an object; likewise."""
        return self._call(RemoveTrack, RemoveTrack.Request(track_id=track_id))

    def remove_text(self, prompt_id: int) -> Future[Any]:
        """Looks for something no longer; likewise."""
        return self._call(RemoveTextPrompt, RemoveTextPrompt.Request(prompt_id=prompt_id))

    def tracks(self) -> Future[Any]:
        """What is tracked and looked for; likewise."""
        return self._call(ListTracks, ListTracks.Request())

    def _call(self, kind: Any, request: Any) -> Future[Any]:
        future: Future[Any] = Future()
        with self._lock:
            full = len(self._orders) + len(self._sent) >= MAX_WAITING
            if not full:
                self._orders.append((self._clients[kind], request, future))
        if full:
            future.set_exception(TrackerError("busy", f"{MAX_WAITING} requests wait for track_node already; try again in a moment"))
        else:
            self._guard.trigger()
        return future

    def _name(self, client: Any) -> str:
        return str(self._node.resolve_service_name(client.srv_name))

    def _send(self) -> None:
        """Sends what can be sent, and refuses what has no service."""
        with self._lock:
            orders, self._orders = list(self._orders), deque()
        for client, request, future in orders:
            if not client.service_is_ready():
                sentence = f"there is no service {self._name(client)}: start track_node in this namespace, or remap the service"
                future.set_exception(TrackerError("no_tracker", sentence))
                continue
            with self._lock:
                if time.monotonic() - self._ready_since.get(client.srv_name, float("inf")) < SETTLE_S:
                    self._orders.append((client, request, future))
                    continue
                answer = client.call_async(request)
                self._sent.append((time.monotonic() + LIMIT_S, client, answer, future))
            answer.add_done_callback(lambda done, future=future: self._pass_on(done, future))

    def _pass_on(self, answer: Any, future: Future[Any]) -> None:
        with self._lock:
            self._sent = [item for item in self._sent if item[3] is not future]
        if not future.done():
            error = answer.exception()
            if error is not None:
                future.set_exception(TrackerError("failed", f"track_node's answer could not be read: {error}"))
            else:
                future.set_result(answer.result())

    def _on_watchdog(self) -> None:
        """Sees which services are there, sends what waited for them, and gives up what has waited too long for its answer."""
        now = time.monotonic()
        for client in self._clients.values():
            if client.service_is_ready():
                self._ready_since.setdefault(client.srv_name, now)
            else:
                self._ready_since.pop(client.srv_name, None)
        self._send()
        with self._lock:
            overdue = [item for item in self._sent if now > item[0]]
            self._sent = [item for item in self._sent if now <= item[0]]
        for _, client, answer, future in overdue:
            client.remove_pending_request(answer)
            sentence = f"{self._name(client)} did not answer within {LIMIT_S:g} s: is track_node stuck?"
            future.set_exception(TrackerError("no_answer", sentence))

    def close(self) -> None:
        """Fails what waits, for ever after."""
        with self._lock:
            waiting = [item[2] for item in self._orders] + [item[3] for item in self._sent]
            self._orders.clear()
            self._sent.clear()
        for future in waiting:
            if not future.done():
                future.set_exception(TrackerError("closing", "the viewer is shutting down"))
