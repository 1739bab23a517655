#!/usr/bin/env python3
# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""What each policy and each speed option costs and brings: time a frame and overlap with the truth, against the plain run.

Toy network, toy scenes with known truth: three objects that keep apart, and two that cross. All variants see the same frames in the
same process, a scene at a time. Prints one table and writes one JSON. On a CPU the ratios of time hold for the toy size only.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lang2segtrack_ros.prompts import BoxPrompt
from lang2segtrack_ros.toyworld.scene import Body, Scene, SceneFrame
from lang2segtrack_ros.toyworld.shapes import COLORS, SHAPES
from lang2segtrack_ros.tracking import SpeedOptions, StreamTracker
from lang2segtrack_ros.tracking.segmenter import Sam2Segmenter
from lang2segtrack_ros.weights import load_segmenter

FRAMES = 50
MIN_PIXELS = 60


def apart(seed: int) -> Scene:
    """Three shapes that keep to their own places."""
    rng = np.random.default_rng(seed)
    kinds = [(list(COLORS)[rng.integers(6)], SHAPES[rng.integers(5)]) for _ in range(3)]
    places = [(0.25, 0.3), (0.7, 0.3), (0.45, 0.72)]
    swings = [(float(rng.uniform(60, 100)), float(rng.uniform(60, 100))) for _ in range(3)]
    return Scene([Body(*kind, place, (0.1, 0.08), swing) for kind, place, swing in zip(kinds, places, swings)], 320, 240, seed)


def crossing(seed: int) -> Scene:
    """Two shapes of one colour that pass each other at half time, the nearer one in front."""
    rng = np.random.default_rng(1000 + seed)
    color = list(COLORS)[rng.integers(6)]
    y = float(rng.uniform(0.4, 0.6))
    path = {"swing": (0.28, 0.02), "period": (float(2 * FRAMES), 60.0)}
    near = Body(color, SHAPES[rng.integers(5)], (0.5, y), phase=(-np.pi / 2, 0.0), radius_m=0.2, depth_m=2.0, **path)
    far = Body(color, SHAPES[rng.integers(5)], (0.5, y + 0.05), phase=(np.pi / 2, 1.0), radius_m=0.22, depth_m=2.5, **path)
    return Scene([near, far], 320, 240, seed)


def variants(quick: bool) -> dict[str, tuple[str, dict[str, Any]]]:
    """Name -> (network, arguments of StreamTracker); the first is what the others are compared with."""
    table: dict[str, tuple[str, dict[str, Any]]] = {
        "samurai": ("float32", {}),
        "sam2": ("float32", {"policy": "sam2"}),
        "distractor": ("float32", {"policy": "distractor"}),
        "samurai + arbitration": ("float32", {"arbitration": True}),
        "3 memories": ("float32", {"speed": SpeedOptions(memories=3)}),
        "1 memory": ("float32", {"speed": SpeedOptions(memories=1)}),
        "pooled memories": ("float32", {"speed": SpeedOptions(pooled_memories=True)}),
        "coarse boxes": ("float32", {"speed": SpeedOptions(coarse_boxes=True)}),
        "image_size 128": ("128", {}),
        "image_size 256": ("256", {}),
        "bfloat16": ("bfloat16", {}),
    }
    return table if quick else {**table, "compiled": ("compiled", {})}


def run(segmenter: Sam2Segmenter, frames: list[SceneFrame], bodies: int, arguments: dict[str, Any]) -> tuple[float, float, int]:
    """Mean IoU over visible bodies, median milliseconds a frame, and how many bodies are still followed at the end."""
    tracker = StreamTracker(segmenter, **arguments)
    for body in range(1, bodies + 1):
        rows, columns = np.nonzero(frames[0].instances == body)
        tracker.add(BoxPrompt((columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)))
    overlaps, times = [], []
    last = []
    for shot in frames:
        began = time.perf_counter()
        tracks = tracker.step(shot.color)
        times.append(1e3 * (time.perf_counter() - began))
        last = []
        for body, track in enumerate(tracks, start=1):
            truth = shot.instances == body
            last.append(np.count_nonzero(track.mask & truth) / max(1, np.count_nonzero(track.mask | truth)))
            if np.count_nonzero(truth) >= MIN_PIXELS:
                overlaps.append(last[-1])
    return float(np.mean(overlaps)), float(np.median(times[10:])), sum(value > 0.5 for value in last)


def main() -> int:
    """All variants on all scenes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("out/bench/options.json"))
    parser.add_argument("--scenes", type=int, default=6, help="scenes of each kind (default: %(default)s)")
    parser.add_argument("--compiled", action="store_true", help="also torch.compile; takes minutes to begin")
    options = parser.parse_args()
    table = variants(not options.compiled)
    networks = {"float32": load_segmenter("toy"), "bfloat16": load_segmenter("toy", dtype="bfloat16")}
    networks |= {str(size): load_segmenter("toy", image_size=size) for size in (128, 256)}
    if options.compiled:
        networks["compiled"] = load_segmenter("toy", compiled=True)
    found: dict[str, list[tuple[float, float, float, float, int]]] = {name: [] for name in table}
    for seed in range(options.scenes):
        kinds = [(apart(seed), 3), (crossing(seed), 2)]
        shots = [([scene.render(index) for index in range(FRAMES)], bodies) for scene, bodies in kinds]
        for name, (network, arguments) in table.items():
            (easy, ms, _), (hard, hard_ms, kept) = (run(networks[network], frames, bodies, arguments) for frames, bodies in shots)
            found[name].append((easy, hard, ms, hard_ms, kept))
    processor = platform.processor() or platform.machine()
    machine = f"{processor}, torch {torch.__version__}, {torch.get_num_threads()} threads, {networks['float32'].device}"
    print(f"machine: {machine}; {options.scenes} scenes of {FRAMES} frames of each kind")
    print(f"{'variant':<24}{'J apart':>9}{'J crossing':>12}{'right at end':>14}{'ms, 3 objects':>15}{'time / plain':>14}")
    plain = np.array(found["samurai"])
    rows = []
    for name, values in found.items():
        mean = np.mean(values, axis=0)
        ratio = float(np.median(np.array(values)[:, 2] / plain[:, 2]))
        kept = f"{int(sum(value[4] for value in values))}/{2 * options.scenes}"
        rows.append(
            {"variant": name, "j_apart": mean[0], "j_crossing": mean[1], "right_at_end": kept, "ms": mean[2], "time_over_plain": ratio}
        )
        print(f"{name:<24}{mean[0]:>9.3f}{mean[1]:>12.3f}{kept:>14}{mean[2]:>15.1f}{ratio:>14.2f}")
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps({"machine": machine, "rows": rows}, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
