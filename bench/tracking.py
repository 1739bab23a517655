# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Speed of the tracker compared with transformers' Sam2VideoModel session. Both use the same weights, frames and process, in turn.

Writes one JSON file and prints one table: frame rate and milliseconds of each part for 1, 2, 4, 8 and 16 objects. On a CPU it runs the
toy network, and tiny at 256 px with random weights. On a GPU it also runs tiny, small, base plus and large at 512 and 1024 px in
bfloat16, with and without torch.compile; random weights are sufficient for speed. Absolute times depend on the machine, which the
output names; compare ratios.
"""

from __future__ import annotations

import argparse
import platform
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from bench.numbers_file import numbers_file, write
from lang2segtrack_ros.evaluation.reference import Sam2Reference
from lang2segtrack_ros.models.conversion_sam2 import make_config
from lang2segtrack_ros.models.loading import load_segmenter, resize
from lang2segtrack_ros.segmentation.sam2 import Sam2Segmenter
from lang2segtrack_ros.tracking.stream_tracker import StreamTracker
from lang2segtrack_ros.types.prompts import BoxPrompt

OBJECTS = (1, 2, 4, 8, 16)
PARTS = ("preprocess", "encode", "attend", "decode", "encode_memory")
FILL_FRAMES = 17  # frames until all memories are full
TIMED_FRAMES = 40
SIZES = {"tiny": (96, 12, 7), "small": (96, 16, 7), "base-plus": (112, 24, 14), "large": (144, 48, 7)}


def random_segmenter(size: str, image_size: int, device: str, dtype: torch.dtype) -> Sam2Segmenter:
    """Return SAM 2.1 of a published size with random weights.

    Args:
        size: name of the size in `SIZES`.
        image_size: input size in pixels.
        device: device of the network.
        dtype: data type of the computation.
    """
    from transformers import Sam2VideoModel

    width, blocks, side = SIZES[size]
    shapes = {f"vision_encoder.backbone.blocks.{block}.x": torch.empty(0) for block in range(blocks)}
    config = make_config({**shapes, "vision_encoder.backbone.pos_embed": torch.empty(1, width, side, side)})
    resize(Sam2Segmenter, config, image_size)
    torch.manual_seed(0)
    model = Sam2VideoModel(config).eval().requires_grad_(False)
    # The bias makes all objects visible, as with trained weights.
    model.mask_decoder.pred_obj_score_head.proj_out.bias.fill_(4.0)
    return Sam2Segmenter(model.to(device), f"{size}/{image_size}", dtype)


def boxes(count: int) -> list[tuple[float, float, float, float]]:
    """Return random boxes on a 640 x 480 image."""
    rng = np.random.default_rng(0)
    return [(float(x), float(y), float(x + 80), float(y + 80)) for x, y in rng.integers(0, (560, 400), (count, 2))]


def synchronize(device: torch.device) -> None:
    """Wait until a GPU has finished its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def median_ms(step: Callable[[int], object], device: torch.device, frames: int = TIMED_FRAMES, fill: int = FILL_FRAMES) -> float:
    """Return the median time of a step in milliseconds, after `fill` steps that fill the memories."""
    times = []
    for index in range(fill + frames):
        synchronize(device)
        started = time.perf_counter()
        step(index)
        synchronize(device)
        times.append(1e3 * (time.perf_counter() - started))
    return float(np.median(times[fill:]))


class TrackerRunner:
    """Tracker of lang2segtrack on one stream."""

    def __init__(self, segmenter: Sam2Segmenter, count: int) -> None:
        self.tracker = StreamTracker(segmenter, "samurai", max_objects=count)
        for box in boxes(count):
            self.tracker.add(BoxPrompt(box))

    def step(self, image: np.ndarray) -> None:
        """Process one frame."""
        self.tracker.step(image)

    def memory_mb(self) -> float:
        """Return the size of all object memories in MB."""
        return float(sum(item.numel() * item.element_size() for item in vars(self.tracker.bank).values()) / 2**20)


class TransformersRunner:
    """Session of transformers on the same stream, plain SAM 2."""

    def __init__(self, segmenter: Sam2Segmenter, count: int) -> None:
        self.reference = Sam2Reference(segmenter)
        for box in boxes(count):
            self.reference.prompt(BoxPrompt(box))

    def step(self, image: np.ndarray) -> None:
        """Process one frame and copy the masks to the host, as the tracker does."""
        logits = self.reference.predict(image)[:, None]
        torch.nn.functional.interpolate(logits, size=(480, 640), mode="bilinear").gt(0).cpu().numpy()

    def memory_mb(self) -> float:
        """Return the size of all tensors of the session in MB."""
        total, stack, known_pointers = 0, [vars(self.reference.session)], set()
        while stack:
            item = stack.pop()
            if isinstance(item, torch.Tensor):
                if item.data_ptr() not in known_pointers:
                    known_pointers.add(item.data_ptr())
                    total += item.numel() * item.element_size()
            elif isinstance(item, dict):
                stack.extend(item.values())
            elif isinstance(item, (list, tuple)):
                stack.extend(item)
            elif hasattr(item, "__dict__"):
                stack.append(vars(item))
        return total / 2**20


