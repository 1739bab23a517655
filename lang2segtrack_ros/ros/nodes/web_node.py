# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""`web_node`: a web page that shows the overlay and sends prompts from taps, boxes and words, also on a phone.

It uses only track_node's topics and services and loads no network.
"""

from __future__ import annotations

import concurrent.futures
import os
import threading
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
from lang2segtrack_ros.ros.outputs.diagnostics import Diagnostics
from lang2segtrack_ros.ros.services.tracker_client import LIMIT_S, TrackerClient, TrackerError
from lang2segtrack_ros.ros.support.command_line import check_command_line
from lang2segtrack_ros.ros.support.parameter_table import Parameter, ParameterTable, TableNode
from lang2segtrack_ros.ros.support.process import run_node
from lang2segtrack_ros.types.results import TrackStatus
from lang2segtrack_ros.viewers.web.access import Access, RefusedError
from lang2segtrack_ros.viewers.web.bodies import PagePrompt
from lang2segtrack_ros.viewers.web.pictures import Pictures
from lang2segtrack_ros.viewers.web.server import PageServer, TrackerResponse

TOKEN_VARIABLE = "LANG2SEGTRACK_WEB_TOKEN"
STATE_AGE_S = 0.3
"""Minimum time between two requests for the list of tracks, for any number of viewers."""

PARAMETERS = ParameterTable(
    (
        Parameter("address", "127.0.0.1", "IP address to listen on. An address that other machines reach, such as 0.0.0.0, needs a token."),
        Parameter("port", 8080, "TCP port to listen on. Set to 0 to use a free port, which the log shows.", 0, 65535),
        Parameter(
            "token",
            "",
            f"Secret that a browser must send to open the page. If empty, the environment variable {TOKEN_VARIABLE} is used.",
        ),
        Parameter("allowed_hosts", "", "More names of this machine in browsers, separated by commas. Its host name and IPs always work."),
        Parameter("max_rate", 15.0, "Maximum rate of images for each viewer in Hz.", 0.1, 120.0),
        Parameter("jpeg_quality", 80, "JPEG quality of the images. Lower values make them smaller.", 1, 100),
        Parameter("max_connections", 32, "Maximum number of connections. A browser opens up to six. Further ones are refused.", 1, 1000),
    )
)


class WebNode(TableNode, Node):
    """Node that serves the page from its creation until it is destroyed.

    Attributes:
        pictures: newest image for the viewers.
        server: HTTP server of the page.

    Raises:
        AccessError: the parameters would give everybody access.
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
        self._diagnostics = Diagnostics(self, "web page")
        self._state_lock = threading.Lock()
        self._state: dict[str, Any] = {}
        self._state_at = float("-inf")
        self.create_timer(
            0.25, lambda: self._view.update(self.pictures.watched), callback_group=group, clock=Clock(clock_type=ClockType.STEADY_TIME)
        )
        self.create_timer(1.0, self._report, callback_group=group, clock=Clock(clock_type=ClockType.STEADY_TIME))
        self.server.start()
        hint = ", followed by #token=..." if self.server.access.token else ""
        self.get_logger().info(f"the page is at {self.server.url}{hint}")

    def _value(self, name: str) -> Any:
        return self.get_parameter(name).value

    def _make_server(self) -> PageServer:
        hosts = frozenset(name.strip().lower() for name in self._value("allowed_hosts").split(",") if name.strip())
        access = Access(self._value("address"), self._value("token") or os.environ.get(TOKEN_VARIABLE, ""), hosts)
        return PageServer(self._value("port"), access, self, self._value("max_connections"))

    # Interface of `web.server.Robot`, called on the server's threads

    def prompt(self, prompt: PagePrompt) -> TrackerResponse:
        """Send a prompt and return the service's response."""
        response = self._wait(self._tracker.prompt(prompt))
        return TrackerResponse(response.success, response.message, tuple(int(number) for number in response.track_ids))

    def remove(self, kind: str, number: int) -> TrackerResponse:
        """Remove a track or a text prompt.

        Args:
            kind: "track_id" or "prompt_id".
            number: the id.
        """
        response = self._wait(self._tracker.remove(number) if kind == "track_id" else self._tracker.remove_text(number))
        return TrackerResponse(response.success, response.message)

    def state(self) -> dict[str, Any]:
        """Return tracks, text prompts and the current problem, for JSON."""
        with self._state_lock:  # callers that wait here share the first caller's response
            if time.monotonic() - self._state_at > STATE_AGE_S:
                self._state = self._request_state()
                self._state_at = time.monotonic()
            return self._state

    def _request_state(self) -> dict[str, Any]:
        try:
            response = self._wait(self._tracker.tracks())
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
        return {"tracks": tracks, "looking_for": texts, "problem": self._view.problem}

    @staticmethod
    def _wait(future: Future[Any]) -> Any:
        try:
            return future.result(LIMIT_S + 2.0)  # the client's own limit is shorter
        except TrackerError as error:
            status = HTTPStatus.GATEWAY_TIMEOUT if error.reason == "no_answer" else HTTPStatus.SERVICE_UNAVAILABLE
            raise RefusedError(status, error.reason, str(error)) from error
        except (TimeoutError, concurrent.futures.TimeoutError) as error:  # two classes before Python 3.11
            raise RefusedError(HTTPStatus.GATEWAY_TIMEOUT, "no_answer", "web_node itself hangs: see its log") from error

    def _report(self) -> None:
        counts = self.server.counts()
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


def main(args: list[str] | None = None) -> NoReturn:
    """Serve until the process is told to stop, then end it. The exit code is 1 if the node could not start."""
    check_command_line("web_node", "Serve a web page that shows the tracks and sends prompts.", PARAMETERS.rows, args)
    run_node("web_node", WebNode, args)
