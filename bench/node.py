# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Overhead of the node beyond the networks' time, and behavior at three times the frame rate that the engine can process.

The toy camera and track_node run as processes on a real graph. Three objects are prompted by box, and `detections`, `tracks` and
`instance_masks` have a subscriber. Overhead starts when an image's message arrives in the node's process, and ends when the last
publish of its result returns. The model's time is subtracted; `node_probe` defines the model. A busy machine stretches that time, so the
processor time of the same work is reported too. After track_node, `node_floor` receives the images of the same camera and publishes the
last messages of track_node: the floor that rclpy sets. Writes tables and out/bench/node.json.
"""

from __future__ import annotations

import argparse
import json
import os
import pickle
import platform
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile
from sensor_msgs.msg import Image
from vision_msgs.msg import Detection2DArray

from bench import idle
from lang2segtrack.msg import TrackArray
from lang2segtrack.srv import AddBoxPrompt
from lang2segtrack_ros.toyworld.demo import REMAPPINGS
from lang2segtrack_ros.toyworld.graph import GraphError, Processes, executable, isolated_environment

CAMERA = "/camera/camera"
OBJECTS = 3
WARM_UP = 15
START_S = 180.0
TARGET_MS = {"640x480": 4.0, "1280x720": 8.0}
STAGES = {
    "arrival to callback": ("arrived", "called"),
    "conversion": ("called", "offered"),
    "to the engine": ("offered", "began"),
    "step without the model": ("began", "stepped"),
    "to the publisher": ("stepped", "taken"),
    "messages, publishing": ("taken", "published"),
}
PROCESSOR = ("take_cpu", "convert_cpu", "step_cpu", "publish_cpu")


class PromptClient(Node):  # type: ignore[misc]
    """Node that prompts three objects and subscribes the outputs."""

    def __init__(self, outputs: tuple[str, ...]) -> None:
        super().__init__("audience", context=None)
        self.results = 0
        self.latest: dict[str, Any] = {}
        self.prompted = 0
        self.diagnostics: dict[str, str] = {}
        self._prompted_at = 0.0
        self._prompts = self.create_client(AddBoxPrompt, "add_box_prompt")
        for topic, kind in (("tracks", TrackArray), ("detections", Detection2DArray), ("instance_masks", Image), ("overlay", Image)):
            if topic in outputs:
                self.create_subscription(kind, topic, partial(self._on_output, topic), QoSProfile(depth=10))
        self.create_subscription(Detection2DArray, f"{CAMERA}/truth/detections", self._on_truth, QoSProfile(depth=10))
        self.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, QoSProfile(depth=10))

    def _on_output(self, topic: str, msg: Any) -> None:
        self.latest[topic] = msg
        self.results += topic == "tracks" and len(msg.tracks) >= OBJECTS

    def _on_diagnostics(self, msg: DiagnosticArray) -> None:
        self.diagnostics = {item.key: item.value for status in msg.status for item in status.values}

    def _on_truth(self, msg: Detection2DArray) -> None:
        if self._prompted_at or not self._prompts.service_is_ready() or not self.diagnostics:
            return
        self._prompted_at = time.monotonic()
        by_size = sorted(msg.detections, key=lambda item: -item.bbox.size_x * item.bbox.size_y)
        for item in by_size[:OBJECTS]:
            (x, y), w, h = (item.bbox.center.position.x, item.bbox.center.position.y), item.bbox.size_x / 2, item.bbox.size_y / 2
            self._prompts.call_async(AddBoxPrompt.Request(x_min=x - w, y_min=y - h, x_max=x + w, y_max=y + h, label="thing"))


def run(out: Path, size: tuple[int, int], fps: float, results: int, outputs: tuple[str, ...], image_size: int = 0) -> dict[str, Any]:
    """Run one camera and one node.

    Args:
        out: folder for logs and the probe's file.
        size: image width and height in pixels.
        fps: frame rate of the camera.
        results: number of results to record.
        outputs: topics to subscribe.
        image_size: input size of the network; 0 for its own size.

    Returns:
        Timestamps of each image, counters of the node, its setup, and the times of the floor in nanoseconds.

    Raises:
        GraphError: The node ended or produced too few results.
    """
    record_file = out / "node_probe.json"
    record_file.unlink(missing_ok=True)
    with isolated_environment() as environment, Processes(environment, out / "node_logs") as processes:
        camera_parameters = [f"width:={size[0]}", f"height:={size[1]}", f"fps:={fps}"]
        node_parameters = ["segmenter:=toy", "detector:=''", "device:=auto", f"image_size:={image_size}", "use_depth:=false"]
        processes.start("camera", [*executable("toy_camera"), "--ros-args", *(part for item in camera_parameters for part in ("-p", item))])
        node_arguments = [part for item in node_parameters for part in ("-p", item)] + [
            part for item in REMAPPINGS for part in ("-r", item)
        ]
        probe = [sys.executable, str(Path(__file__).with_name("node_probe.py")), str(record_file), "--ros-args", *node_arguments]
        node = processes.start("track_node", probe)
        os.environ.update(environment)
        rclpy.init()
        client = PromptClient(outputs)
        executor = SingleThreadedExecutor()
        executor.add_node(client)
        deadline = time.monotonic() + START_S + 20 * results / fps
        while client.results < results + WARM_UP:
            executor.spin_once(timeout_sec=0.5)
            processes.check()
            if time.monotonic() > deadline:
                raise GraphError(f"the node produced too few results; its last output:\n{processes.log('track_node')[-2000:]}")
        end = time.monotonic() + 2.5  # time for two more diagnostics messages
        while time.monotonic() < end:
            executor.spin_once(timeout_sec=0.5)
        diagnostics = client.diagnostics
        node.send_signal(signal.SIGINT)
        node.wait(10.0)
        floor_file = run_floor(out, processes, client.latest)
        end = time.monotonic() + 5.0 + results / fps
        while time.monotonic() < end:
            executor.spin_once(timeout_sec=0.5)
        executor.shutdown()
        client.destroy_node()
        rclpy.try_shutdown()
        processes.stop()
        if not record_file.is_file():
            raise GraphError(f"the node ended with exit code {node.returncode}; its last output:\n{processes.log('track_node')[-2000:]}")
    images = [item for item in json.loads(record_file.read_text()) if item.get("objects", 0) >= OBJECTS and "published" in item]
    record_file.unlink()
    counts = {key: int(diagnostics[f"images_{key}"]) for key in ("received", "processed", "replaced")}
    floor = json.loads(floor_file.read_text())
    return {"images": images[WARM_UP:], "counts": counts, "setup": diagnostics["setup"], "floor": floor[WARM_UP:]}


def run_floor(out: Path, processes: Processes, messages: dict[str, Any]) -> Path:
    """Start the floor node. Return the file that it writes at its end.

    Args:
        out: folder for the files.
        processes: the processes of the graph.
        messages: the messages to publish, by topic.
    """
    sent, results = out / "floor_messages.pickle", out / "floor.json"
    results.unlink(missing_ok=True)
    sent.write_bytes(pickle.dumps(messages))
    command = [sys.executable, str(Path(__file__).with_name("node_floor.py")), str(sent), str(results), "--ros-args", "-r", REMAPPINGS[0]]
    processes.start("floor", command)
    return results


def milliseconds(values: Any) -> dict[str, float]:
    """Return median and 99th percentile of nanoseconds, in milliseconds."""
    p50, p99 = np.percentile(np.array(values) / 1e6, (50, 99))
    return {"p50": round(float(p50), 2), "p99": round(float(p99), 2)}


def overhead(measured: dict[str, Any]) -> dict[str, Any]:
    """Return the overhead and its stages, for images that arrived while the engine was idle."""
    images = [item for previous, item in zip(measured["images"], measured["images"][1:]) if item["offered"] >= previous["published"]]
    stages = {}
    for name, (start, end) in STAGES.items():
        stages[name] = milliseconds([item[end] - item[start] - (item["model"] if start == "began" else 0) for item in images])
    latencies = [item["published"] - item["arrived"] for item in images]
    return {
        "images": len(images),
        "overhead_ms": milliseconds([total - item["model"] for total, item in zip(latencies, images)]),
        "overhead_without_any_of_the_step_ms": milliseconds(
            [total - item["stepped"] + item["began"] for total, item in zip(latencies, images)]
        ),
        "processor_ms": milliseconds([sum(item[name] for name in PROCESSOR) for item in images]),
        "processor_stages_ms": {name: milliseconds([item[name] for item in images]) for name in PROCESSOR},
        "model_ms": milliseconds([item["model"] for item in images]),
        "model_processor_ms": milliseconds([item["model_cpu"] for item in images]),
        "arrival_to_published_ms": milliseconds(latencies),
        "stages_ms": stages,
        "floor_ms": milliseconds(measured["floor"]),
    }


def overload(out: Path, results: int, idle_step_ms: float) -> dict[str, Any]:
    """Run a camera three times as fast as the engine. Return latency in steps and the counts of images.

    Args:
        out: folder for logs and the probe's file.
        results: number of results to record.
        idle_step_ms: time of one step without overload, in milliseconds.
    """
    fps = min(60.0, 3000.0 / idle_step_ms)
    measured = run(out, (640, 480), fps, results, ("tracks", "detections", "instance_masks"), OVERLOADED_SIZE)
    images = measured["images"]
    step = np.array([item["stepped"] - item["began"] for item in images]) / 1e6
    latency = np.array([item["published"] - item["arrived"] for item in images]) / 1e6
    counts = measured["counts"]
    seconds = (images[-1]["arrived"] - images[0]["arrived"]) / 1e9
    return {
        "camera_fps": round(fps, 2),
        "engine_fps": round(len(images) / seconds, 2),
        "step_ms": milliseconds(step * 1e6),
        "latency_ms": milliseconds(latency * 1e6),
        "latency_in_own_steps": milliseconds(latency / step * 1e6),
        **{key.split(" ")[0]: value for key, value in counts.items()},
        "unaccounted": counts["received"] - counts["processed"] - counts["replaced"],
    }


OVERLOADED_SIZE = 320  # a slow network, so that a camera three times as fast does not load the machine


def main() -> int:
    """Run all cases, write the summary and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=int, default=200, help="results of each run (default: %(default)s)")
    parser.add_argument(
        "--fps",
        type=float,
        default=5.0,
        help="frame rate of the camera; the engine must be idle when an image arrives (default: %(default)s)",
    )
    parser.add_argument("--idle", action="store_true", help="measure only the processor time of a node without prompts and subscribers")
    parser.add_argument("--out", type=Path, default=Path("out/bench"), help="folder for the results (default: %(default)s)")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    if options.idle:
        size, fps = (640, 480), 15.0
        idle.show(idle.measure(options.out, size, fps, 20.0), size, fps)
        return 0
    began = os.getloadavg()[0]
    masks = ("tracks", "detections", "instance_masks")
    summary: dict[str, Any] = {"objects": OBJECTS, "overhead": {}}
    for width, height in ((640, 480), (1280, 720)):
        for topics in (masks, (*masks, "overlay")):
            name = f"{width}x{height}" + (" and overlay" if "overlay" in topics else "")
            measured = run(options.out, (width, height), options.fps, options.results, topics)
            summary["overhead"][name] = overhead(measured)
            summary["setup"] = measured["setup"]
            print(f"{name}: {json.dumps(summary['overhead'][name])}", flush=True)
    slow = median_step_ms(run(options.out, (640, 480), 1.0, 12, masks, OVERLOADED_SIZE))
    summary["overload"] = overload(options.out, options.results, slow)
    processor = next((line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line), "")
    summary["machine"] = {
        "processor": processor or platform.machine(),
        "cores": os.cpu_count(),
        "threads": os.environ.get("OMP_NUM_THREADS", "all"),
        "load_before_and_after": [round(began, 1), round(os.getloadavg()[0], 1)],
    }
    (options.out / "node.json").write_text(json.dumps(summary, indent=2) + "\n")
    show(summary)
    return 0


