# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Time of a session's frame without its networks, by number of tracks, image size and stage.

Shapes of six labels move freely over the image and cross. A detector with the true boxes runs on every fifth frame, so all stages have
work. The time of the networks, measured inside each frame, is subtracted. Everything runs on one thread, whose processor time is
measured.

    python -m bench.session                            # this version
    python -m bench.session --against ../older-tree    # this version and another one, in turn, on the same scenes

Prints one table and writes one JSON file. Ratios between two versions hold only within one run.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import reduce
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from lang2segtrack_ros.detection.detector import Detection
from lang2segtrack_ros.models.loading import load_segmenter
from lang2segtrack_ros.session.session import Session
from lang2segtrack_ros.toyworld.body import Body
from lang2segtrack_ros.toyworld.scene import Scene, SceneFrame
from lang2segtrack_ros.types.frame import Frame
from lang2segtrack_ros.types.prompts import TextPrompt

COUNTS = (1, 4, 11, 16, 32)
SIZES = ((640, 480), (1280, 720))
WARM_UP = 8
NETWORK = ("preprocess", "encode", "attend", "decode", "point", "encode_memory")
STAGES = {
    "catch up": ("lang2segtrack_ros.session.pipeline", "CaughtUp"),
    "verify": ("lang2segtrack_ros.session.pipeline", "verify"),
    "apply prompts": ("lang2segtrack_ros.session.pipeline", "apply_prompts"),
    "associate": ("lang2segtrack_ros.session.pipeline", "associate"),
    "resolve crossings": ("lang2segtrack_ros.session.pipeline", "resolve_crossings"),
    "finish": ("lang2segtrack_ros.session.pipeline", "finish"),
    "actions": ("lang2segtrack_ros.session.pipeline", "apply_actions"),
    "masks to host": ("lang2segtrack_ros.tracking.open_frame", "OpenFrame.tracks"),
    "memories": ("lang2segtrack_ros.tracking.tracker", "Tracker.open"),
    "appearance": ("lang2segtrack_ros.session.appearance_updates", "updated_appearance"),
}
"""Module and name of the function or method of each stage. A version without them gives only the total.

"memories" reads them, and chooses the masks.
"""
LABELS = (("red", "circle"), ("blue", "square"), ("green", "triangle"), ("orange", "star"), ("purple", "cross"), ("yellow", "heart"))


