# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Test rig around a track_node process: it publishes the toy world, injects faults, and measures their effect."""

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
from lang2segtrack_ros.ros.support.process import spin_until
from lang2segtrack_ros.toyworld.graph import Processes, isolated_environment
from lang2segtrack_ros.toyworld.scene import demo_scene
from lang2segtrack_ros.types.rle import Rle

TOY = ("-p", "segmenter:=toy", "-p", "detector:=toy", "-p", "device:=cpu", "-p", "use_depth:=false", "-p", "no_image_warn_s:=1.0")
PERIOD_S = 0.2
MIN_IOU = 0.5
BODIES = 3
LOOP_FRAMES = 40


@dataclass(frozen=True)
class ShownImage:
    """Published image: monotonic time of publication, and index in the scene."""

    at: float
    index: int


@dataclass(frozen=True)
class Usage:
    """Resources of the node's process: threads, open files and resident memory in MB."""

    threads: int
    files: int
    resident_mb: float


class Rig:
    """Camera, client and fault injector for one track_node process. `rig` creates it.

    Attributes:
        environment: environment variables of the graph.
        processes: the node's process and others.
        faults: folder of the pending faults.
        shown: published images by stamp.
        received: time of reception and tracks, by the stamp of the image.
        status_message, values: message and values of the latest diagnostics.
        ids: body number of each track id.
        stamp_ns: stamp of the latest published image; a clock jump changes it.
    """

    def __init__(self, environment: dict[str, str], processes: Processes, faults: Path) -> None:
        self.environment = environment
        self.processes = processes
        self.faults = faults
        self.scene = demo_scene(320, 240)
        self.frames = [self.scene.render(index) for index in range(LOOP_FRAMES)]
        self.index = 0
        self.stamp_ns = 1_000_000_000_000
        self.shown: dict[int, ShownImage] = {}
        self.received: dict[int, tuple[float, TrackArray]] = {}
        self.status_message = ""
        self.values: dict[str, str] = {}
        self.ids: dict[int, int] = {}
        self._context = rclpy.Context()
        rclpy.init(context=self._context, domain_id=int(environment["ROS_DOMAIN_ID"]))
        self.node = rclpy.create_node("outsider", context=self._context)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        self.node.create_subscription(TrackArray, "tracks", self._on_tracks, QoSProfile(depth=50))
        self.node.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, QoSProfile(depth=10))
        self._clients: dict[str, Any] = {}
        self.camera: Any = None
        self.connect_camera()

    def connect_camera(self, reliability: ReliabilityPolicy = ReliabilityPolicy.RELIABLE) -> None:
        """Create the camera's publisher."""
        self.camera = self.node.create_publisher(Image, "color/image_raw", QoSProfile(depth=2, reliability=reliability))

    def disconnect_camera(self) -> None:
        """Destroy the camera's publisher."""
        self.node.destroy_publisher(self.camera)

    def _on_tracks(self, message: TrackArray) -> None:
        self.received[stamp_ns(message.header.stamp)] = (time.monotonic(), message)

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            self.status_message = status.message
            self.values = {item.key: item.value for item in status.values}

    def spin(self, seconds: float, until: Callable[[], bool] = lambda: False) -> bool:
        """Process messages for some seconds, or until a condition holds.

        Args:
            seconds: longest time to wait.
            until: condition that ends the wait early.

        Returns:
            True when the condition holds.
        """
        return spin_until(self._executor, seconds, until)

    def show(self, pixels: NDArray[np.uint8] | None = None, encoding: str = "rgb8", message: Any = None) -> int:
        """Publish the next image of the scene, or another in its place.

        Args:
            pixels: image to publish; None selects the scene's image.
            encoding: encoding of the message.
            message: message to publish instead.

        Returns:
            The stamp of the image.
        """
        self.stamp_ns += int(PERIOD_S * 1e9)
        header = Header(frame_id="eye")
        header.stamp.sec, header.stamp.nanosec = divmod(self.stamp_ns, 1_000_000_000)
        color = self.frames[self.index % LOOP_FRAMES].color if pixels is None else pixels
        message = MESSAGES.image(color, encoding, header) if message is None else message
        self.shown[self.stamp_ns] = ShownImage(time.monotonic(), self.index % LOOP_FRAMES)
        self.camera.publish(message)
        return self.stamp_ns

    def run(self, seconds: float, change: Callable[[NDArray[np.uint8]], tuple[NDArray[np.uint8], str]] | None = None) -> None:
        """Publish the scene for some seconds.

        Args:
            seconds: duration.
            change: converts an RGB image to the pixels and encoding to publish.
        """
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.index += 1
            color = self.frames[self.index % LOOP_FRAMES].color
            self.show(*(change(color) if change is not None else (color, "rgb8")))
            self.spin(PERIOD_S)

    def all_found(self, stamp: int) -> bool:
        """Return True when every visible object was found on an image, with its id and at its position."""
        if stamp not in self.received or stamp not in self.shown:
            return False
        instances = self.frames[self.shown[stamp].index].instances
        found = {}
        for track in self.received[stamp][1].tracks:
            mask = Rle(track.mask.height, track.mask.width, track.mask.counts).decode()
            rows = np.linspace(0, mask.shape[0] - 1, instances.shape[0]).round().astype(int)
            columns = np.linspace(0, mask.shape[1] - 1, instances.shape[1]).round().astype(int)
            truth = instances == self.ids.get(track.id, -1)
            mask = mask[np.ix_(rows, columns)]
            found[track.id] = np.count_nonzero(mask & truth) / max(1, int(np.count_nonzero(mask | truth)))
        visible = [track_id for track_id, body in self.ids.items() if np.count_nonzero(instances == body) > 100]
        return all(found.get(track_id, 0.0) >= MIN_IOU for track_id in visible)

    def wait_for_recovery(self, since: float, limit_s: float = 30.0) -> float:
        """Publish the scene until all objects are found again.

        Args:
            since: monotonic time of the end of the fault.
            limit_s: longest time to wait.

        Returns:
            Seconds from `since` to the first image with all objects; infinity without such an image.
        """
        while time.monotonic() - since < limit_s:
            self.run(PERIOD_S)
            all_found = [
                at
                for stamp, (at, _) in self.received.items()
                if at > since and self.shown[stamp].at >= since - PERIOD_S and self.all_found(stamp)
            ]
            if all_found:
                return min(all_found) - since
        return float("inf")

    def count_lost(self, since: float) -> tuple[int, int]:
        """Return how many images since a time have no result, and how many were published."""
        stamps = [stamp for stamp, shown in self.shown.items() if shown.at >= since]
        return sum(stamp not in self.received for stamp in stamps), len(stamps)

    def ask(self, kind: Any, name: str, **fields: Any) -> Any:
        """Call a service. Return the future."""
        client = self._client(kind, name)
        return client.call_async(kind.Request(**fields))

    def call(self, kind: Any, name: str, limit_s: float = 30.0, **fields: Any) -> Any:
        """Call a service while the scene continues.

        Args:
            kind: class of the service.
            name: name of the service.
            limit_s: longest time to wait.
            **fields: fields of the request.

        Returns:
            The response.

        Raises:
            TimeoutError: The service did not answer in time.
        """
        future = self.ask(kind, name, **fields)
        end = time.monotonic() + limit_s
        while not future.done():
            if time.monotonic() > end:
                raise TimeoutError(f"service {name} did not answer within {limit_s:g} s")
            self.run(PERIOD_S)
        return future.result()

    def _client(self, kind: Any, name: str) -> Any:
        if name not in self._clients:
            self._clients[name] = self.node.create_client(kind, name, qos_profile=QoSProfile(depth=2000))
        if not self.spin(60.0, self._clients[name].service_is_ready):
            raise TimeoutError(f"service {name} is not available")
        return self._clients[name]

    def begin(self) -> None:
        """Reset the node and add a box prompt for each body.

        Raises:
            RuntimeError: Not all objects have a track after 60 s.
        """
        self.call(Trigger, "reset")
        self.ids.clear()
        self.shown.clear()
        self.received.clear()
        self.index = 0
        body_and_future = {}
        first_frame = self.frames[0]
        for body in range(1, BODIES + 1):
            rows, columns = np.nonzero(first_frame.instances == body)
            box = {"x_min": columns.min(), "y_min": rows.min(), "x_max": columns.max() + 1, "y_max": rows.max() + 1}
            corners = {key: float(at) for key, at in box.items()}
            body_and_future[f"body {body}"] = body, self.ask(AddBoxPrompt, "add_box_prompt", label=f"body {body}", **corners)
        end = time.monotonic() + 60.0
        while len(self.ids) < BODIES and time.monotonic() < end:
            self.show(first_frame.color)
            self.spin(PERIOD_S)
            # On a busy machine the services answer "kept" without ids, so the tracks are read from the topic.
            received = [message for stamp, (_, message) in self.received.items() if stamp in self.shown]
            found = [track for message in received for track in message.tracks if track.state != Track.REMOVED]
            self.ids = {track.id: body_and_future[track.label][0] for track in found if track.label in body_and_future}
        refused = [future.result().message for _, future in body_and_future.values() if future.done() and not future.result().success]
        if refused or len(self.ids) < BODIES:
            raise RuntimeError(f"only {len(self.ids)} of {BODIES} objects have a track after 60 s; refused prompts: {refused}")
        self.run(1.0)

    def inject(self, fault: str, number: float = 1) -> None:
        """Create the file of a fault, see `faults.node`.

        Args:
            fault: name of the fault.
            number: count or threshold of the fault.
        """
        hidden_file = self.faults / f".{fault}"
        hidden_file.write_text(str(number))
        hidden_file.rename(self.faults / fault)

    def clear_fault(self, fault: str) -> None:
        """Remove the file of a fault."""
        (self.faults / fault).unlink(missing_ok=True)

    def usage(self) -> Usage:
        """Return the resources of the node's process."""
        folder = Path(f"/proc/{self.process.pid}")
        status = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines())
        return Usage(int(status["Threads"]), len(list((folder / "fd").iterdir())), int(status["VmRSS"].split()[0]) / 1024)

    def start(self, name: str, arguments: Sequence[str]) -> Any:
        """Start the node's process.

        Args:
            name: name of the process and its log.
            arguments: ROS arguments.
        """
        self.process = self.processes.start(name, [sys.executable, "-m", "bench.faults.node", "--ros-args", *TOY, *arguments])
        return self.process

    def close(self) -> None:
        """Destroy the rig's node."""
        self._executor.shutdown()
        self.node.destroy_node()
        rclpy.try_shutdown(context=self._context)


@contextlib.contextmanager
def rig(logs: Path, *arguments: str) -> Iterator[Rig]:
    """Yield a rig around a running node with toy networks on an isolated graph.

    Args:
        logs: folder for logs and faults.
        *arguments: ROS arguments of the node.
    """
    faults = logs / "faults"
    faults.mkdir(parents=True, exist_ok=True)
    with isolated_environment() as environment:
        environment[FOLDER] = str(faults)
        with Processes(environment, logs) as processes:
            test_rig = Rig(environment, processes, faults)
            test_rig.start("track_node", arguments)
            try:
                test_rig.call(Trigger, "reset", limit_s=120.0)
                yield test_rig
            finally:
                test_rig.close()
