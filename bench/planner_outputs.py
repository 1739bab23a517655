# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Processor time of each output for planners, with and without a subscriber.

The toy camera and track_node run as processes on a real graph, with three objects prompted by box and depth. One topic after the other
gets a subscriber. The processor time of the node's process per image is compared with that of the same node without a subscriber, before
and after. Receiving depth is part of both, because the node subscribes it in either case. Writes a table and
out/bench/planner_outputs.json.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import TransformStamped
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from tf2_msgs.msg import TFMessage
from vision_msgs.msg import Detection2DArray

from bench.idle import processor_seconds
from lang2segtrack.srv import AddBoxPrompt, SetTarget
from lang2segtrack_ros.ros.support import interfaces
from lang2segtrack_ros.ros.support.interfaces import Topic
from lang2segtrack_ros.toyworld.demo import REMAPPINGS
from lang2segtrack_ros.toyworld.graph import GraphError, Processes, executable, isolated_environment

CAMERA = "/camera/camera"
OBJECTS = 3
START_S = 180.0
SETTLE_S = 2.5
"""Time from a new subscriber to the measurement: the node looks at its subscribers twice a second."""
TOPICS = (
    interfaces.SEMANTIC_MASK,
    interfaces.SEMANTIC_CONFIDENCE,
    interfaces.SEMANTIC_CLOUD,
    interfaces.TARGET_POSE,
    interfaces.OBJECT_CLOUDS,
    interfaces.DETECTIONS_3D,
    interfaces.COLLISION_OBJECTS,
)


class Client(Node):  # type: ignore[misc]
    """Node that prompts three objects, publishes the camera's place, and subscribes one topic at a time."""

    def __init__(self) -> None:
        super().__init__("audience")
        self.received = 0
        self.processed = 0
        self.ids: list[int] = []
        self._prompted = False
        self._prompts = self.create_client(AddBoxPrompt, "add_box_prompt")
        self.targets = self.create_client(SetTarget, "set_target")
        self.create_subscription(Detection2DArray, f"{CAMERA}/truth/detections", self._on_truth, QoSProfile(depth=10))
        self.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, QoSProfile(depth=10))
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self._tf = self.create_publisher(TFMessage, "/tf_static", latched)

    def place(self, frame: str) -> None:
        """Publish a camera that looks forward and down by 30 degrees."""
        transform = TransformStamped(child_frame_id=frame)
        transform.header.frame_id = "base_link"
        rotation = transform.transform.rotation
        rotation.x, rotation.y, rotation.z, rotation.w = -0.6123724, 0.6123724, -0.3535534, 0.3535534
        self._tf.publish(TFMessage(transforms=[transform]))

    def listen(self, topic: Topic) -> Any:
        """Return a subscription that counts the messages of a topic."""
        return self.create_subscription(topic.message_class, topic.name, self._on_message, QoSProfile(depth=10))

    def _on_message(self, _: Any) -> None:
        self.received += 1

    def _on_diagnostics(self, msg: DiagnosticArray) -> None:
        values = {item.key: item.value for status in msg.status for item in status.values}
        self.processed = int(values.get("images_processed", self.processed))

    def _on_truth(self, msg: Detection2DArray) -> None:
        if self._prompted or not self._prompts.service_is_ready() or not self.processed:
            return
        self._prompted = True
        self.place(msg.header.frame_id)
        by_size = sorted(msg.detections, key=lambda item: -item.bbox.size_x * item.bbox.size_y)
        for item in by_size[:OBJECTS]:
            (x, y), w, h = (item.bbox.center.position.x, item.bbox.center.position.y), item.bbox.size_x / 2, item.bbox.size_y / 2
            request = AddBoxPrompt.Request(x_min=x - w, y_min=y - h, x_max=x + w, y_max=y + h, label="thing")
            self._prompts.call_async(request).add_done_callback(lambda done: self.ids.extend(done.result().track_ids))