class Clock:
    """Stopwatch of functions, with the time of the networks subtracted from the outer functions."""

    def __init__(self) -> None:
        self.network = 0.0
        self.spent: dict[str, float] = defaultdict(float)

    def of_network(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function of the network that adds its time to `network`."""

        def timed(*args: Any, **kwargs: Any) -> Any:
            began = time.thread_time()
            try:
                return function(*args, **kwargs)
            finally:
                self.network += time.thread_time() - began

        return timed

    def of_stage(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function that adds its time without networks to `spent`."""

        def timed(*args: Any, **kwargs: Any) -> Any:
            began, network = time.thread_time(), self.network
            try:
                return function(*args, **kwargs)
            finally:
                self.spent[name] += time.thread_time() - began - (self.network - network)

        return timed


class TrueBoxes:
    """A detector that returns the boxes of the visible bodies of a frame."""

    name = "truth"
    default_threshold = 0.3

    def __init__(self) -> None:
        self.shot: SceneFrame | None = None

    def check(self, phrases: Sequence[str]) -> list[str]:
        """Return no unknown words."""
        return []

    def detect(self, color: NDArray[np.uint8], phrases: Sequence[str], thresholds: Sequence[float]) -> list[Detection]:
        """Return the boxes of the bodies that are visible to at least a third."""
        assert self.shot is not None
        visible = [body for body in self.shot.bodies.values() if body.box is not None and body.fraction > 1 / 3]
        return [Detection(body.label, 0.9, tuple(map(float, body.box or ()))) for body in visible]  # type: ignore[arg-type]


def scene(count: int, width: int, height: int) -> Scene:
    """Return a scene with `count` shapes that move freely and cross. The shapes are smaller, the more there are."""
    rng = np.random.default_rng(count)
    columns = int(np.ceil(np.sqrt(count * width / height)))
    rows = -(-count // columns)
    bodies = []
    for number in range(count):
        center = ((number % columns + 0.5) / columns, (number // columns + 0.5) / rows)
        amplitude = (float(rng.uniform(0.3, 0.9)) / columns, float(rng.uniform(0.3, 0.9)) / rows)
        period = (float(rng.uniform(40, 80)), float(rng.uniform(40, 80)))
        phase = (float(rng.uniform(0, 6)), float(rng.uniform(0, 6)))
        depth = float(rng.uniform(1.8, 2.2))
        bodies.append(Body(*LABELS[number % len(LABELS)], center, amplitude, period, phase, 0.7 / max(columns, 3), depth))
    return Scene(tuple(bodies), width, height, count)


def measure(count: int, size: tuple[int, int], frames: int) -> dict[str, Any]:
    """Play a scene and return the times of its frames by stage, in milliseconds."""
    clock, detector, segmenter = Clock(), TrueBoxes(), load_segmenter("toy", "cpu")
    for name in NETWORK:
        setattr(segmenter, name, clock.of_network(getattr(segmenter, name)))
    session = Session(segmenter, detector)
    session.prompt(TextPrompt(" ".join(f"{color} {shape}." for color, shape in LABELS)))
    rows = []
    clip = scene(count, *size)
    for index in range(WARM_UP + frames):
        detector.shot = clip.render(index)
        clock.spent.clear()
        began, network = time.thread_time(), clock.network
        with _timed_stages(clock):
            result = session.step(Frame(detector.shot.color, index * 66_000_000))
        total = time.thread_time() - began - (clock.network - network)
        if index >= WARM_UP:
            rows.append({"total": total, **clock.spent})
    times = {name: [row.get(name, 0.0) * 1e3 for row in rows] for name in sorted({name for row in rows for name in row})}
    quantiles = {name: [float(np.median(values)), float(np.quantile(values, 0.95))] for name, values in times.items()}
    return {"tracks": count, "size": list(size), "tracked": len(result.tracks), "ms": quantiles}


class _timed_stages:  # noqa: N801 - used as a function
    """Replace the stages by timed ones inside a with block."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.replaced: list[tuple[Any, str, Any]] = []

    def __enter__(self) -> None:
        for stage, (module_name, name) in STAGES.items():
            try:
                *owners, name = name.split(".")
                owner = reduce(getattr, owners, importlib.import_module(module_name))
                function = getattr(owner, name)
            except (ImportError, AttributeError):
                continue
            self.replaced.append((owner, name, function))
            setattr(owner, name, self.clock.of_stage(stage, function))

    def __exit__(self, *_: object) -> None:
        for owner, name, function in self.replaced:
            setattr(owner, name, function)


def run(tree: Path, count: int, size: tuple[int, int], frames: int) -> dict[str, Any]:
    """Measure the version in a source tree in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": f"{tree}{os.pathsep}{os.environ.get('PYTHONPATH', '')}", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(Path(__file__).resolve()), "--one", str(count), *map(str, size), "--frames", str(frames)]
    output = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
    numbers: dict[str, Any] = json.loads(output.splitlines()[-1])
    return numbers


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counts", type=int, nargs="+", default=COUNTS, help="numbers of tracks")
    parser.add_argument("--frames", type=int, default=30, help="timed frames of each case (default: %(default)s)")
    parser.add_argument("--against", type=Path, help="source tree of another version, measured in turn")
    parser.add_argument("--out", type=Path, default=Path("out/bench/session.json"), help="JSON file (default: %(default)s)")
    parser.add_argument("--one", type=int, nargs=3, metavar=("TRACKS", "WIDTH", "HEIGHT"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        torch.set_num_threads(1)
        cv2.setNumThreads(1)
        print(json.dumps(measure(options.one[0], (options.one[1], options.one[2]), options.frames)))
        return
    here = Path(__file__).resolve().parent.parent
    trees = {"this": here} | ({"other": options.against.resolve()} if options.against else {})
    rows = []
    print(f"{platform.processor() or platform.machine()}, one thread; processor time in ms without networks, median / 95 %")
    for size in SIZES:
        for count in options.counts:
            for name, tree in trees.items():
                row = {"version": name, **run(tree, count, size, options.frames)}
                rows.append(row)
                stages = ", ".join(f"{stage} {median:.1f} / {high:.1f}" for stage, (median, high) in row["ms"].items() if stage != "total")
                total = "{:.1f} / {:.1f}".format(*row["ms"]["total"])
                print(f"{size[0]}x{size[1]}, {count} tracks ({row['tracked']} at the end), {name}: {total}; {stages}", flush=True)
                options.out.parent.mkdir(parents=True, exist_ok=True)
                options.out.write_text(json.dumps({"machine": platform.processor(), "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
