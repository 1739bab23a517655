# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Soak test of track_node for half an hour: memory, latency, service calls and ids.

A toy camera and the node run as processes on a real graph. Two phrases are detected continuously, a third object is added by box and
removed every ten seconds, and single images are segmented in between. The exit code is 1 when a bound of `BOUNDS` or another check of
`summarize` fails.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import sys
import time
from dataclasses import asdict, dataclass
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

from bench.numbers_file import numbers_file, write
from lang2segtrack.msg import Track, TrackArray
from lang2segtrack.srv import AddBoxPrompt, ListTracks, RemoveTrack, SegmentImage
from lang2segtrack_ros.io.image_messages import stamp_ns
from lang2segtrack_ros.toyworld.demo import REMAPPINGS
from lang2segtrack_ros.toyworld.graph import GraphError, Processes, executable, isolated_environment

CAMERA = "/camera/camera"
BOXED = "yellow square"
PHRASES = ("red circle", "blue star")
START_S = 120.0
WARM_UP_S = 60.0
WARM_UP_FRACTION = 0.5  # fraction of the run before growth is measured: allocators need a quarter of an hour to reach their size
BOUNDS = {"less_history_mb": 12.0, "descriptors": 1.0, "threads": 1.0}  # growth per hour
P99_LAST_OVER_FIRST = 1.1


@dataclass
class Sample:
    """Resource use of the node's process at one moment.

    Attributes:
        at_s: seconds since the first result.
        rss_mb: resident memory in MB.
        less_history_mb: resident memory without the images of the frame history. Their number depends on the speed of the machine, and
            parameters bound it.
        descriptors: open file descriptors.
        threads: number of threads.
    """

    at_s: float
    rss_mb: float
    less_history_mb: float
    descriptors: int
    threads: int


class User(Node):  # type: ignore[misc]
    """Client node that adds and removes prompts, receives the outputs, and samples the node's process once per second."""

    def __init__(self, pid: int) -> None:
        super().__init__("user")
        self._process = Path(f"/proc/{pid}")
        self.latencies: list[tuple[float, float]] = []  # seconds since the first result, ms from the image's stamp to its reception
        self.samples: list[Sample] = []
        self.ids: dict[str, set[int]] = {phrase: set() for phrase in PHRASES}
        self.answered = 0
        self.refused: list[str] = []
        self.unanswered = 0
        self.diagnostics: dict[str, str] = {}
        self._first_result_at: float | None = None
        self._boxes: dict[str, Any] = {}
        self._image: Image | None = None
        self._boxed: list[int] = []
        self._pending: dict[Any, float] = {}
        self._calls = {
            kind: self.create_client(kind, name)
            for kind, name in (
                (AddBoxPrompt, "add_box_prompt"),
                (RemoveTrack, "remove_track"),
                (ListTracks, "list_tracks"),
                (SegmentImage, "segment_image"),
            )
        }
        deep_queue = QoSProfile(depth=50)
        self.create_subscription(TrackArray, "tracks", self._on_tracks, deep_queue)
        self.create_subscription(Image, "instance_masks", lambda _: None, deep_queue)
        self.create_subscription(Image, "overlay", lambda _: None, deep_queue)
        self.create_subscription(Image, f"{CAMERA}/color/image_raw", self._on_image, QoSProfile(depth=1))
        self.create_subscription(Detection2DArray, f"{CAMERA}/truth/detections", self._on_truth, deep_queue)
        self.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, deep_queue)
        self.create_timer(1.0, self._every_second)
        self._second = 0

    @property
    def elapsed_s(self) -> float:
        """Return the seconds since the first result; 0 before it."""
        return time.monotonic() - self._first_result_at if self._first_result_at is not None else 0.0

    def _on_tracks(self, msg: TrackArray) -> None:
        if self._first_result_at is None:
            self._first_result_at = time.monotonic()
        for track in msg.tracks:
            if track.label in self.ids and track.state != Track.TENTATIVE:
                self.ids[track.label].add(track.id)
        self.latencies.append((self.elapsed_s, (self.get_clock().now().nanoseconds - stamp_ns(msg.header.stamp)) / 1e6))

    def _on_image(self, msg: Image) -> None:
        self._image = msg

    def _on_truth(self, msg: Detection2DArray) -> None:
        self._boxes = {item.results[0].hypothesis.class_id: item.bbox for item in msg.detections if item.results}

    def _on_diagnostics(self, msg: DiagnosticArray) -> None:
        self.diagnostics = {item.key: item.value for status in msg.status for item in status.values}

    def _every_second(self) -> None:
        if self._first_result_at is None:
            return
        self._sample_process()
        now = time.monotonic()
        for future in [future for future, called_at in self._pending.items() if now - called_at > 60.0]:
            del self._pending[future]
            self.unanswered += 1
        step = self._second % 10
        box = self._boxes.get(BOXED)
        if step == 0 and box is not None:
            x, y, w, h = box.center.position.x, box.center.position.y, box.size_x / 2, box.size_y / 2
            request = AddBoxPrompt.Request(x_min=x - w, y_min=y - h, x_max=x + w, y_max=y + h, label="boxed")
            self._call(request, AddBoxPrompt, self._boxed.extend)
        elif step == 3:
            self._call(ListTracks.Request(), ListTracks)
        elif step == 7 and self._boxed:
            self._call(RemoveTrack.Request(track_id=self._boxed.pop()), RemoveTrack)
        elif self._second % 20 == 15 and self._image is not None:
            self._call(SegmentImage.Request(image=self._image, text="red circle"), SegmentImage)
        self._second += 1

    def _sample_process(self) -> None:
        status = dict(line.split(":", 1) for line in (self._process / "status").read_text().splitlines())
        descriptors = len(os.listdir(self._process / "fd"))
        resident = int(status["VmRSS"].split()[0]) * 1024 / 1e6
        history = re.search(r"([\d.]+) MB", self.diagnostics.get("history", ""))
        history_mb = float(history[1]) if history else 0.0
        self.samples.append(Sample(self.elapsed_s, resident, resident - history_mb, descriptors, int(status["Threads"])))

    def _call(self, request: Any, kind: Any, on_track_ids: Any = None) -> None:
        future = self._calls[kind].call_async(request)
        self._pending[future] = time.monotonic()

        def done(answered: Any) -> None:
            self._pending.pop(answered, None)
            answer = answered.result()
            self.answered += 1
            if not getattr(answer, "success", True):
                self.refused.append(f"{kind.__name__}: {answer.message}")
            elif on_track_ids is not None:
                on_track_ids(answer.track_ids)

        future.add_done_callback(done)


