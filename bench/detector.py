#!/usr/bin/env python3
# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""What a detector on its own thread costs the tracker: rate with it over rate without it, and the longest wait for a result.

One process, three boxed objects, images as fast as they are taken, runs in turn so that a busy machine disturbs both alike.
Writes out/bench/detector.json.
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
from numbers_file import numbers_file, write

from lang2segtrack_ros.models.loading import load_detector, load_segmenter
from lang2segtrack_ros.session.options import SessionOptions
from lang2segtrack_ros.session.session import Session
from lang2segtrack_ros.toyworld.scene import demo_scene
from lang2segtrack_ros.types.frame import Frame
from lang2segtrack_ros.types.prompts import BoxPrompt, TextPrompt

PERIOD_NS = 66_666_667


def run(options: argparse.Namespace, with_text: bool) -> list[float]:
    """Seconds of each step."""
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
        place = index % 78  # there and back again, without a cut
        frame = Frame(shots[place if place < 40 else 78 - place].color, index * PERIOD_NS)
        started = time.perf_counter()
        session.step(frame)
        seconds.append(time.perf_counter() - started)
    session.close()
    return seconds[20:]


def main() -> None:
    """One comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="toy")
    parser.add_argument("--detector", default="toy")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--frames", type=int, default=150)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--every", type=int, default=5)
    parser.add_argument("--out", type=numbers_file, default="out/bench/detector.json")
    options = parser.parse_args()
    rows: dict[bool, list[float]] = {False: [], True: []}
    for _ in range(options.rounds):
        for with_text in rows:
            rows[with_text] += run(options, with_text)
    alone, both = np.array(rows[False]), np.array(rows[True])
    device = torch.cuda.get_device_name() if torch.cuda.is_available() and options.device != "cpu" else "CPU"
    result: dict[str, Any] = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, {device}",
        "images_a_second_without": round(float(1 / alone.mean()), 2),
        "images_a_second_with": round(float(1 / both.mean()), 2),
        "rate_with_over_without": round(float(alone.mean() / both.mean()), 3),
        "longest_wait_in_periods": round(float(both.max() / np.median(alone)), 2),
        "longest_wait_without_in_periods": round(float(alone.max() / np.median(alone)), 2),
    }
    write(options.out, result)
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
