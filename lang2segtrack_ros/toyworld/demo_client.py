# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""External client of the demo. It knows the node by its topics and services alone, and the toy camera by its ground truth.

The client prompts two objects by text and later a third by box, removes the third, and records all messages of the run.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from numpy.typing import NDArray
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import Image
from vision_msgs.msg import Detection2DArray, LabelInfo

from lang2segtrack.msg import Track, TrackArray
from lang2segtrack.srv import AddBoxPrompt, AddTextPrompt, ListTracks, RemoveTrack
from lang2segtrack_ros.io.image_messages import stamp_ns
from lang2segtrack_ros.io.rendering import contact_sheet
from lang2segtrack_ros.io.writers import write_png
from lang2segtrack_ros.ros.support.process import spin_until
from lang2segtrack_ros.toyworld.metrics import IdentityCounter
from lang2segtrack_ros.types.results import TrackStatus
from lang2segtrack_ros.types.rle import Rle

TEXT = "red circle. blue star."
BOX_LABEL = "boxed square"
BOXED_BODY = "yellow square"
CAMERA = "/camera/camera"
SHEET_FRAMES = 8
START_S = 90.0


class DemoClient(Node):
    """Node that records all outputs of track_node and the ground truth.

    Args:
        images: file for the overlay images, one after the other, RGB uint8.
    """

    def __init__(self, images: Path) -> None:
        super().__init__("demo_client")
        self.messages: Counter[str] = Counter()
        self.latency_ms: list[float] = []
        self.identity = IdentityCounter()
        self.diagnostics: dict[str, str] = {}
        self.truth_labels: dict[int, str] = {}
        self.calls: list[dict[str, Any]] = []
        self.sheet: list[tuple[float, NDArray[np.uint8]]] = []
        self._sheet_stride = 1
        self.image_shape: tuple[int, ...] = ()
        self.images = images.open("wb")
        self.started = time.monotonic()
        self._truth: dict[int, NDArray[np.uint16]] = {}
        self._waiting: dict[int, TrackArray] = {}
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        deep_queue = QoSProfile(depth=30)
        self._subscribe(Image, f"{CAMERA}/truth/instances", self._on_truth, deep_queue)
        self._subscribe(LabelInfo, f"{CAMERA}/truth/label_info", self._on_truth_labels, latched)
        self._subscribe(TrackArray, "tracks", self._on_tracks, deep_queue)
        self._subscribe(Detection2DArray, "detections", None, deep_queue)
        self._subscribe(Image, "instance_masks", None, deep_queue)
        self._subscribe(LabelInfo, "label_info", None, latched)
        self._subscribe(Image, "overlay", self._on_overlay, deep_queue)
        self._subscribe(DiagnosticArray, "/diagnostics", self._on_diagnostics, deep_queue)

    def _subscribe(self, msg_type: Any, topic: str, callback: Callable[[Any], None] | None, qos: QoSProfile) -> None:
        def count(msg: Any) -> None:
            self.messages[topic] += 1
            if callback is not None:
                callback(msg)

        self.create_subscription(msg_type, topic, count, qos)

    def _on_truth(self, msg: Image) -> None:
        self._truth[stamp_ns(msg.header.stamp)] = np.frombuffer(msg.data, "<u2").reshape(msg.height, msg.width)
        while len(self._truth) > 60:
            del self._truth[min(self._truth)]
        self._compare()

    def _on_truth_labels(self, msg: LabelInfo) -> None:
        self.truth_labels = {item.class_id: item.class_name for item in msg.class_map}

    def _on_tracks(self, msg: TrackArray) -> None:
        stamp = stamp_ns(msg.header.stamp)
        self.latency_ms.append((self.get_clock().now().nanoseconds - stamp) / 1e6)
        self._waiting[stamp] = msg
        self._compare()

    def _compare(self) -> None:
        for stamp in sorted(set(self._waiting) & set(self._truth)):
            tracks: list[Track] = self._waiting.pop(stamp).tracks
            masks = {
                track.id: Rle(track.mask.height, track.mask.width, track.mask.counts).decode()
                for track in tracks
                if track.state != TrackStatus.REMOVED
            }
            self.identity.add(self._truth[stamp], masks, {track.id: track.label for track in tracks})

    def _on_overlay(self, msg: Image) -> None:
        image = np.frombuffer(msg.data, np.uint8).reshape(msg.height, msg.width, 3)
        self.image_shape = image.shape
        self.images.write(msg.data)
        if self.messages["overlay"] % self._sheet_stride == 0:
            self.sheet.append((time.monotonic() - self.started, image.copy()))
        if len(self.sheet) > 8 * SHEET_FRAMES:  # keep every second image, so memory is independent of the demo's length
            self.sheet = self.sheet[::2]
            self._sheet_stride *= 2

    def _on_diagnostics(self, msg: DiagnosticArray) -> None:
        for status in msg.status:
            if status.values:
                self.diagnostics = {item.key: item.value for item in status.values}

    def body_box(self, label: str) -> tuple[float, float, float, float]:
        """Return the box (x_min, y_min, x_max, y_max) in pixels of a body on the latest ground-truth frame."""
        number = next(key for key, name in self.truth_labels.items() if name == label)
        rows, columns = np.nonzero(self._truth[max(self._truth)] == number)
        return float(columns.min()), float(rows.min()), float(columns.max() + 1), float(rows.max() + 1)


