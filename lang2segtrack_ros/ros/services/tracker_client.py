# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Client of track_node's services, for viewers. Callable from any thread; limited in the number and duration of requests."""

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

from lang2segtrack_ros.ros.support.interfaces import (
    ADD_BOX_PROMPT,
    ADD_INSTRUCTION,
    ADD_POINT_PROMPT,
    ADD_TEXT_PROMPT,
    LIST_TRACKS,
    REMOVE_TEXT_PROMPT,
    REMOVE_TRACK,
    Service,
)
from lang2segtrack_ros.ros.support.map_interfaces import LIST_OBJECTS
from lang2segtrack_ros.types.instruction import InstructionPrompt
from lang2segtrack_ros.types.prompts import BoxPrompt, PointPrompt, TextPrompt

LIMIT_S = 10.0
"""A request without a response for this long fails."""
INSTRUCTION_LIMIT_S = 130.0
"""Time limit of an instruction, above that of the service: a large model on a server may take a minute."""
MAX_WAITING = 8
"""Maximum number of open requests. A service queues ten and silently drops the oldest of more."""
USED_SERVICES = (
    ADD_TEXT_PROMPT,
    ADD_INSTRUCTION,
    ADD_BOX_PROMPT,
    ADD_POINT_PROMPT,
    REMOVE_TRACK,
    REMOVE_TEXT_PROMPT,
    LIST_TRACKS,
    LIST_OBJECTS,
)
SETTLE_S = 0.4
"""A service is used after it was available this long. DDS discovers the response path a little later and drops responses before that."""
ViewerPrompt = Union[TextPrompt, InstructionPrompt, BoxPrompt, PointPrompt]


class TrackerError(RuntimeError):
    """Failure of a request to track_node. The message says why.

    Attributes:
        reason: one of "busy", "no_tracker", "failed", "no_answer", "closing".
    """

    def __init__(self, reason: str, sentence: str) -> None:
        super().__init__(sentence)
        self.reason = reason


class TrackerClient:
    """Clients of `USED_SERVICES`. Requests from any thread are sent on the executor's thread.

    Args:
        node: node that owns the clients.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._group = ReentrantCallbackGroup()
        self._clients = {service: node.create_client(service.kind, service.name, callback_group=self._group) for service in USED_SERVICES}
        self._lock = threading.Lock()
        self._requests: deque[tuple[Any, Any, Future[Any], float]] = deque()  # (client, request, caller's future, limit)
        self._sent: list[tuple[float, Any, Any, Future[Any]]] = []  # (deadline, client, rclpy's future, caller's future)
        self._ready_since: dict[str, float] = {}
        self._guard = node.create_guard_condition(self._send, self._group)
        self._watch = node.create_timer(0.25, self._on_watchdog, callback_group=self._group, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def prompt(self, prompt: ViewerPrompt) -> Future[Any]:
        """Send a prompt. The future gets the service's response or a TrackerError."""
        if isinstance(prompt, TextPrompt):
            return self._call(ADD_TEXT_PROMPT, text=prompt.text, mode=prompt.mode)
        if isinstance(prompt, InstructionPrompt):
            return self._call(ADD_INSTRUCTION, text=prompt.text, mode=prompt.mode)
        common = {"label": prompt.label, "track_id": prompt.track_id or 0}
        if isinstance(prompt, BoxPrompt):
            sides = dict(zip(("x_min", "y_min", "x_max", "y_max"), prompt.box))
            return self._call(ADD_BOX_PROMPT, **sides, **common)
        points = [Point2D(x=x, y=y) for x, y in prompt.points]
        return self._call(ADD_POINT_PROMPT, points=points, labels=list(prompt.labels), **common)

    def remove(self, track_id: int) -> Future[Any]:
        """Remove a track. The future gets the service's response or a TrackerError."""
        return self._call(REMOVE_TRACK, track_id=track_id)

    def remove_text(self, prompt_id: int) -> Future[Any]:
        """Remove a text prompt. The future gets the service's response or a TrackerError."""
        return self._call(REMOVE_TEXT_PROMPT, prompt_id=prompt_id)

    def tracks(self) -> Future[Any]:
        """List tracks and text prompts. The future gets the service's response or a TrackerError."""
        return self._call(LIST_TRACKS)

    @property
    def has_map(self) -> bool:
        """True if an object_map_node offers its services in this namespace."""
        return bool(self._clients[LIST_OBJECTS].service_is_ready())

    def objects(self, limit: int) -> Future[Any]:
        """List the objects of the map with thumbnails. The future gets the service's response or a TrackerError."""
        return self._call(LIST_OBJECTS, limit=limit, thumbnails=True)

    def _call(self, service: Service, **fields: Any) -> Future[Any]:
        future: Future[Any] = Future()
        request = service.kind.Request(**fields)
        limit_s = INSTRUCTION_LIMIT_S if service is ADD_INSTRUCTION else LIMIT_S
        with self._lock:
            is_full = len(self._requests) + len(self._sent) >= MAX_WAITING
            if not is_full:
                self._requests.append((self._clients[service], request, future, limit_s))
        if is_full:
            future.set_exception(TrackerError("busy", f"{MAX_WAITING} requests already wait for track_node: try again in a moment"))
        else:
            self._guard.trigger()
        return future

    def _name(self, client: Any) -> str:
        return str(self._node.resolve_service_name(client.srv_name))

    def _send(self) -> None:
        """Send the requests of available services. Fail the requests of missing services."""
        with self._lock:
            requests, self._requests = list(self._requests), deque()
        for client, request, future, limit_s in requests:
            if not client.service_is_ready():
                sentence = f"there is no service {self._name(client)}: start track_node in this namespace, or remap the service"
                future.set_exception(TrackerError("no_tracker", sentence))
                continue
            with self._lock:
                if time.monotonic() - self._ready_since.get(client.srv_name, float("inf")) < SETTLE_S:
                    self._requests.append((client, request, future, limit_s))
                    continue
                response = client.call_async(request)
                self._sent.append((time.monotonic() + limit_s, client, response, future))
            response.add_done_callback(lambda done, future=future: self._pass_on(done, future))

    def _pass_on(self, response: Any, future: Future[Any]) -> None:
        with self._lock:
            self._sent = [item for item in self._sent if item[3] is not future]
        if not future.done():
            error = response.exception()
            if error is not None:
                future.set_exception(TrackerError("failed", f"could not read track_node's response: {error}"))
            else:
                future.set_result(response.result())

    def _on_watchdog(self) -> None:
        """Update the available services, send the requests that waited for them, and fail overdue requests."""
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
        for _, client, response, future in overdue:
            client.remove_pending_request(response)
            sentence = f"{self._name(client)} did not respond in time: check whether track_node hangs"
            future.set_exception(TrackerError("no_answer", sentence))

    def close(self) -> None:
        """Fail all open requests. Call this once, before the node ends."""
        with self._lock:
            waiting = [item[2] for item in self._requests] + [item[3] for item in self._sent]
            self._requests.clear()
            self._sent.clear()
        for future in waiting:
            if not future.done():
                future.set_exception(TrackerError("closing", "the viewer is shutting down"))