def spin(executor: SingleThreadedExecutor, seconds: float) -> None:
    """Process messages for some time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        executor.spin_once(timeout_sec=0.2)


def per_image(executor: SingleThreadedExecutor, client: Client, node: subprocess.Popen[bytes], seconds: float) -> tuple[float, int]:
    """Return the processor time of the node in milliseconds per image, and the number of messages that arrived."""
    spin(executor, SETTLE_S)
    images = client.processed
    while client.processed == images:  # begin and end with a message of diagnostics, which counts the images
        spin(executor, 0.05)
    images, used, client.received = client.processed, processor_seconds(node), 0
    spin(executor, seconds)
    last = client.processed
    while client.processed == last:
        spin(executor, 0.05)
    return 1e3 * (processor_seconds(node) - used) / (client.processed - images), client.received


def run(out: Path, size: tuple[int, int], orientation: str, seconds: float) -> dict[str, dict[str, float]]:
    """Measure all topics of one node.

    Args:
        out: folder for logs.
        size: image width and height in pixels.
        orientation: value of `box_orientation`.
        seconds: duration of each measurement.

    Raises:
        GraphError: the node ended, or did not start to track.
    """
    results: dict[str, dict[str, float]] = {}
    with isolated_environment() as environment, Processes(environment, out / "node_logs") as processes:
        camera = [f"width:={size[0]}", f"height:={size[1]}", "fps:=5.0"]
        options = ["segmenter:=toy", "detector:=''", "device:=cpu", "target_frame:=base_link", f"box_orientation:={orientation}"]
        processes.start("camera", [*executable("toy_camera"), "--ros-args", *(part for item in camera for part in ("-p", item))])
        arguments = [*(part for item in options for part in ("-p", item)), *(part for item in REMAPPINGS for part in ("-r", item))]
        node = processes.start("track_node", [*executable("track_node"), "--ros-args", *arguments])
        os.environ.update(environment)
        rclpy.init()
        client, executor = Client(), SingleThreadedExecutor()
        executor.add_node(client)
        warm_up = client.listen(interfaces.DETECTIONS_3D)  # an idle node without subscribers skips images
        deadline = time.monotonic() + START_S
        while len(client.ids) < OBJECTS:
            spin(executor, 0.5)
            processes.check()
            if time.monotonic() > deadline:
                raise GraphError(f"the node did not track three objects; its last output:\n{processes.log('track_node')[-2000:]}")
        client.targets.call_async(SetTarget.Request(track_id=client.ids[0]))
        spin(executor, 3.0)
        client.destroy_subscription(warm_up)
        before, _ = per_image(executor, client, node, seconds)
        results["no subscriber"] = {"ms": round(before, 2), "more_ms": 0.0, "messages": 0}
        for topic in TOPICS:
            if topic.message_class is None:
                continue
            subscription = client.listen(topic)
            used, received = per_image(executor, client, node, seconds)
            client.destroy_subscription(subscription)
            results[topic.name] = {"ms": round(used, 2), "more_ms": round(used - before, 2), "messages": received}
        after, _ = per_image(executor, client, node, seconds)
        results["no subscriber, again"] = {"ms": round(after, 2), "more_ms": round(after - before, 2), "messages": 0}
        executor.shutdown()
        client.destroy_node()
        rclpy.try_shutdown()
    return results


def main() -> int:
    """Run all cases, write the summary and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=12.0, help="duration of each measurement (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=Path("out/bench"), help="folder for the results (default: %(default)s)")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    began = os.getloadavg()[0]
    summary: dict[str, Any] = {"cases": {}}
    for orientation in ("camera", "gravity", "free"):
        summary["cases"][orientation] = run(options.out, (640, 480), orientation, options.seconds)
    summary["load_before_and_after"] = [round(began, 1), round(os.getloadavg()[0], 1)]
    (options.out / "planner_outputs.json").write_text(json.dumps(summary, indent=2) + "\n")
    print(f"640x480 at 5 Hz, {OBJECTS} objects, load {summary['load_before_and_after']}\n")
    print("| ms of processor time per image, more than without a subscriber | " + " | ".join(summary["cases"]) + " |")
    print("|---|" + "---|" * len(summary["cases"]))
    for name in summary["cases"]["camera"]:
        cells = [case[name] for case in summary["cases"].values()]
        print(
            f"| `{name}` | "
            + " | ".join(f"{cell['ms']:.1f}" if name == "no subscriber" else f"{cell['more_ms']:+.1f}" for cell in cells)
            + " |"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