class Scenario:
    """Scripted sequence of service calls and waits."""

    def __init__(self, client: DemoClient, seconds: float) -> None:
        self._client = client
        self._seconds = seconds
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(client)
        self.removed_id = 0
        self.prompted: dict[str, list[int]] = {}

    def log(self, sentence: str) -> None:
        """Print a sentence with the elapsed time."""
        print(f"  {time.monotonic() - self._client.started:5.1f} s  {sentence}", flush=True)

    def wait(self, seconds: float, until: Callable[[], bool] = lambda: False) -> bool:
        """Process messages for some seconds, or until a condition holds.

        Args:
            seconds: longest time to wait.
            until: condition that ends the wait early.

        Returns:
            True when the condition held.
        """
        return spin_until(self._executor, seconds, until)

    def call(self, service_type: Any, name: str, **fields: Any) -> Any:
        """Call a service and record the outcome.

        Args:
            service_type: class of the service.
            name: name of the service.
            **fields: fields of the request.

        Returns:
            The response.

        Raises:
            TimeoutError: The service is not available or did not answer in time.
        """
        client = self._client.create_client(service_type, name)
        started = time.monotonic()
        if not self.wait(START_S, client.service_is_ready):
            raise TimeoutError(f"service {name} was not available within {START_S:.0f} s")
        started = time.monotonic()
        future = client.call_async(service_type.Request(**fields))
        if not self.wait(30.0, future.done):
            raise TimeoutError(f"service {name} did not answer within 30 s")
        answer = future.result()
        self._client.calls.append(
            {
                "name": name,
                "success": bool(getattr(answer, "success", True)),
                "ms": round((time.monotonic() - started) * 1e3, 1),
                "message": getattr(answer, "message", ""),
            }
        )
        return answer

    def run(self) -> None:
        """Run all steps.

        Raises:
            TimeoutError: The graph published no tracks, or a service did not answer in time.
        """
        self.log("waiting for the camera and the node")
        ready = self.wait(START_S, lambda: bool(self._client.truth_labels) and self._client.messages["tracks"] > 0)
        if not ready:
            raise TimeoutError(f"no tracks arrived within {START_S:.0f} s")
        sixth = self._seconds / 6
        self.log(f'/add_text_prompt "{TEXT}"')
        answer = self.call(AddTextPrompt, "add_text_prompt", text=TEXT)
        self.prompted["text"] = list(answer.track_ids)
        self.log(f"-> {dict(zip(answer.track_ids, answer.labels))} {answer.message}")
        self.wait(sixth)
        x1, y1, x2, y2 = self._client.body_box(BOXED_BODY)
        self.log(f"/add_box_prompt ({x1:.0f}, {y1:.0f}, {x2:.0f}, {y2:.0f})")
        answer = self.call(AddBoxPrompt, "add_box_prompt", x_min=x1, y_min=y1, x_max=x2, y_max=y2, label=BOX_LABEL)
        self.prompted["box"] = list(answer.track_ids)
        self.log(f"-> {list(answer.track_ids)} {answer.message}")
        self.wait(2 * sixth)
        listed = self.call(ListTracks, "list_tracks")
        self.log(f"/list_tracks -> {', '.join(f'{track.id} {track.label}' for track in listed.tracks)}")
        self.removed_id = next(iter(answer.track_ids), 0)
        self.log(f"/remove_track {self.removed_id}")
        self.call(RemoveTrack, "remove_track", track_id=self.removed_id)
        self.wait(3 * sixth)
        listed = self.call(ListTracks, "list_tracks")
        self.log(f"/list_tracks -> {', '.join(f'{track.id} {track.label}' for track in listed.tracks)}")


def main(args: list[str] | None = None) -> int:
    """Run the scenario and write client.json, the overlay images and contact_sheet.png. Return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--images", type=Path, required=True, help="file for the overlay images as raw bytes")
    parser.add_argument("--seconds", type=float, default=20.0)
    options = parser.parse_args(args)
    rclpy.init()
    client = DemoClient(options.images)
    scenario = Scenario(client, options.seconds)
    try:
        scenario.run()
    except TimeoutError as error:
        print(f"the demo failed: {error}", flush=True)
        return 1
    except (KeyboardInterrupt, ExternalShutdownException):
        return 130
    finally:
        client.images.close()
        client.destroy_node()
        rclpy.try_shutdown()
    report = {
        "messages": dict(client.messages),
        "image_shape": client.image_shape,
        "latency_ms": {f"p{q}": round(float(np.percentile(client.latency_ms, q)), 1) for q in (50, 95)},
        "tracks": client.identity.tracks(client.truth_labels),
        "id_switches": client.identity.switches,
        "removed_track": scenario.removed_id,
        "prompted": scenario.prompted,
        "services": client.calls,
        "diagnostics": client.diagnostics,
    }
    (options.out / "client.json").write_text(json.dumps(report, indent=2), encoding="utf-8")
    selected = [client.sheet[int(index)] for index in np.linspace(0, len(client.sheet) - 1, SHEET_FRAMES)]
    write_png(options.out / "contact_sheet.png", contact_sheet([image for _, image in selected], [f"{at:.1f} s" for at, _ in selected]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
