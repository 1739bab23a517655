#!/usr/bin/env python3
# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Speed of the tracker against transformers' own Sam2VideoModel session: same weights, same frames, same process, turn by turn.

Writes one JSON and prints one table: frames a second and milliseconds of each part for 1, 2, 4, 8, 16 objects. On a CPU: the toy
network and tiny at 256 px with random weights; on a GPU also tiny, small, base plus and large at 512 and 1024 px in bfloat16, with and
without torch.compile (random weights do for speed). Absolute numbers depend on the machine, which is named; compare ratios.
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
from numbers_file import numbers_file, write

from lang2segtrack_ros.models.conversion import make_config
from lang2segtrack_ros.models.loading import load_segmenter, resized
from lang2segtrack_ros.segmentation.sam2 import Sam2Segmenter
from lang2segtrack_ros.tracking.stream_tracker import StreamTracker
from lang2segtrack_ros.types.prompts import BoxPrompt

OBJECTS = (1, 2, 4, 8, 16)
PARTS = ("preprocess", "encode", "attend", "decode", "encode_memory")
FILL = 17  # frames after which all rings are full
SIZES = {"tiny": (96, 12, 7), "small": (96, 16, 7), "base-plus": (112, 24, 14), "large": (144, 48, 7)}


def random_segmenter(size: str, image_size: int, device: str, dtype: torch.dtype) -> Sam2Segmenter:
    """SAM 2.1 of a published size with random weights."""
    from transformers import Sam2VideoModel

    width, blocks, side = SIZES[size]
    shapes = {f"vision_encoder.backbone.blocks.{block}.x": torch.empty(0) for block in range(blocks)}
    config = resized(make_config({**shapes, "vision_encoder.backbone.pos_embed": torch.empty(1, width, side, side)}), image_size)
    torch.manual_seed(0)
    model = Sam2VideoModel(config).eval().requires_grad_(False)
    # Objects must count as visible, as they would with trained weights.
    model.mask_decoder.pred_obj_score_head.proj_out.bias.fill_(4.0)
    return Sam2Segmenter(model.to(device), f"{size}/{image_size}", dtype)


def boxes(count: int) -> list[tuple[float, float, float, float]]:
    """Boxes on a 640 x 480 image."""
    rng = np.random.default_rng(0)
    return [(float(x), float(y), float(x + 80), float(y + 80)) for x, y in rng.integers(0, (560, 400), (count, 2))]


def wait(device: torch.device) -> None:
    """Lets a GPU finish what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


class Ours:
    """Our tracker on one stream."""

    def __init__(self, segmenter: Sam2Segmenter, count: int) -> None:
        self.tracker = StreamTracker(segmenter, "samurai", max_objects=count)
        for box in boxes(count):
            self.tracker.add(BoxPrompt(box))

    def step(self, image: np.ndarray) -> None:
        """One frame."""
        self.tracker.step(image)

    def held_mb(self) -> float:
        """Size of all that the objects remember."""
        return sum(item.numel() * item.element_size() for item in vars(self.tracker.bank).values()) / 2**20


class Session:
    """transformers' session on the same stream, plain SAM 2."""

    def __init__(self, segmenter: Sam2Segmenter, count: int) -> None:
        from transformers.models.sam2_video.modeling_sam2_video import Sam2VideoInferenceSession

        self.segmenter = segmenter
        number = torch.bfloat16 if segmenter.dtype == torch.bfloat16 else torch.float32
        device = segmenter.device
        self.session = Sam2VideoInferenceSession(video_height=480, video_width=640, inference_device=device, dtype=number)
        scale = torch.tensor([segmenter.image_size / 640, segmenter.image_size / 480])
        for number_of_object, box in enumerate(boxes(count), start=1):
            row = self.session.obj_id_to_idx(number_of_object)
            corners = (torch.tensor(box).view(2, 2) * scale)[None, None].to(device)
            labels = torch.tensor([[[2, 3]]], dtype=torch.int32, device=device)
            self.session.add_point_inputs(row, 0, {"point_coords": corners, "point_labels": labels})
            self.session.obj_with_new_inputs.append(number_of_object)

    @torch.inference_mode()
    def step(self, image: np.ndarray) -> None:
        """One frame, masks brought to the host as ours are."""
        with self.segmenter._mixed():
            output = self.segmenter.model(inference_session=self.session, frame=self.segmenter.preprocess(image)[0])
        torch.nn.functional.interpolate(output.pred_masks.float(), size=(480, 640), mode="bilinear").gt(0).cpu().numpy()

    def held_mb(self) -> float:
        """Size of all tensors in the session."""
        total, stack, seen = 0, [vars(self.session)], set()
        while stack:
            item = stack.pop()
            if isinstance(item, torch.Tensor):
                if item.data_ptr() not in seen:
                    seen.add(item.data_ptr())
                    total += item.numel() * item.element_size()
            elif isinstance(item, dict):
                stack.extend(item.values())
            elif isinstance(item, (list, tuple)):
                stack.extend(item)
            elif hasattr(item, "__dict__"):
                stack.append(vars(item))
        return total / 2**20


