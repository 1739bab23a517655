# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""ROS graph for tests of the web page: toy camera, track_node and web_node as processes, an HTTP client, and ground truth."""

from __future__ import annotations

import contextlib
import json
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import QoSProfile
from sensor_msgs.msg import Image

from lang2segtrack.msg import TrackArray
from lang2segtrack_ros.io.image_messages import stamp_ns
from lang2segtrack_ros.ros.support.process import spin_until
from lang2segtrack_ros.toyworld.demo import REMAPPINGS
from lang2segtrack_ros.toyworld.graph import Processes, executable, isolated_environment
from lang2segtrack_ros.types.rle import Rle
from test.conftest import iou

TOKEN = "a-token-nobody-guesses"
REMAP = [argument for rule in REMAPPINGS for argument in ("-r", rule)]
SIZE = (320, 240)


@dataclass(frozen=True)
class Reply:
    """HTTP response."""

    status: int
    headers: Message
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Page:
    """HTTP client of a web node, without a proxy."""

    def __init__(self, url: str, token: str = "") -> None:
        self.url = url
        self.token = token
        self.opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def ask(self, path: str, body: Any = None, headers: dict[str, str] | None = None, method: str | None = None) -> Reply:
        """Send GET, or POST with a JSON value or bytes."""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        all_headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        all_headers |= {"Content-Type": "application/json"} if data is not None else {}
        request = urllib.request.Request(self.url + path, data, {**all_headers, **(headers or {})}, method=method)
        try:
            with self.opener.open(request, timeout=60) as response:
                return Reply(response.status, response.headers, response.read())
        except urllib.error.HTTPError as error:
            return Reply(error.code, error.headers, error.read())

    def state(self) -> Any:
        """Return the current state. The pause is longer than the time for which web_node caches a state."""
        time.sleep(0.4)
        return self.ask("api/state").json

    def tracks(self) -> dict[int, dict[str, Any]]:
        """Return the tracks of the state by id."""
        return {track["id"]: track for track in self.state()["tracks"]}

    def find(self, label: str) -> int:
        """Wait for an object with a label and return its id. On a busy machine, a prompt is answered before its image arrives."""
        end = time.monotonic() + 60
        while time.monotonic() < end:
            for number, track in self.tracks().items():
                if track["label"] == label:
                    return number
        raise AssertionError(f"no object has the label {label}")

    def clear(self) -> None:
        """Remove all tracks and text prompts, also objects from a detection that was still running."""
        while (state := self.state())["tracks"] or state["looking_for"]:
            for text in state["looking_for"]:
                self.ask("api/remove", {"prompt_id": text["id"]})
            for track in state["tracks"]:
                self.ask("api/remove", {"track_id": track["id"]})


class GraphObserver:
    """Subscriber of tracks, ground truth and diagnostics."""

    def __init__(self, domain: int) -> None:
        self.context = rclpy.Context()
        rclpy.init(context=self.context, domain_id=domain)
        self.node = rclpy.create_node("observer", context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.truth: dict[int, np.ndarray] = {}
        self.tracks: dict[int, TrackArray] = {}
        self.counts: dict[str, str] = {}
        for kind, topic, callback in (
            (Image, "/camera/camera/truth/instances", self._on_truth),
            (TrackArray, "tracks", self._on_tracks),
            (DiagnosticArray, "/diagnostics", self._on_diagnostics),
        ):
            self.node.create_subscription(kind, topic, callback, QoSProfile(depth=30))

    def _on_truth(self, msg: Image) -> None:
        self.truth[stamp_ns(msg.header.stamp)] = np.frombuffer(msg.data, "<u2").reshape(msg.height, msg.width)

    def _on_tracks(self, msg: TrackArray) -> None:
        self.tracks[stamp_ns(msg.header.stamp)] = msg

    def _on_diagnostics(self, msg: DiagnosticArray) -> None:
        for status in msg.status:
            if status.name.endswith("web page"):
                self.counts = {item.key: item.value for item in status.values}

    def until(self, condition: Callable[[], bool], seconds: float = 60.0) -> bool:
        """Spin until a condition holds. Return True if it holds in time."""
        return spin_until(self.executor, seconds, condition)

    def box_of(self, body: int) -> tuple[float, float, float, float]:
        """Return the box of a body on the next image. Older images may still be queued."""
        now = self.node.get_clock().now().nanoseconds
        assert self.until(lambda: max(self.truth, default=0) >= now)
        rows, columns = np.nonzero(self.truth[max(self.truth)] == body)
        return float(columns.min()), float(rows.min()), float(columns.max() + 1), float(rows.max() + 1)

    def follows_body(self, track_id: int, body: int) -> bool:
        """Return True if a track covers a body within the time limit."""

        def overlaps() -> bool:
            for stamp in sorted(set(self.tracks) & set(self.truth)):
                truth, tracks = self.truth.pop(stamp) == body, self.tracks.pop(stamp).tracks
                masks = [track.mask for track in tracks if track.id == track_id and track.mask.counts]
                if any(iou(Rle(mask.height, mask.width, mask.counts).decode(), truth) > 0.5 for mask in masks):
                    return True
            return False

        return self.until(overlaps)

    def close(self) -> None:
        self.executor.shutdown()
        self.node.destroy_node()
        rclpy.try_shutdown(context=self.context)


def page_of(processes: Processes, name: str, token: str = "") -> Page:
    """Wait until a started web node serves, and return a client of its page."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        found = re.search(r"the page is at (\S+/)", processes.log(name))
        if found:
            return Page(found[1], token)
        processes.check()
        time.sleep(0.1)
    raise AssertionError(f"{name} did not start: {processes.log(name)}")


@dataclass(frozen=True)
class PageGraph:
    """Running graph with a client and an observer."""

    page: Page
    observer: GraphObserver
    processes: Processes


@contextlib.contextmanager
def page_graph(logs: Path, *, token: str = TOKEN, fps: float = 6.0, size: tuple[int, int] = SIZE) -> Iterator[PageGraph]:
    """Start camera, tracker and page. Continue after tracks are published."""
    with isolated_environment() as environment, Processes(environment, logs) as processes:
        stream = ["-p", f"fps:={fps}", "-p", f"width:={size[0]}", "-p", f"height:={size[1]}"]
        processes.start("camera", [*executable("toy_camera"), "--ros-args", *stream])
        toy = ["-p", "segmenter:=toy", "-p", "detector:=toy", "-p", "device:=cpu"]
        processes.start("track_node", [*executable("track_node"), "--ros-args", *toy, *REMAP])
        arguments = ["-p", "port:=0", *(["-p", f"token:={token}"] if token else [])]
        processes.start("web_node", [*executable("web_node"), "--ros-args", *arguments, *REMAP])
        observer = GraphObserver(int(environment["ROS_DOMAIN_ID"]))
        try:
            page = page_of(processes, "web_node", token)
            assert observer.until(lambda: bool(observer.tracks), 120.0), processes.log("track_node")
            yield PageGraph(page, observer, processes)
            processes.check()
        finally:
            observer.close()
