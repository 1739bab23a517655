# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Cost and benefit of each policy and each speed option: time per frame and overlap with ground truth, relative to the plain run.

The toy network runs on toy scenes with known ground truth: three separate objects, and two that cross. All variants process each frame
in turn in the same process, so other load on the machine affects all equally. On a CPU the time is the processor time. Prints one
table and writes one JSON file. On a CPU the ratios of time hold for the toy size only.
"""

from __future__ import annotations

import argparse
import platform
import sys
import time
from typing import Any

import numpy as np
import torch

from bench.numbers_file import numbers_file, write
from lang2segtrack_ros.models.loading import load_segmenter
from lang2segtrack_ros.segmentation.sam2 import Sam2Segmenter
from lang2segtrack_ros.toyworld.body import Body
from lang2segtrack_ros.toyworld.scene import Scene, SceneFrame
from lang2segtrack_ros.toyworld.shapes import COLORS, SHAPES
from lang2segtrack_ros.tracking.stream_tracker import StreamTracker
from lang2segtrack_ros.types.prompts import BoxPrompt

FRAMES = 50
WARM_UP = 10  # untimed frames: memories fill up, functions are compiled
MIN_PIXELS = 60


def separate(seed: int) -> Scene:
    """Return a scene with three shapes that never overlap."""
    rng = np.random.default_rng(seed)
    kinds = [(list(COLORS)[rng.integers(6)], SHAPES[rng.integers(5)]) for _ in range(3)]
    centers = [(0.25, 0.3), (0.7, 0.3), (0.45, 0.72)]
    periods = [(float(rng.uniform(60, 100)), float(rng.uniform(60, 100))) for _ in range(3)]
    return Scene([Body(*kind, place, (0.1, 0.08), period) for kind, place, period in zip(kinds, centers, periods)], 320, 240, seed)


def crossing(seed: int) -> Scene:
    """Return a scene with two shapes of one color that cross at half time; the nearer one is in front."""
    rng = np.random.default_rng(1000 + seed)
    color = list(COLORS)[rng.integers(6)]
    y = float(rng.uniform(0.4, 0.6))
    amplitude, period = (0.28, 0.02), (float(2 * FRAMES), 60.0)
    near = Body(color, SHAPES[rng.integers(5)], (0.5, y), amplitude, period, (-np.pi / 2, 0.0), radius_m=0.2, depth_m=2.0)
    far = Body(color, SHAPES[rng.integers(5)], (0.5, y + 0.05), amplitude, period, (np.pi / 2, 1.0), radius_m=0.22, depth_m=2.5)
    return Scene([near, far], 320, 240, seed)


def variants(skip_compiled: bool) -> dict[str, tuple[str, dict[str, Any]]]:
    """Return network and arguments of StreamTracker of each variant by name. The first variant is the reference."""
    table: dict[str, tuple[str, dict[str, Any]]] = {
        "samurai": ("float32", {}),
        "sam2": ("float32", {"policy": "sam2"}),
        "distractor": ("float32", {"policy": "distractor"}),
        "image_size 128": ("128", {}),
        "image_size 256": ("256", {}),
        "bfloat16": ("bfloat16", {}),
    }
    return table if skip_compiled else {**table, "compiled": ("compiled", {})}


class VariantRun:
    """Run of one variant on one scene.

    Attributes:
        times: milliseconds of each frame.
        overlaps: IoU of each visible body on each frame.
        last_overlaps: IoU of each body on the latest frame.
    """

    def __init__(self, segmenter: Sam2Segmenter, first: SceneFrame, bodies: int, arguments: dict[str, Any]) -> None:
        self.tracker = StreamTracker(segmenter, **arguments)
        self.clock = time.process_time if segmenter.device.type == "cpu" else time.perf_counter
        for body in range(1, bodies + 1):
            rows, columns = np.nonzero(first.instances == body)
            self.tracker.add(BoxPrompt((columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)))
        self.times: list[float] = []
        self.overlaps: list[float] = []
        self.last_overlaps: list[float] = []

    def step(self, shot: SceneFrame) -> None:
        """Process one frame. The results are on the host when the function returns."""
        started = self.clock()
        tracks = self.tracker.step(shot.color)
        self.times.append(1e3 * (self.clock() - started))
        self.last_overlaps = []
        for body, track in enumerate(tracks, start=1):
            truth = shot.instances == body
            self.last_overlaps.append(np.count_nonzero(track.mask & truth) / max(1, int(np.count_nonzero(track.mask | truth))))
            if np.count_nonzero(truth) >= MIN_PIXELS:
                self.overlaps.append(self.last_overlaps[-1])


def main() -> int:
    """Run all variants on all scenes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=numbers_file, default="out/bench/options.json", help="JSON file to write (default: %(default)s)")
    parser.add_argument("--scenes", type=int, default=6, help="scenes of each kind (default: %(default)s)")
    parser.add_argument("--compiled", action="store_true", help="also run torch.compile, which takes minutes to start")
    options = parser.parse_args()
    table = variants(not options.compiled)
    networks = {"float32": load_segmenter("toy"), "bfloat16": load_segmenter("toy", dtype="bfloat16")}
    networks |= {str(size): load_segmenter("toy", image_size=size) for size in (128, 256)}
    if options.compiled:
        networks["compiled"] = load_segmenter("toy", acceleration="compile")
    runs_by_variant: dict[str, dict[str, list[VariantRun]]] = {name: {"apart": [], "crossing": []} for name in table}
    for seed in range(options.scenes):
        for kind, scene, bodies in (("apart", separate(seed), 3), ("crossing", crossing(seed), 2)):
            shots = [scene.render(index) for index in range(FRAMES)]
            for name, (network, arguments) in table.items():
                runs_by_variant[name][kind].append(VariantRun(networks[network], shots[0], bodies, arguments))
            for shot in shots:
                for variant in runs_by_variant.values():
                    variant[kind][-1].step(shot)
        print(f"scene {seed + 1} of {options.scenes}", file=sys.stderr, flush=True)
    processor = platform.processor() or platform.machine()
    machine = f"{processor}, torch {torch.__version__}, {torch.get_num_threads()} threads, {networks['float32'].device}"
    print(f"machine: {machine}; {options.scenes} scenes of {FRAMES} frames of each kind")
    print(f"{'variant':<24}{'J apart':>9}{'J crossing':>12}{'right at end':>14}{'ms, 3 objects':>15}{'time / plain':>14}")
    times = {name: np.concatenate([run.times[WARM_UP:] for run in kinds["apart"]]) for name, kinds in runs_by_variant.items()}
    rows = []
    for name, kinds in runs_by_variant.items():
        separate_j, crossing_j = (float(np.mean([np.mean(run.overlaps) for run in runs])) for runs in kinds.values())
        last_overlaps = [value for run in kinds["crossing"] for value in run.last_overlaps]
        kept = f"{sum(value > 0.5 for value in last_overlaps)}/{len(last_overlaps)}"
        ms, ratio = float(np.median(times[name])), float(np.median(times[name] / times["samurai"]))
        rows.append(
            {"variant": name, "j_apart": separate_j, "j_crossing": crossing_j, "right_at_end": kept, "ms": ms, "time_over_plain": ratio}
        )
        print(f"{name:<24}{separate_j:>9.3f}{crossing_j:>12.3f}{kept:>14}{ms:>15.1f}{ratio:>14.2f}")
    write(options.out, {"machine": machine, "rows": rows})
    return 0


if __name__ == "__main__":
    sys.exit(main())