def parts_of(segmenter: Sam2Segmenter, run: Callable[[], None]) -> dict[str, float]:
    """Milliseconds that the segmenter's functions take while something runs."""
    spent: dict[str, float] = defaultdict(float)
    originals = {name: getattr(segmenter, name) for name in PARTS}

    def timed(name: str) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            wait(segmenter.device)
            began = time.perf_counter()
            result = originals[name](*args, **kwargs)
            wait(segmenter.device)
            spent[name] += 1e3 * (time.perf_counter() - began)
            return result

        return call

    for name in PARTS:
        setattr(segmenter, name, timed(name))
    try:
        run()
    finally:
        for name, function in originals.items():
            setattr(segmenter, name, function)
    return dict(spent)


def measure(segmenter: Sam2Segmenter, count: int, frames: int, with_session: bool) -> dict[str, Any]:
    """Both on the same frames, a frame each in turn; medians."""
    rng = np.random.default_rng(1)
    images = [rng.integers(0, 255, (480, 640, 3), np.uint8) for _ in range(4)]
    runners: dict[str, Ours | Session] = {"ours": Ours(segmenter, count)}
    if with_session:
        runners["session"] = Session(segmenter, count)
    times: dict[str, list[float]] = {name: [] for name in runners}
    held: dict[str, list[float]] = {name: [] for name in runners}
    for index in range(FILL + frames):
        for name, runner in runners.items():
            wait(segmenter.device)
            began = time.perf_counter()
            runner.step(images[index % len(images)])
            wait(segmenter.device)
            if index >= FILL:
                times[name].append(1e3 * (time.perf_counter() - began))
            if index in (FILL, FILL + frames - 1):
                held[name].append(runner.held_mb())
    row: dict[str, Any] = {"network": segmenter.name, "objects": count, "compiled": segmenter.static_shapes, "dtype": str(segmenter.dtype)}
    for name in runners:
        row[f"{name}_ms"] = round(float(np.median(times[name])), 2)
        row[f"{name}_held_mb"] = [round(value, 2) for value in held[name]]
    if with_session:
        row["session_over_ours"] = round(float(np.median(np.array(times["session"]) / np.array(times["ours"]))), 2)
    ours = runners["ours"]
    spent = parts_of(segmenter, lambda: [ours.step(image) for image in images] and None)
    row["parts_ms"] = {name: round(value / len(images), 2) for name, value in spent.items()}
    return row


def main() -> int:
    """All networks and numbers of objects."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=numbers_file, default="out/bench/tracking.json")
    parser.add_argument("--frames", type=int, default=8, help="frames that are timed, after the rings are full (default: %(default)s)")
    parser.add_argument("--objects", type=int, nargs="+", default=list(OBJECTS))
    parser.add_argument("--networks", nargs="+", default=["toy", "tiny/256"], help="on the CPU; such as toy tiny/256 small/512")
    options = parser.parse_args()
    cuda = torch.cuda.is_available()
    machine = torch.cuda.get_device_name() if cuda else platform.processor() or platform.machine()
    plan: list[tuple[str, Callable[[], Sam2Segmenter], bool]] = []
    for name in options.networks:
        size, _, pixels = name.partition("/")
        load = (lambda: load_segmenter("toy", device="cpu")) if size == "toy" else None
        plan.append((name, load or (lambda size=size, pixels=pixels: random_segmenter(size, int(pixels), "cpu", torch.float32)), True))
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
    print(
        f"{'network':<16}{'objects':>8}{'ours ms':>10}{'fps':>7}{'session ms':>12}{'ratio':>7}  parts ms; MB held by ours, by the session"
    )
    for _, make_segmenter, with_session in plan:
        segmenter = make_segmenter()
        for count in options.objects:
            row = measure(segmenter, count, options.frames, with_session)
            rows.append(row)
            parts = " ".join(f"{name} {value:g}" for name, value in row["parts_ms"].items())
            name = f"{row['network']}{' compiled' if row['compiled'] else ''}"
            session = f"{row.get('session_ms', float('nan')):>12.1f}{row.get('session_over_ours', float('nan')):>7.2f}"
            held = f"{row['ours_held_mb']} {row.get('session_held_mb', '')}"
            print(f"{name:<16}{count:>8}{row['ours_ms']:>10.1f}{1e3 / row['ours_ms']:>7.1f}{session}  {parts}; {held}", flush=True)
    write(options.out, {"machine": machine, "torch": torch.__version__, "rows": rows})
    return 0


if __name__ == "__main__":
    sys.exit(main())