def slope(samples: list[Sample], field: str) -> tuple[float, float]:
    """Return the growth per hour and its standard error, from a line through the medians of each minute.

    Args:
        samples: samples of the node's process.
        field: name of the sample's field.
    """
    minutes: dict[int, list[float]] = {}
    for sample in samples:
        minutes.setdefault(int(sample.at_s // 60), []).append(getattr(sample, field))
    x, y = np.array(list(minutes), float) / 60, np.array([np.median(values) for values in minutes.values()])
    if len(x) < 3:
        return 0.0, float("inf")
    (rate, start), error = np.polyfit(x, y, 1), 0.0
    error = float(np.sqrt(np.sum((y - rate * x - start) ** 2) / (len(x) - 2) / np.sum((x - x.mean()) ** 2)))
    return float(rate), error


def summarize(user: User, log: str, load_before: tuple[float, ...]) -> dict[str, Any]:
    """Return the metrics of a run and the failed checks.

    Args:
        user: client node after the run.
        log: output of track_node.
        load_before: system load at the start.
    """
    end = user.samples[-1].at_s
    late_samples = [sample for sample in user.samples if sample.at_s >= max(WARM_UP_S, end * WARM_UP_FRACTION)]
    windows = {"first": (WARM_UP_S, WARM_UP_S + 60), "last": (end - 60, end)}
    latency = {}
    for name, (low, high) in windows.items():
        values = [ms for at, ms in user.latencies if low <= at < high]
        p50, p99 = np.percentile(values, (50, 99)) if values else (float("nan"),) * 2
        latency[name] = {"results": len(values), "p50_ms": round(float(p50), 1), "p99_ms": round(float(p99), 1)}
    growth = {field: [round(value, 3) for value in slope(late_samples, field)] for field in ("rss_mb", *BOUNDS)}
    diagnostics = user.diagnostics
    summary: dict[str, Any] = {
        "minutes": round(end / 60, 1),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, load {load_before[0]:.1f} before, {os.getloadavg()[0]:.1f} after",
        "results": len(user.latencies),
        "images_replaced": int(diagnostics.get("images_replaced", -1)),
        "ids": {phrase: sorted(ids) for phrase, ids in user.ids.items()},
        "failed": {key: value for key, value in diagnostics.items() if key.startswith("images_failed")},
        "services": {"answered": user.answered, "refused": user.refused, "unanswered": user.unanswered},
        "latency": latency,
        "growth_per_hour_and_error": growth,
        "first_and_last": [asdict(late_samples[0]), asdict(late_samples[-1])] if late_samples else [],
        "bounds": {**BOUNDS, "p99_last_over_first": P99_LAST_OVER_FIRST},
    }
    problems = [
        f"{quantity}: {rate} per hour" for quantity, (rate, error) in growth.items() if rate > max(BOUNDS.get(quantity, np.inf), 2 * error)
    ]
    if latency["last"]["p99_ms"] > P99_LAST_OVER_FIRST * latency["first"]["p99_ms"]:
        problems.append("the p99 latency of the last minute is more than 10 % above that of the first")
    problems += [f"{phrase} is one object, but had the ids {sorted(ids)}" for phrase, ids in user.ids.items() if len(ids) != 1]
    problems += [f"{user.unanswered} service calls were not answered"] * bool(user.unanswered)
    problems += [f"images failed: {summary['failed']}"] * bool(summary["failed"])
    problems += ["the node's log contains an exception"] * ("Traceback" in log)
    summary["problems"] = problems
    return summary


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Start camera and node, use the node for the given time, and return the summary."""
    with isolated_environment() as environment, Processes(environment, options.out.parent / "soak_node_logs") as processes:
        size = ["-p", f"width:={options.width}", "-p", f"height:={options.height}"]
        processes.start("camera", [*executable("toy_camera"), "--ros-args", "-p", f"fps:={options.fps}", *size])
        toy = ["-p", "segmenter:=toy", "-p", "detector:=toy", "-p", f"text:={'. '.join(PHRASES)}."]
        remap = [argument for rule in REMAPPINGS for argument in ("-r", rule)]
        tracker = processes.start("track_node", [*executable("track_node"), "--ros-args", *toy, *remap])
        os.environ.update(environment)
        load_before = os.getloadavg()
        rclpy.init()
        user = User(tracker.pid)
        executor = SingleThreadedExecutor()
        executor.add_node(user)
        diagnostics, deadline = 0, time.monotonic() + START_S
        while user.elapsed_s < 60 * options.minutes:
            executor.spin_once(timeout_sec=0.2)
            if user.elapsed_s == 0 and time.monotonic() > deadline:
                processes.check()
                raise GraphError(f"no result within {START_S:.0f} s; the node's last output:\n{processes.log('track_node')[-2000:]}")
            if int(user.elapsed_s // 60) > diagnostics:
                diagnostics, last = int(user.elapsed_s // 60), user.samples[-1]
                recent = [ms for at, ms in user.latencies if at > user.elapsed_s - 60]
                p50, p99 = np.percentile(recent, (50, 99))
                counts = f"{last.descriptors} descriptors, {last.threads} threads, {user.answered} answers"
                memory_text = f"{last.rss_mb:.1f} MB, {last.less_history_mb:.1f} without the history"
                print(f"  minute {diagnostics}: {memory_text}, {counts}, latency p50 {p50:.0f} p99 {p99:.0f} ms", flush=True)
                processes.check()
        summary = summarize(user, processes.log("track_node"), load_before)
        executor.shutdown()
        user.destroy_node()
        rclpy.try_shutdown()
        return summary


def main() -> int:
    """Run the test and write the summary. Return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30.0, help="duration (default: %(default)s)")
    parser.add_argument(
        "--fps",
        type=float,
        default=5.0,
        help="frame rate; a value above the node's own rate measures a backlog only (default: %(default)s)",
    )
    parser.add_argument("--width", type=int, default=640, help="image width in pixels (default: %(default)s)")
    parser.add_argument("--height", type=int, default=480, help="image height in pixels (default: %(default)s)")
    parser.add_argument("--out", type=numbers_file, default="out/bench/soak_node.json", help="JSON file to write (default: %(default)s)")
    options = parser.parse_args()
    summary = run(options)
    write(options.out, summary)
    print(json.dumps(summary, indent=2))
    return 1 if summary["problems"] else 0


if __name__ == "__main__":
    sys.exit(main())