def time_parts(segmenter: Sam2Segmenter, run: Callable[[], None]) -> dict[str, float]:
    """Return the milliseconds of the segmenter's functions during a run.

    Args:
        segmenter: segmenter whose functions are timed.
        run: function to run.
    """
    total_ms: dict[str, float] = defaultdict(float)
    originals = {name: getattr(segmenter, name) for name in PARTS}

    def timed(name: str) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            synchronize(segmenter.device)
            started = time.perf_counter()
            result = originals[name](*args, **kwargs)
            synchronize(segmenter.device)
            total_ms[name] += 1e3 * (time.perf_counter() - started)
            return result

        return call

    for name in PARTS:
        setattr(segmenter, name, timed(name))
    try:
        run()
    finally:
        for name, function in originals.items():
            setattr(segmenter, name, function)
    return dict(total_ms)


def measure(segmenter: Sam2Segmenter, count: int, frames: int, with_session: bool) -> dict[str, Any]:
    """Run both implementations on the same frames, alternating per frame, and return medians.

    Args:
        segmenter: network to run.
        count: number of objects.
        frames: number of timed frames.
        with_session: False runs the tracker alone.
    """
    rng = np.random.default_rng(1)
    images = [rng.integers(0, 255, (480, 640, 3), np.uint8) for _ in range(4)]
    runners: dict[str, TrackerRunner | TransformersRunner] = {"ours": TrackerRunner(segmenter, count)}
    if with_session:
        runners["session"] = TransformersRunner(segmenter, count)
    times: dict[str, list[float]] = {name: [] for name in runners}
    memory: dict[str, list[float]] = {name: [] for name in runners}
    for index in range(FILL_FRAMES + frames):
        for name, runner in runners.items():
            synchronize(segmenter.device)
            started = time.perf_counter()
            runner.step(images[index % len(images)])
            synchronize(segmenter.device)
            if index >= FILL_FRAMES:
                times[name].append(1e3 * (time.perf_counter() - started))
            if index in (FILL_FRAMES, FILL_FRAMES + frames - 1):
                memory[name].append(runner.memory_mb())
    row: dict[str, Any] = {"network": segmenter.name, "objects": count, "compiled": segmenter.static_shapes, "dtype": str(segmenter.dtype)}
    for name in runners:
        row[f"{name}_ms"] = round(float(np.median(times[name])), 2)
        row[f"{name}_held_mb"] = [round(value, 2) for value in memory[name]]
    if with_session:
        row["session_over_ours"] = round(float(np.median(np.array(times["session"]) / np.array(times["ours"]))), 2)
    ours = runners["ours"]

    def run_all() -> None:
        for image in images:
            ours.step(image)

    total_ms = time_parts(segmenter, run_all)
    row["parts_ms"] = {name: round(value / len(images), 2) for name, value in total_ms.items()}
    return row


def main() -> int:
    """Run all networks and numbers of objects."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=numbers_file, default="out/bench/tracking.json", help="JSON file to write (default: %(default)s)")
    parser.add_argument("--frames", type=int, default=8, help="timed frames, after all memories are full (default: %(default)s)")
    parser.add_argument("--objects", type=int, nargs="+", default=list(OBJECTS), help="numbers of objects (default: %(default)s)")
    parser.add_argument(
        "--networks",
        nargs="+",
        default=["toy", "tiny/256"],
        help="networks on the CPU, such as toy tiny/256 small/512 (default: %(default)s)",
    )
    options = parser.parse_args()
    cuda = torch.cuda.is_available()
    machine = torch.cuda.get_device_name() if cuda else platform.processor() or platform.machine()
    plan: list[tuple[str, Callable[[], Sam2Segmenter], bool]] = []
    for name in options.networks:
        size, _, pixels = name.partition("/")

        def make_on_cpu(size: str = size, pixels: str = pixels) -> Sam2Segmenter:
            return load_segmenter("toy", device="cpu") if size == "toy" else random_segmenter(size, int(pixels), "cpu", torch.float32)

        plan.append((name, make_on_cpu, True))
    if cuda:
        for size in SIZES:
            for pixels in (512, 1024):
                for compiled in (False, True):

                    def make(size: str = size, pixels: int = pixels, compiled: bool = compiled) -> Sam2Segmenter:
                        segmenter = random_segmenter(size, pixels, "cuda", torch.bfloat16)
                        if compiled:
                            segmenter.compile()
                        return segmenter

                    plan.append((f"{size}/{pixels}", make, not compiled))
    rows = []
    print(f"machine: {machine}, torch {torch.__version__}, {torch.get_num_threads()} threads")
    header = f"{'network':<16}{'objects':>8}{'ours ms':>10}{'fps':>7}{'session ms':>12}{'ratio':>7}"
    print(f"{header}  parts ms; memory in MB of ours, of the session")
    for _, make_segmenter, with_session in plan:
        segmenter = make_segmenter()
        for count in options.objects:
            row = measure(segmenter, count, options.frames, with_session)
            rows.append(row)
            parts = " ".join(f"{name} {value:g}" for name, value in row["parts_ms"].items())
            name = f"{row['network']}{' compiled' if row['compiled'] else ''}"
            session = f"{row.get('session_ms', float('nan')):>12.1f}{row.get('session_over_ours', float('nan')):>7.2f}"
            memory = f"{row['ours_held_mb']} {row.get('session_held_mb', '')}"
            print(f"{name:<16}{count:>8}{row['ours_ms']:>10.1f}{1e3 / row['ours_ms']:>7.1f}{session}  {parts}; {memory}", flush=True)
    write(options.out, {"machine": machine, "torch": torch.__version__, "rows": rows})
    return 0


if __name__ == "__main__":
    sys.exit(main())
