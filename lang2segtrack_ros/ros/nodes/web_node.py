# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""`web_node`: a web page to look at the overlay and to prompt with taps, boxes and words, also from a phone.

It knows track_node only by its topics and services, and loads no network.
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
from lang2segtrack_ros.ros.support.parameter_table import Parameter, ParameterTable
from lang2segtrack_ros.ros.support.process import run_node
from lang2segtrack_ros.types.results import TrackStatus
from lang2segtrack_ros.viewers.web.access import Access, RefusedError
from lang2segtrack_ros.viewers.web.bodies import PagePrompt
from lang2segtrack_ros.viewers.web.pictures import Pictures
from lang2segtrack_ros.viewers.web.server import Answer, PageServer

TOKEN_VARIABLE = "LANG2SEGTRACK_WEB_TOKEN"
STATE_AGE_S = 0.3
"""The list of tracks is asked for at most this often, however many look."""

PARAMETERS = ParameterTable(
    (
        Parameter("address", "127.0.0.1", "IP address to listen on; one that other machines reach, such as 0.0.0.0, needs a token."),
        Parameter("port", 8080, "TCP port to listen on; 0 takes a free one and tells it in the log.", 0, 65535),
        Parameter("token", "", f"What whoever opens the page must know; empty takes {TOKEN_VARIABLE} from the environment, if set."),
        Parameter("allowed_hosts", "", "Names of this machine in browsers, beside its host name and IP addresses, with commas between."),
        Parameter("max_rate", 15.0, "Pictures a second at most, for each viewer.", 0.1, 120.0),
        Parameter("jpeg_quality", 80, "Quality of the pictures; less is smaller.", 1, 100),
        Parameter("max_connections", 32, "More connections are turned away; a browser takes up to six.", 1, 1000),
    )
)


class WebNode(Node):
    """Serves the page from when it is made until it is destroyed.

    Raises:
        AccessError: parameters that would let strangers in.
        OSError: the address or port cannot be had.
    """

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
            0.25, lambda: self._view.follow(self.pictures.watched), callback_group=group, clock=Clock(clock_type=ClockType.STEADY_TIME)
        )
        self.create_timer(1.0, self._report, callback_group=group, clock=Clock(clock_type=ClockType.STEADY_TIME))
        self.server.start()
        needed = ", with #token=... behind it" if self.server.access.token else ""
        self.get_logger().info(f"the page is at {self.server.url}{needed}")

    def _value(self, name: str) -> Any:
        return self.get_parameter(name).value

    def _make_server(self) -> PageServer:
        hosts = frozenset(name.strip().lower() for name in self._value("allowed_hosts").split(",") if name.strip())
        access = Access(self._value("address"), self._value("token") or os.environ.get(TOKEN_VARIABLE, ""), hosts)
        return PageServer(self._value("port"), access, self, self._value("max_connections"))

    # See `web.server.Robot`; on the server's threads

    def prompt(self, prompt: PagePrompt) -> Answer:
        """Asks for objects."""
        response = self._wait(self._tracker.prompt(prompt))
        return Answer(response.success, response.message, tuple(int(number) for number in response.track_ids))

    def remove(self, kind: str, number: int) -> Answer:
        """Forgets an object or what is looked for."""
        response = self._wait(self._tracker.remove(number) if kind == "track_id" else self._tracker.remove_text(number))
        return Answer(response.success, response.message)

    def state(self) -> dict[str, Any]:
        """What is tracked and looked for, and what is wrong."""
        with self._state_lock:  # who waits here takes the answer of who was first
            if time.monotonic() - self._state_at > STATE_AGE_S:
                self._state = self._ask_state()
                self._state_at = time.monotonic()
            return self._state

    def _ask_state(self) -> dict[str, Any]:
        try:
            listed = self._wait(self._tracker.tracks())
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
            for track in listed.tracks
        ]
        texts = [{"id": int(text.prompt_id), "text": ", ".join(text.phrases)} for text in listed.text_prompts]
        return {"tracks": tracks, "looking_for": texts, "problem": self._view.problem}

    @staticmethod
    def _wait(future: Future[Any]) -> Any:
        try:
            return future.result(LIMIT_S + 2.0)  # the client gives up before
        except TrackerError as error:
            status = HTTPStatus.GATEWAY_TIMEOUT if error.reason == "no_answer" else HTTPStatus.SERVICE_UNAVAILABLE
            raise RefusedError(status, error.reason, str(error)) from error
        except (TimeoutError, concurrent.futures.TimeoutError) as error:  # two classes before Python 3.11
            raise RefusedError(HTTPStatus.GATEWAY_TIMEOUT, "no_answer", "web_node itself is stuck: see its log") from error

    def _report(self) -> None:
        counts = self.server.counts()
        values = {
            "address": self.server.url,
            "connections": self.server.connections,
            "pictures_watched": self.pictures.watched,
            **{f"pictures_skipped_{reason}": count for reason, count in sorted(self._view.skipped.items())},
            **dict(sorted(counts.items())),
        }
        failed = counts.get("failed", 0) > 0
        self._diagnostics.publish(
            DiagnosticStatus.WARN if failed else DiagnosticStatus.OK, "some requests failed" if failed else "serving", values
        )

    def destroy_node(self) -> None:
        """Ends the server, then the node."""
        self._tracker.close()
        self.server.close()
        super().destroy_node()


def main(args: list[str] | None = None) -> NoReturn:
    """Serves until it is told to stop, and ends the process; exit code 1 when it could not start."""
    run_node("web_node", WebNode, args)
