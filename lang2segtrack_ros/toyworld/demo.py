# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Demo with toy camera, track_node and an external client as separate processes on a real ROS graph. Files hold a summary of the run."""

from __future__ import annotations

import importlib.metadata
import json
import math
import platform
import re
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from lang2segtrack_ros import __version__
from lang2segtrack_ros.io.writers import VideoWriter
from lang2segtrack_ros.toyworld.graph import GraphError, Processes, executable, isolated_environment

REMAPPINGS = (
    "color/image_raw:=/camera/camera/color/image_raw",
    "color/camera_info:=/camera/camera/color/camera_info",
    "depth/image_raw:=/camera/camera/aligned_depth_to_color/image_raw",
)
MIN_MEAN_IOU = 0.6


def run(out: Path, seconds: float = 20.0, fps: float = 15.0) -> int:
    """Run the demo and write summary.json, overlay.webm and contact_sheet.png.

    Args:
        out: folder for the files.
        seconds: duration of the client's scenario.
        fps: frame rate of the camera.

    Returns:
        The exit code: 0 when every check of the summary passed, else 1.
    """
    started = time.monotonic()
    out.mkdir(parents=True, exist_ok=True)
    images = out / "overlay.raw"
    for name in ("summary.json", "client.json", "overlay.webm", "contact_sheet.png"):
        (out / name).unlink(missing_ok=True)
    print("lang2segtrack demo: a toy camera, track_node and an external client on an isolated ROS graph", flush=True)
    try:
        with isolated_environment() as environment, Processes(environment, out / "logs") as processes:
            print(f"  domain {environment['ROS_DOMAIN_ID']}, logs in {out / 'logs'}", flush=True)
            processes.start("camera", [*executable("toy_camera"), "--ros-args", "-p", f"fps:={fps}"])
            toy = ["-p", "segmenter:=toy", "-p", "detector:=toy"]
            remap = [argument for rule in REMAPPINGS for argument in ("-r", rule)]
            processes.start("track_node", [*executable("track_node"), "--ros-args", *toy, *remap])
            arguments = ["--out", str(out), "--images", str(images), "--seconds", str(seconds)]
            client = processes.start("client", [sys.executable, "-m", "lang2segtrack_ros.toyworld.demo_client", *arguments])
            _print_client_output(processes, client)
            processes.check()
            processes.stop()
            summary = _summarize(out, processes, time.monotonic() - started)
        print("  the graph has ended; writing the video", flush=True)
        _write_video(out, images)
    except GraphError as error:
        print(f"the demo failed: {error}", file=sys.stderr)
        return 1
    finally:
        images.unlink(missing_ok=True)
    (out / "summary.json").write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    (out / "client.json").unlink()
    _print_table(summary, out)
    for problem in summary["problems"]:
        print(f"  PROBLEM: {problem}", file=sys.stderr)
    return 1 if summary["problems"] else 0


def _print_client_output(processes: Processes, client: Any) -> None:
    """Print the client's output line by line until the client ends."""
    printed = 0
    while True:
        has_ended = client.poll() is not None
        output = processes.log("client")
        complete = output.rfind("\n") + 1
        print(output[printed:complete], end="", flush=True)
        printed = max(printed, complete)
        if has_ended:
            return
        processes.check()
        time.sleep(0.2)


def _write_video(out: Path, images: Path) -> None:
    """Write the client's overlay images as overlay.webm. The node has ended, because encoding would slow it down."""
    shape = json.loads((out / "client.json").read_text(encoding="utf-8"))["image_shape"]
    with images.open("rb") as file, VideoWriter(out / "overlay.webm", 15.0) as video:
        while data := file.read(math.prod(shape)):
            video.write(np.frombuffer(data, np.uint8).reshape(shape))


def _summarize(out: Path, processes: Processes, elapsed_s: float) -> dict[str, Any]:
    client_report = json.loads((out / "client.json").read_text(encoding="utf-8"))
    diagnostics = client_report.pop("diagnostics")
    del client_report["image_shape"]
    published = re.search(r"frames published: (\d+)", processes.log("camera"))
    summary = {
        "frames_published": int(published.group(1)) if published else 0,
        "frames_processed": int(diagnostics.get("images_processed", 0)),
        "frames_dropped": int(diagnostics.get("images_replaced", 0)),
        **client_report,
        "device": diagnostics.get("setup", "").rpartition("device ")[2],
        "setup": diagnostics.get("setup", ""),
        "seconds": round(elapsed_s, 1),
        "versions": {
            "lang2segtrack": __version__,
            "python": platform.python_version(),
            **{name: _version(name) for name in ("torch", "transformers", "numpy", "opencv-python-headless", "rclpy")},
        },
    }
    summary["problems"] = _problems(summary)
    return summary


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


def _problems(summary: dict[str, Any]) -> list[str]:
    """Return one sentence for each failed check of the summary."""
    problems = [f"{call['name']} failed: {call['message']}" for call in summary["services"] if not call["success"]]
    tracks = summary["tracks"]
    bodies = {track["body"]: track for track in tracks}
    for body in ("red circle", "blue star", "yellow square"):
        if body not in bodies:
            problems.append(f"no track follows the {body}")
    problems += [
        f"the track of the phrase {track['label']} follows the {track['body']}"
        for track in tracks
        if track["label"] in bodies and track["label"] != track["body"]
    ]
    mean = sum(track["mean_iou"] for track in tracks) / len(tracks) if tracks else 0.0
    summary["mean_iou"] = round(mean, 4)
    if mean < MIN_MEAN_IOU:
        problems.append(f"the mean IoU is {mean:.2f}; it must be at least {MIN_MEAN_IOU}")
    last = max((track["last_frame"] for track in tracks), default=0)
    if any(track["id"] == summary["removed_track"] and track["last_frame"] == last for track in tracks):
        problems.append(f"track {summary['removed_track']} is still published after its removal")
    problems += [
        f"no message arrived on {topic}"
        for topic in ("detections", "instance_masks", "label_info", "tracks", "overlay")
        if not summary["messages"].get(topic)
    ]
    return problems


def _print_table(summary: dict[str, Any], out: Path) -> None:
    published, processed, dropped = (summary[f"frames_{kind}"] for kind in ("published", "processed", "dropped"))
    print(f"\n  frames: {published} published, {processed} processed, {dropped} replaced by newer ones")
    print(f"  latency from stamp to tracks: p50 {summary['latency_ms']['p50']} ms, p95 {summary['latency_ms']['p95']} ms")
    print("  messages: " + ", ".join(f"{topic} {count}" for topic, count in summary["messages"].items()))
    print(f"\n  {'id':>3}  {'label':<14} {'follows':<14} {'frames':<12} mean IoU")
    for track in summary["tracks"]:
        span = f"{track['first_frame']}-{track['last_frame']}"
        print(f"  {track['id']:>3}  {track['label']:<14} {track['body']:<14} {span:<12} {track['mean_iou']:.3f}")
    print(f"\n  id switches: {summary['id_switches']}; {summary['setup']}; {summary['seconds']} s")
    print(f"  {out / 'summary.json'}\n  {out / 'overlay.webm'}\n  {out / 'contact_sheet.png'}", flush=True)
