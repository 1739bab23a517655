# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Cost of a detector on its own thread for the tracker: ratio of the frame rates with and without it, and the longest frame time.

One process tracks three objects with box prompts, as fast as possible. Runs with and without detection alternate, so other load on the
machine affects both equally. Writes out/bench/detector.json.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from typing import Any

import numpy as np
import torch

from bench.numbers_file import numbers_file, write
from lang2segtrack_ros.models.loading import load_detector, load_segmenter
from lang2segtrack_ros.session.options import SessionOptions
from lang2segtrack_ros.session.session import Session
from lang2segtrack_ros.toyworld.scene import demo_scene
from lang2segtrack_ros.types.frame import Frame
from lang2segtrack_ros.types.prompts import BoxPrompt, TextPrompt

PERIOD_NS = 66_666_667


def run(options: argparse.Namespace, with_text: bool) -> list[float]:
    """Return the seconds of each step.

    Args:
        options: command line options.
        with_text: True adds a continuous text prompt.
    """
    segmenter = load_segmenter(options.model, options.device)
    session = Session(
        segmenter, load_detector(options.detector, options.device), background=True, options=SessionOptions(detect_every=options.every)
    )
    scene = demo_scene(640, 480)
    shots = [scene.render(index) for index in range(40)]
    for body in list(shots[0].bodies.values())[:3]:
        if body.box is not None:
            x1, y1, x2, y2 = body.box
            session.prompt(BoxPrompt((x1, y1, x2, y2), body.label))
    if with_text:
        session.prompt(TextPrompt("red circle. blue star."))
    seconds = []
    for index in range(options.frames + 20):
        position = index % 78  # forward and backward, without a scene cut
        frame = Frame(shots[position if position < 40 else 78 - position].color, index * PERIOD_NS)
        started = time.perf_counter()
        session.step(frame)
        seconds.append(time.perf_counter() - started)
    session.close()
    return seconds[20:]


def main() -> None:
    """Run the comparison and write the JSON file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="toy", help="segmenter (default: %(default)s)")
    parser.add_argument("--detector", default="toy", help="detector (default: %(default)s)")
    parser.add_argument("--device", default="auto", help="device of both networks (default: %(default)s)")
    parser.add_argument("--frames", type=int, default=150, help="timed frames of each run (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="runs with and without detection (default: %(default)s)")
    parser.add_argument("--every", type=int, default=5, help="frames between detections (default: %(default)s)")
    parser.add_argument("--out", type=numbers_file, default="out/bench/detector.json", help="JSON file to write (default: %(default)s)")
    options = parser.parse_args()
    rows: dict[bool, list[float]] = {False: [], True: []}
    for _ in range(options.rounds):
        for with_text in rows:
            rows[with_text] += run(options, with_text)
    without_detector, with_detector = np.array(rows[False]), np.array(rows[True])
    device = torch.cuda.get_device_name() if torch.cuda.is_available() and options.device != "cpu" else "CPU"
    result: dict[str, Any] = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, {device}",
        "images_a_second_without": round(float(1 / without_detector.mean()), 2),
        "images_a_second_with": round(float(1 / with_detector.mean()), 2),
        "rate_with_over_without": round(float(without_detector.mean() / with_detector.mean()), 3),
        "longest_wait_in_periods": round(float(with_detector.max() / np.median(without_detector)), 2),
        "longest_wait_without_in_periods": round(float(without_detector.max() / np.median(without_detector)), 2),
    }
    write(options.out, result)
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