def median_step_ms(measured: dict[str, Any]) -> float:
    """Return the median step time in milliseconds."""
    return float(np.median([item["stepped"] - item["began"] for item in measured["images"]])) / 1e6


def _stage(name: str) -> Callable[[dict[str, Any]], dict[str, float]]:
    """Return a function that selects a stage from the result of `overhead`."""
    return lambda item: item["stages_ms"][name]


def show(summary: dict[str, Any]) -> None:
    """Print the tables in Markdown."""
    machine = summary["machine"]
    print(f"\n{machine['processor']}, {machine['cores']} cores, load {machine['load_before_and_after']}; {summary['setup']}\n")
    names = list(summary["overhead"])
    print("| ms, median (p99) | " + " | ".join(names) + " |\n|---|" + "---|" * len(names))
    rows: list[tuple[str, Callable[[dict[str, Any]], dict[str, float]]]] = [(name, _stage(name)) for name in STAGES]
    rows += [
        ("**overhead**", lambda item: item["overhead_ms"]),
        ("rclpy alone, the same messages", lambda item: item["floor_ms"]),
        ("**processor time of the overhead**", lambda item: item["processor_ms"]),
        ("the model", lambda item: item["model_ms"]),
    ]
    for name, select in rows:
        cells = [select(item) for item in summary["overhead"].values()]
        print(f"| {name} | " + " | ".join(f"{cell['p50']:.2f} ({cell['p99']:.2f})" for cell in cells) + " |")
    for name, target in TARGET_MS.items():
        print(f"{name}: target {target} ms, {'met' if summary['overhead'][name]['overhead_ms']['p50'] <= target else 'MISSED'}")
    print(f"overload: {json.dumps(summary['overload'])}")


if __name__ == "__main__":
    sys.exit(main())
