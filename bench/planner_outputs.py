# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Processor time of each output for planners, with and without a subscriber.

The publishers of track_node get results of the toy world with its true masks and depth, three objects on 640x480 images. Another process
subscribes one topic after the other. The time is that of the publishing thread for one image, with making and sending of the messages, but
without the threads of the middleware. It is processor time, so that other programs on the machine disturb it little. Writes a table and
out/bench/planner_outputs.json.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import numpy as np
import rclpy
from rclpy.node import Node
from std_msgs.msg import Header

from lang2segtrack_ros.ros.inputs.depth import DepthSource
from lang2segtrack_ros.ros.inputs.receive_thread import ReceiveThread
from lang2segtrack_ros.ros.outputs.publisher import Outputs
from lang2segtrack_ros.ros.support import interfaces
from lang2segtrack_ros.ros.support.output_options import OutputOptions
from lang2segtrack_ros.toyworld.graph import isolated_environment
from lang2segtrack_ros.toyworld.scene import demo_scene
from lang2segtrack_ros.types.frame import Frame
from lang2segtrack_ros.types.results import FrameResult, Track, TrackStatus
from lang2segtrack_ros.types.rle import mask_box

OBJECTS = 3
TARGET = 1
ORIENTATIONS = ("camera", "gravity", "free")
TOPICS = (
    interfaces.SEMANTIC_MASK,
    interfaces.SEMANTIC_CONFIDENCE,
    interfaces.SEMANTIC_CLOUD,
    interfaces.TARGET_POSE,
    interfaces.OBJECT_CLOUDS,
    interfaces.DETECTIONS_3D,
    interfaces.COLLISION_OBJECTS,
)
_READER = """
import sys, rclpy
from rclpy.qos import DurabilityPolicy, QoSProfile
from geometry_msgs.msg import TransformStamped
from tf2_msgs.msg import TFMessage
from lang2segtrack_ros.ros.support import interfaces
topic = next((item for item in interfaces.PUBLISHED if item.name == sys.argv[1]), None)
rclpy.init()
node = rclpy.create_node("reader")
if topic is not None:
    node.create_subscription(topic.message_class, topic.name, lambda _: None, QoSProfile(depth=10))
place = TransformStamped(child_frame_id="eye")
place.header.frame_id = "base_link"
turn = place.transform.rotation
turn.x, turn.y, turn.z, turn.w = -0.6123724, 0.6123724, -0.3535534, 0.3535534  # forward and down by 30 degrees
latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
node.create_publisher(TFMessage, "/tf_static", latched).publish(TFMessage(transforms=[place]))
print("ready", flush=True)
rclpy.spin(node)
"""


def images(count: int) -> list[tuple[Header, Frame, FrameResult]]:
    """Return images of the toy world with depth, and the true masks as results."""
    scene = demo_scene()
    made = []
    for index in range(count):
        shown = scene.render(index)
        tracks = []
        for body in range(1, OBJECTS + 1):
            mask = shown.instances == body
            tracks.append(Track(body, "thing", TrackStatus.TRACKED, 0.9, mask_box(mask), mask, 0.9, 5.0, float("nan"), 0))
        stamp = round((index + 1) * 1e9 / 15)
        header = Header(frame_id="eye")
        header.stamp.sec, header.stamp.nanosec = divmod(stamp, 1_000_000_000)
        frame = Frame(shown.color, stamp, shown.depth_m, scene.camera)
        made.append((header, frame, FrameResult(stamp, index, frame.height, frame.width, tuple(tracks))))
    return made


@contextmanager
def reader(topic: str) -> Iterator[None]:
    """Run a process that subscribes one topic, or none, and publishes the camera's place."""
    process = subprocess.Popen([sys.executable, "-c", _READER, topic], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        assert process.stdout is not None
        process.stdout.readline()
        yield
    finally:
        process.send_signal(signal.SIGINT)  # a killed one stays in the graph for 20 s
        process.wait()


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait up to 20 s. Raise TimeoutError if the condition does not hold by then."""
    deadline = time.monotonic() + 20.0
    while not condition():
        time.sleep(0.05)
        if time.monotonic() > deadline:
            raise TimeoutError("the graph did not connect within 20 s")


def measure(outputs: Outputs, shown: list[tuple[Header, Frame, FrameResult]], group: ReceiveThread) -> float:
    """Return the median processor time of publishing one image, in milliseconds."""
    outputs.spatial.match_transforms(group)
    time.sleep(1.0)  # the static transform arrives
    spent = []
    for header, frame, result in shown:
        began = time.thread_time_ns()
        outputs._publish(header, frame, result)
        if outputs.spatial.is_needed:
            outputs.spatial.publish(header, frame, result, cast(DepthSource, None))  # the frame has its own depth
        spent.append((time.thread_time_ns() - began) / 1e6)
        time.sleep(0.01)  # the middleware sends
    return float(np.median(spent))


def run(orientation: str, resolution: str, count: int) -> dict[str, float]:
    """Return the time of each topic with one subscriber.

    Args:
        orientation: value of `box_orientation`.
        resolution: value of `object_clouds_resolution`.
        count: number of images.
    """
    node = Node("bench")
    group = ReceiveThread(node.context)
    warnings: list[str] = []
    options = OutputOptions(target_frame="base_link", box_orientation=orientation, object_clouds_resolution=resolution)
    outputs = Outputs(node, options, lambda cause, _: warnings.append(cause))
    outputs.planner.target = TARGET
    shown = images(count)
    results: dict[str, float] = {}
    for topic in (None, *TOPICS):
        if topic is not None and topic.message_class is None:
            continue
        name = topic.name if topic is not None else "no subscriber"
        with reader(name):
            if topic is not None:
                wait_for(lambda: outputs.are_watched)
            sent = outputs.published[name]
            results[name] = round(measure(outputs, shown, group), 3)
            if topic is not None and outputs.published[name] == sent:
                raise RuntimeError(f"nothing was published on {name}: {warnings[-1:]}")
        wait_for(lambda: not outputs.are_watched)
    outputs.close()
    group.close()
    node.destroy_node()
    return results


def main() -> int:
    """Run all cases, write the summary and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=60, help="images of each measurement (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=Path("out/bench"), help="folder for the results (default: %(default)s)")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    summary: dict[str, Any] = {}
    began = os.getloadavg()[0]
    with isolated_environment() as environment:
        os.environ.update(environment)
        rclpy.init()
        for orientation in ORIENTATIONS:
            summary[orientation] = run(orientation, "sampled", options.images)
        summary["camera, full"] = run("camera", "full", options.images)
        rclpy.try_shutdown()
    load = [round(began, 1), round(os.getloadavg()[0], 1)]
    (options.out / "planner_outputs.json").write_text(json.dumps({"cases": summary, "load_before_and_after": load}, indent=2) + "\n")
    print(f"640x480, {OBJECTS} objects, {options.images} images, load {load}\n")
    print("| subscriber, ms of processor time per image | " + " | ".join(summary) + " |\n|---|" + "---|" * len(summary))
    for name in summary["camera"]:
        print(f"| {name} | " + " | ".join(f"{case[name]:.2f}" for case in summary.values()) + " |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
