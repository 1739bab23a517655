# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""`web_node`: a web page that shows the overlay and sends prompts from taps, boxes and words, also on a phone.

It uses only track_node's topics and services and loads no network.
"""

from __future__ import annotations

import asyncio
import os
import time
from concurrent.futures import Future
from http import HTTPStatus
from typing import Any, NoReturn

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.node import Node

from lang2segtrack_ros.io.rendering import hex_color
from lang2segtrack_ros.ros.inputs.live_view import LiveView
from lang2segtrack_ros.ros.inputs.tracked_pixels import TrackedPixels
from lang2segtrack_ros.ros.outputs.diagnostics import Diagnostics
from lang2segtrack_ros.ros.services.tracker_client import LIMIT_S, TrackerClient, TrackerError
from lang2segtrack_ros.ros.support.command_line import check_command_line
from lang2segtrack_ros.ros.support.parameter_table import TableNode
from lang2segtrack_ros.ros.support.process import run_node
from lang2segtrack_ros.ros.support.remembered_objects import remembered
from lang2segtrack_ros.ros.support.web_parameters import DEFAULT_PORTS, PARAMETERS, TOKEN_VARIABLE
from lang2segtrack_ros.types.instruction import InstructionPrompt
from lang2segtrack_ros.types.results import TrackStatus
from lang2segtrack_ros.viewers.web.access import Access, RefusedError
from lang2segtrack_ros.viewers.web.bodies import PagePrompt
from lang2segtrack_ros.viewers.web.pictures import Pictures
from lang2segtrack_ros.viewers.web.requests import TrackerResponse
from lang2segtrack_ros.viewers.web.server import PageServer
from lang2segtrack_ros.viewers.web.tls import tls_context

ANSWER_WAIT_S = 8.0
"""Maximum time in which the page waits for the answer to an instruction. The answer itself may take longer."""
STATE_AGE_S = 0.3
"""Minimum time between two requests for the list of tracks, for any number of viewers."""
OBJECTS_AGE_S = 1.5
SHOWN_OBJECTS = 30
"""Number of remembered objects on the page: those seen last."""


class WebNode(TableNode, Node):
    """Node that serves the page from its creation until it is destroyed.

    Attributes:
        pictures: newest image for the viewers.
        server: HTTP server of the page.

    Raises:
        AccessError: the parameters would give everybody access.
        TlsError: the server cannot use the certificate or its key.
        OSError: the address or port is not available.
    """

    table = PARAMETERS

    def __init__(self, node_name: str = "web_node", **kwargs: Any) -> None:
        super().__init__(node_name, **kwargs)
        try:
            PARAMETERS.declare(self, read_only=True)
            self.pictures = Pictures(self._value("jpeg_quality"), self._value("max_rate"))
            self.server = self._make_server()
        except Exception:
            super().destroy_node()
            raise
        PARAMETERS.warn_unknown_parameters(self)
        group = MutuallyExclusiveCallbackGroup()
        self._tracker = TrackerClient(self)
        self._view = LiveView(self, group, self.pictures.due, self.pictures.put)
        self._pixels = TrackedPixels(self, group)
        self._diagnostics = Diagnostics(self, "web page")
        self._state_lock = asyncio.Lock()
        self._state: dict[str, Any] = {}
        self._state_at = float("-inf")
        self._objects_lock = asyncio.Lock()
        self._objects: dict[str, Any] = {}
        self._objects_at = float("-inf")
        self.create_timer(0.25, self._subscribe, callback_group=group, clock=Clock(clock_type=ClockType.STEADY_TIME))
        self.create_timer(1.0, self._report, callback_group=group, clock=Clock(clock_type=ClockType.STEADY_TIME))
        self.server.start()
        hint = ", followed by #token=..." if self.server.access.token else ""
        moved = f" (port {DEFAULT_PORTS[0]} is in use)" if self._value("port") < 0 and self.server.port != DEFAULT_PORTS[0] else ""
        self.get_logger().info(f"the page is at {self.server.url}{hint}{moved}")

    def _value(self, name: str) -> Any:
        return self.get_parameter(name).value

    def _make_server(self) -> PageServer:
        hosts = frozenset(name.strip().lower() for name in self._value("allowed_hosts").split(",") if name.strip())
        access = Access(self._value("address"), self._value("token") or os.environ.get(TOKEN_VARIABLE, ""), hosts)
        ports = DEFAULT_PORTS if self._value("port") < 0 else (self._value("port"),)
        return PageServer(ports, access, self, self._value("max_connections"), tls_context(self._value("certificate"), self._value("key")))

    def _subscribe(self) -> None:
        self._view.update(self.pictures.watched)
        self._pixels.update(self.pictures.watched)

    # Interface of `web.requests.Robot`, called on the server's event loop

    async def prompt(self, prompt: PagePrompt) -> TrackerResponse:
        """Send a prompt and return the service's response. A tap on an object that is tracked already only returns the object."""
        response = self._pixels.response(prompt)
        if response is None:
            answer = self._tracker.prompt(prompt)
            if isinstance(prompt, InstructionPrompt) and not await _is_done(answer, ANSWER_WAIT_S):
                return TrackerResponse(True, "the instruction takes longer: its objects appear in the list of tracks")
            response = await self._response(answer)
        return TrackerResponse(response.success, response.message, tuple(int(number) for number in response.track_ids))

    async def remove(self, kind: str, number: int) -> TrackerResponse:
        """Remove a track or a text prompt.

        Args:
            kind: "track_id" or "prompt_id".
            number: the id.
        """
        response = await self._response(self._tracker.remove(number) if kind == "track_id" else self._tracker.remove_text(number))
        return TrackerResponse(response.success, response.message)

    async def state(self) -> dict[str, Any]:
        """Return tracks, text prompts with instructions, and the current problem, for JSON."""
        async with self._state_lock:  # callers that wait here share the first caller's response
            if time.monotonic() - self._state_at > STATE_AGE_S:
                self._state = await self._request_state()
                self._state_at = time.monotonic()
            return self._state

    async def _request_state(self) -> dict[str, Any]:
        try:
            response = await self._response(self._tracker.tracks())
        except RefusedError as error:
            return {"tracks": [], "looking_for": [], "problem": str(error)}
        tracks = [
            {
                "id": int(track.id),
                "label": track.label,
                "state": TrackStatus(track.state).name.lower(),
                "visible": track.bbox.size_x > 0,
                "score": round(float(track.score), 3),
                "color": hex_color(track.id),
            }
            for track in response.tracks
        ]
        texts = [{"id": int(text.prompt_id), "text": ", ".join(text.phrases)} for text in response.text_prompts]
        texts += [{"id": int(item.prompt_id), "text": item.text} for item in response.instructions]
        return {"tracks": tracks, "looking_for": texts, "problem": self._view.problem}

    async def objects(self) -> dict[str, Any]:
        """Return the objects of the map, the latest seen first, for JSON. The value of `objects` is None without object_map_node."""
        if not self._tracker.has_map:
            return {"objects": None, "total": 0}
        async with self._objects_lock:
            if time.monotonic() - self._objects_at > OBJECTS_AGE_S:
                response = await self._response(self._tracker.objects(SHOWN_OBJECTS))
                items = remembered(response.objects, self.get_clock().now().nanoseconds)
                self._objects = {"objects": items, "total": int(response.total)}
                self._objects_at = time.monotonic()
            return self._objects

    @staticmethod
    async def _response(future: Future[Any]) -> Any:
        done, _ = await asyncio.wait([asyncio.wrap_future(future)], timeout=LIMIT_S + 2.0)  # the client's own limit is shorter
        if not done:
            raise RefusedError(HTTPStatus.GATEWAY_TIMEOUT, "no_answer", "web_node itself hangs: see its log")
        try:
            return done.pop().result()
        except TrackerError as error:
            status = HTTPStatus.GATEWAY_TIMEOUT if error.reason == "no_answer" else HTTPStatus.SERVICE_UNAVAILABLE
            raise RefusedError(status, error.reason, str(error)) from error

    def _report(self) -> None:
        counts = dict(self.server.counters)
        values = {
            "address": self.server.url,
            "connections": self.server.connections,
            "pictures_watched": self.pictures.watched,
            **{f"pictures_skipped_{reason}": count for reason, count in sorted(self._view.skipped.items())},
            **dict(sorted(counts.items())),
        }
        failed = counts.get("requests_failed", 0) > 0
        self._diagnostics.publish(
            DiagnosticStatus.WARN if failed else DiagnosticStatus.OK, "some requests failed" if failed else "serving", values
        )

    def destroy_node(self) -> None:
        """Close the server, then destroy the node."""
        self._tracker.close()
        self.server.close()
        super().destroy_node()


async def _is_done(future: Future[Any], limit_s: float) -> bool:
    """Return True if a future of another thread is done within some seconds. It goes on otherwise."""
    await asyncio.wait([asyncio.wrap_future(future)], timeout=limit_s)
    return future.done()


def main(args: list[str] | None = None) -> NoReturn:
    """Serve until the process is told to stop, then end it. The exit code is 1 if the node could not start."""
    check_command_line("web_node", "Serve a web page that shows the tracks and sends prompts.", PARAMETERS.rows, args)
    run_node("web_node", WebNode, args)
