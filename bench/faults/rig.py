# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""A camera and a listener around a track_node process: shows it the toy world, injects faults, and measures what comes of them."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from numpy.typing import NDArray
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from std_srvs.srv import Trigger

from bench.faults.node import FOLDER
from lang2segtrack.msg import Track, TrackArray
from lang2segtrack.srv import AddBoxPrompt
from lang2segtrack_ros.io.image_messages import stamp_ns
from lang2segtrack_ros.ros.support.conversions import MESSAGES
from lang2segtrack_ros.toyworld.graph import Processes, isolated_environment
from lang2segtrack_ros.toyworld.scene import demo_scene
from lang2segtrack_ros.types.rle import Rle

TOY = ("-p", "segmenter:=toy", "-p", "detector:=toy", "-p", "device:=cpu", "-p", "use_depth:=false", "-p", "no_image_warn_s:=1.0")
PERIOD_S = 0.2
GOOD_IOU = 0.5
BODIES = 3
LOOP = 40


@dataclass(frozen=True)
class Shown:
    """An image that was shown: when (monotonic), and its number in the scene."""

    at: float
    index: int


@dataclass(frozen=True)
class Usage:
    """What the node's process holds."""

    threads: int
    files: int
    resident_mb: float


class Rig:
    """See the module. Made by `rig`.

    Attributes:
        processes: the node's process and others.
        faults: folder of the faults that wait to happen.
        heard: tracks by the stamp of their image, and when they came.
        words: what /diagnostics said last: its message, and its values.
        stamp_ns: of the image shown last; a clock jump changes it.
    """

    def __init__(self, environment: dict[str, str], processes: Processes, faults: Path) -> None:
        self.environment = environment
        self.processes = processes
        self.faults = faults
        self.scene = demo_scene(320, 240)
        self.frames = [self.scene.render(index) for index in range(LOOP)]
        self.index = 0
        self.stamp_ns = 1_000_000_000_000
        self.shown: dict[int, Shown] = {}
        self.heard: dict[int, tuple[float, TrackArray]] = {}
        self.said = ""
        self.values: dict[str, str] = {}
        self.ids: dict[int, int] = {}  # track id -> body
        self._context = rclpy.Context()
        rclpy.init(context=self._context, domain_id=int(environment["ROS_DOMAIN_ID"]))
        self.node = rclpy.create_node("outsider", context=self._context)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        self.node.create_subscription(TrackArray, "tracks", self._hear, QoSProfile(depth=50))
        self.node.create_subscription(DiagnosticArray, "/diagnostics", self._listen, QoSProfile(depth=10))
        self._clients: dict[str, Any] = {}
        self.camera: Any = None
        self.plug_in()

    def plug_in(self, reliability: ReliabilityPolicy = ReliabilityPolicy.RELIABLE) -> None:
        """A camera's publisher appears."""
        self.camera = self.node.create_publisher(Image, "color/image_raw", QoSProfile(depth=2, reliability=reliability))

    def pull_out(self) -> None:
        """It goes."""
        self.node.destroy_publisher(self.camera)

    def _hear(self, message: TrackArray) -> None:
        self.heard[stamp_ns(message.header.stamp)] = (time.monotonic(), message)

    def _listen(self, message: DiagnosticArray) -> None:
        for status in message.status:
            self.said = status.message
            self.values = {item.key: item.value for item in status.values}

    def spin(self, seconds: float, until: Callable[[], bool] = lambda: False) -> bool:
        """Lets messages come for so long, or until something is true; whether it is."""
        end = time.monotonic() + seconds
        while not until() and time.monotonic() < end:
            self._executor.spin_once(timeout_sec=0.02)
        return until()

    def show(self, pixels: NDArray[np.uint8] | None = None, encoding: str = "rgb8", message: Any = None) -> int:
        """Shows the next image of the scene, or another in its place; its stamp."""
        self.stamp_ns += int(PERIOD_S * 1e9)
        header = Header(frame_id="eye")
        header.stamp.sec, header.stamp.nanosec = divmod(self.stamp_ns, 1_000_000_000)
        color = self.frames[self.index % LOOP].color if pixels is None else pixels
        message = MESSAGES.image(color, encoding, header) if message is None else message
        self.shown[self.stamp_ns] = Shown(time.monotonic(), self.index % LOOP)
        self.camera.publish(message)
        return self.stamp_ns

    def run(self, seconds: float, change: Callable[[NDArray[np.uint8]], tuple[NDArray[np.uint8], str]] | None = None) -> None:
        """The world goes on for so long; `change` makes pixels and encoding of what is shown from RGB."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.index += 1
            color = self.frames[self.index % LOOP].color
            self.show(*(change(color) if change is not None else (color, "rgb8")))
            self.spin(PERIOD_S)

    def good(self, stamp: int) -> bool:
        """Whether all objects were found on an image, under their ids and where they are."""
        if stamp not in self.heard or stamp not in self.shown:
            return False
        instances = self.frames[self.shown[stamp].index].instances
        found = {}
        for track in self.heard[stamp][1].tracks:
            mask = Rle(track.mask.height, track.mask.width, track.mask.counts).decode()
            rows = np.linspace(0, mask.shape[0] - 1, instances.shape[0]).round().astype(int)
            columns = np.linspace(0, mask.shape[1] - 1, instances.shape[1]).round().astype(int)
            truth = instances == self.ids.get(track.id, -1)
            mask = mask[np.ix_(rows, columns)]
            found[track.id] = np.count_nonzero(mask & truth) / max(1, int(np.count_nonzero(mask | truth)))
        visible = [track_id for track_id, body in self.ids.items() if np.count_nonzero(instances == body) > 100]
        return all(found.get(track_id, 0.0) >= GOOD_IOU for track_id in visible)

    def recover(self, since: float, limit_s: float = 30.0) -> float:
        """The world goes on until all objects are found again; seconds since a time, infinity when they never are."""
        while time.monotonic() - since < limit_s:
            self.run(PERIOD_S)
            good = [
                at for stamp, (at, _) in self.heard.items() if at > since and self.shown[stamp].at >= since - PERIOD_S and self.good(stamp)
            ]
            if good:
                return min(good) - since
        return float("inf")

    def lost(self, since: float) -> tuple[int, int]:
        """How many images shown since a time got no answer, and how many were shown."""
        stamps = [stamp for stamp, shown in self.shown.items() if shown.at >= since]
        return sum(stamp not in self.heard for stamp in stamps), len(stamps)

    def ask(self, kind: Any, name: str, **fields: Any) -> Any:
        """Calls a service; its future."""
        client = self._client(kind, name)
        return client.call_async(kind.Request(**fields))

    def call(self, kind: Any, name: str, limit_s: float = 30.0, **fields: Any) -> Any:
        """Calls a service while the world goes on; its answer. Raises TimeoutError when there is none."""
        future = self.ask(kind, name, **fields)
        end = time.monotonic() + limit_s
        while not future.done():
            if time.monotonic() > end:
                raise TimeoutError(f"{name} did not answer within {limit_s:g} s")
            self.run(PERIOD_S)
        return future.result()

    def _client(self, kind: Any, name: str) -> Any:
        if name not in self._clients:
            self._clients[name] = self.node.create_client(kind, name, qos_profile=QoSProfile(depth=2000))
        if not self.spin(60.0, self._clients[name].service_is_ready):
            raise TimeoutError(f"{name} is not offered")
        return self._clients[name]

    def begin(self) -> None:
        """Forgets what was, and points at the objects."""
        self.call(Trigger, "reset")
        self.ids.clear()
        self.shown.clear()
        self.heard.clear()
        self.index = 0
        future_of = {}
        stand = self.frames[0]
        for body in range(1, BODIES + 1):
            rows, columns = np.nonzero(stand.instances == body)
            box = {"x_min": columns.min(), "y_min": rows.min(), "x_max": columns.max() + 1, "y_max": rows.max() + 1}
            corners = {key: float(at) for key, at in box.items()}
            future_of[f"body {body}"] = body, self.ask(AddBoxPrompt, "add_box_prompt", label=f"body {body}", **corners)
        end = time.monotonic() + 60.0
        while len(self.ids) < BODIES and time.monotonic() < end:
            self.show(stand.color)
            self.spin(PERIOD_S)
            # The services answer "kept" without ids on a machine too busy to answer with an image soon.
            heard = [message for stamp, (_, message) in self.heard.items() if stamp in self.shown]
            found = [track for message in heard for track in message.tracks if track.state != Track.REMOVED]
            self.ids = {track.id: future_of[track.label][0] for track in found if track.label in future_of}
        refused = [future.result().message for _, future in future_of.values() if future.done() and not future.result().success]
        if refused or len(self.ids) < BODIES:
            raise RuntimeError(f"only {len(self.ids)} of {BODIES} objects are there after 60 s; refused: {refused}")
        self.run(1.0)

    def inject(self, fault: str, number: float = 1) -> None:
        """Lays a fault where the node's process finds it; see `faults.node`."""
        waiting = self.faults / f".{fault}"
        waiting.write_text(str(number))
        waiting.rename(self.faults / fault)

    def mend(self, fault: str) -> None:
        """Takes it away."""
        (self.faults / fault).unlink(missing_ok=True)

    def usage(self) -> Usage:
        """What the node's process holds now."""
        folder = Path(f"/proc/{self.process.pid}")
        status = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines())
        return Usage(int(status["Threads"]), len(list((folder / "fd").iterdir())), int(status["VmRSS"].split()[0]) / 1024)

    def start(self, name: str, arguments: Sequence[str]) -> Any:
        """Starts the node's process."""
        self.process = self.processes.start(name, [sys.executable, "-m", "bench.faults.node", "--ros-args", *TOY, *arguments])
        return self.process

    def close(self) -> None:
        """Leaves the graph."""
        self._executor.shutdown()
        self.node.destroy_node()
        rclpy.try_shutdown(context=self._context)


@contextlib.contextmanager
def rig(logs: Path, *arguments: str) -> Iterator[Rig]:
    """A node with toy networks on a graph of its own, and the rig around it, ready."""
    faults = logs / "faults"
    faults.mkdir(parents=True, exist_ok=True)
    with isolated_environment() as environment:
        environment[FOLDER] = str(faults)
        with Processes(environment, logs) as processes:
            around = Rig(environment, processes, faults)
            around.start("track_node", arguments)
            try:
                around.call(Trigger, "reset", limit_s=120.0)
                yield around
            finally:
                around.close()
