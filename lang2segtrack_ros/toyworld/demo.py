# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The demo: toy camera, track_node and an outside client as separate processes on a real ROS graph, summed up in files."""

from __future__ import annotations

import importlib.metadata
import json
import platform
import re
import sys
import time
from pathlib import Path
from typing import Any

from lang2segtrack_ros import __version__
from lang2segtrack_ros.toyworld.graph import GraphError, Processes, executable, isolated_environment

REMAPPINGS = (
    "color/image_raw:=/camera/camera/color/image_raw",
    "color/camera_info:=/camera/camera/color/camera_info",
    "depth/image_raw:=/camera/camera/aligned_depth_to_color/image_raw",
)
LEAST_IOU = 0.6


def run(out: Path, seconds: float = 20.0, fps: float = 15.0) -> int:
    """Runs the demo; writes summary.json, overlay.mp4 and contact_sheet.png to `out`. 0 when all went as it should."""
    began = time.monotonic()
    out.mkdir(parents=True, exist_ok=True)
    for name in ("summary.json", "client.json", "overlay.mp4", "contact_sheet.png"):
        (out / name).unlink(missing_ok=True)
    print("lang2segtrack demo: a toy camera, track_node and an outside client on a ROS graph of their own", flush=True)
    try:
        with isolated_environment() as environment, Processes(environment, out / "logs") as processes:
            print(f"  domain {environment['ROS_DOMAIN_ID']}, logs in {out / 'logs'}", flush=True)
            processes.start("camera", [*executable("toy_camera"), "--ros-args", "-p", f"fps:={fps}"])
            toy = ["-p", "segmenter:=toy", "-p", "detector:=toy"]
            remap = [argument for rule in REMAPPINGS for argument in ("-r", rule)]
            processes.start("track_node", [*executable("track_node"), "--ros-args", *toy, *remap])
            client = processes.start(
                "client", [sys.executable, "-m", "lang2segtrack_ros.toyworld.demo_client", "--out", str(out), "--seconds", str(seconds)]
            )
            _follow(processes, client)
            processes.check()
            processes.stop()
            summary = _summarise(out, processes, time.monotonic() - began)
    except GraphError as error:
        print(f"the demo failed: {error}", file=sys.stderr)
        return 1
    (out / "summary.json").write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    (out / "client.json").unlink()
    _print_table(summary, out)
    for problem in summary["problems"]:
        print(f"  PROBLEM: {problem}", file=sys.stderr)
    return 1 if summary["problems"] else 0


def _follow(processes: Processes, client: Any) -> None:
    """Passes on what the client says until it ends."""
    shown = 0
    while True:
        ended = client.poll() is not None
        said = processes.log("client")
        whole = said.rfind("\n") + 1
        print(said[shown:whole], end="", flush=True)
        shown = max(shown, whole)
        if ended:
            return
        processes.check()
        time.sleep(0.2)


def _summarise(out: Path, processes: Processes, took_s: float) -> dict[str, Any]:
    heard = json.loads((out / "client.json").read_text(encoding="utf-8"))
    told = heard.pop("diagnostics")
    published = re.search(r"frames published: (\d+)", processes.log("camera"))
    summary = {
        "frames_published": int(published.group(1)) if published else 0,
        "frames_processed": int(told.get("images_processed", 0)),
        "frames_dropped": int(told.get("images_replaced", 0)),
        **heard,
        "device": told.get("setup", "").rpartition("device ")[2],
        "setup": told.get("setup", ""),
        "seconds": round(took_s, 1),
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
    """What did not go as it should."""
    problems = [f"{call['name']} failed: {call['message']}" for call in summary["services"] if not call["success"]]
    tracks = summary["tracks"]
    bodies = {track["body"]: track for track in tracks}
    for body in ("red circle", "blue star", "yellow square"):
        if body not in bodies:
            problems.append(f"nothing followed the {body}")
    problems += [
        f"{track['label']}: a phrase's track follows the {track['body']}"
        for track in tracks
        if track["label"] in bodies and track["label"] != track["body"]
    ]
    mean = sum(track["mean_iou"] for track in tracks) / len(tracks) if tracks else 0.0
    summary["mean_iou"] = round(mean, 4)
    if mean < LEAST_IOU:
        problems.append(f"mean IoU is {mean:.2f}, less than {LEAST_IOU}")
    last = max((track["last_frame"] for track in tracks), default=0)
    if any(track["id"] == summary["removed_track"] and track["last_frame"] == last for track in tracks):
        problems.append(f"track {summary['removed_track']} is still there after its removal")
    problems += [
        f"no message on {topic}"
        for topic in ("detections", "instance_masks", "label_info", "tracks", "overlay")
        if not summary["messages"].get(topic)
    ]
    return problems


def _print_table(summary: dict[str, Any], out: Path) -> None:
    published, processed, dropped = (summary[f"frames_{what}"] for what in ("published", "processed", "dropped"))
    print(f"\n  frames: {published} published, {processed} processed, {dropped} replaced by newer ones")
    print(f"  latency from stamp to tracks: p50 {summary['latency_ms']['p50']} ms, p95 {summary['latency_ms']['p95']} ms")
    print("  messages: " + ", ".join(f"{topic} {count}" for topic, count in summary["messages"].items()))
    print(f"\n  {'id':>3}  {'label':<14} {'follows':<14} {'frames':<12} mean IoU")
    for track in summary["tracks"]:
        span = f"{track['first_frame']}-{track['last_frame']}"
        print(f"  {track['id']:>3}  {track['label']:<14} {track['body']:<14} {span:<12} {track['mean_iou']:.3f}")
    print(f"\n  id switches: {summary['id_switches']}; {summary['setup']}; {summary['seconds']} s")
    print(f"  {out / 'summary.json'}\n  {out / 'overlay.mp4'}\n  {out / 'contact_sheet.png'}", flush=True)
