# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""`prompt_window`: a desktop window that shows a running track_node and sends prompts. It uses only track_node's topics and services."""

from __future__ import annotations

import signal
import sys
import threading
import time
import tkinter as tk
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any

import numpy as np
import rclpy
from numpy.typing import NDArray
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from lang2segtrack_ros.ros.inputs.live_view import CAMERA, LiveView
from lang2segtrack_ros.ros.inputs.tracked_pixels import TrackedPixels
from lang2segtrack_ros.ros.services.tracker_client import TrackerClient, ViewerPrompt
from lang2segtrack_ros.ros.support.command_line import check_command_line
from lang2segtrack_ros.ros.support.parameter_table import Parameter, ParameterTable, TableNode
from lang2segtrack_ros.ros.support.process import spin
from lang2segtrack_ros.types.results import TrackStatus
from lang2segtrack_ros.viewers.window import NO_DISPLAY, PromptWindow, Row

PARAMETERS = ParameterTable((Parameter("max_rate", 20.0, "Maximum rate of shown images in Hz.", 0.1, 120.0),))


class WindowNode(TableNode, Node):
    """ROS side of the window, see `window.Tracker`. Spins on a thread of its own.

    Attributes:
        newest: newest image, RGB uint8 [H, W, 3]. None before the first.
        view: source of the images.
    """

    table = PARAMETERS

    def __init__(self, node_name: str = "prompt_window", **kwargs: Any) -> None:
        super().__init__(node_name, **kwargs)
        PARAMETERS.declare(self, read_only=True)
        PARAMETERS.warn_unknown_parameters(self)
        self.newest: NDArray[np.uint8] | None = None
        self._source = ""
        self._client = TrackerClient(self)
        self._period = 1.0 / self.get_parameter("max_rate").value
        self._shown_at = float("-inf")
        group = MutuallyExclusiveCallbackGroup()
        self.view = LiveView(self, group, lambda: time.monotonic() - self._shown_at >= self._period, self._show)
        self._pixels = TrackedPixels(self, group)
        self.create_timer(0.25, self._subscribe, callback_group=group, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def _subscribe(self) -> None:
        self.view.update(True)
        self._pixels.update(True)

    def _show(self, color: NDArray[np.uint8], source: str) -> None:
        self._shown_at = time.monotonic()
        self.newest, self._source = color, source

    @property
    def problem(self) -> str:
        """Reason why no overlay arrives. Empty if overlays arrive."""
        return self.view.problem or ("no overlay arrives: this is the camera's image" if self._source == CAMERA else "")

    def prompt(self, prompt: ViewerPrompt) -> Future[Any]:
        """Send a prompt. The future gets the service's response or a TrackerError. A tap on a tracked object only names it."""
        response = self._pixels.response(prompt)
        if response is None:
            return self._client.prompt(prompt)
        answered: Future[Any] = Future()
        answered.set_result(response)
        return answered

    def remove(self, track_id: int) -> Future[Any]:
        """Remove a track. The future gets the service's response or a TrackerError."""
        return self._client.remove(track_id)

    def tracks(self) -> Future[Sequence[Row]]:
        """List the tracks. The future gets their rows or a TrackerError."""
        rows: Future[Sequence[Row]] = Future()

        def on_response(response: Future[Any]) -> None:
            error = response.exception()
            if error is not None:
                rows.set_exception(error)
                return
            listed = response.result().tracks
            rows.set_result([Row(int(t.id), t.label, TrackStatus(t.state), t.score, t.bbox.size_x > 0) for t in listed])

        self._client.tracks().add_done_callback(on_response)
        return rows

    def destroy_node(self) -> None:
        """Fail the open requests, then destroy the node."""
        self._client.close()
        super().destroy_node()


def main(args: list[str] | None = None) -> int:
    """Show the window until it is closed or the process is told to stop.

    Args:
        args: command line.

    Returns:
        exit code: 0, 3 without a display, or 1 if the node could not start.
    """
    check_command_line("prompt_window", "Open a window that shows the tracks and sends prompts.", PARAMETERS.rows, args)
    try:
        root = tk.Tk()
    except tk.TclError as error:
        print(
            f"prompt_window needs a display, and there is none ({error}): run it on a machine with a screen, or use the web page instead "
            "(ros2 run lang2segtrack web_node)",
            file=sys.stderr,
        )
        return NO_DISPLAY
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    try:
        rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
        node = WindowNode()
    except Exception as error:  # a wrong command line or parameter type; rclpy has many exception classes
        print(f"prompt_window could not start: {error}", file=sys.stderr)
        rclpy.try_shutdown()
        return 1
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    spinning = threading.Thread(target=spin, args=(executor,), name="lang2segtrack-ros", daemon=True)
    spinning.start()
    PromptWindow(root, node, lambda: stop.is_set() or not rclpy.ok())
    root.mainloop()
    executor.shutdown()
    rclpy.try_shutdown()
    spinning.join()
    node.destroy_node()
    return 0
