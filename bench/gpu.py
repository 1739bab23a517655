# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Speed on one GPU: the tracker with and without CUDA graphs and torch.compile, transformers' session, the reference, and the detector.

The networks have random weights of the published sizes, which suffice for speed. The cases run in order of importance, and each one is
written at once, so a run that ends early leaves a table. Writes out/bench/gpu.json, gpu.txt and gpu.png.

On a machine without a GPU, `--device cpu --networks toy` runs every kind of case once, to test the script.
"""

from __future__ import annotations

import argparse
import gc
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field

import numpy as np
import torch

from bench.gpu_reference import reference_step
from bench.gpu_report import draw, table
from bench.network import HEAD, Pair, compare
from bench.numbers_file import numbers_file, write
from bench.tracking import TIMED_FRAMES, TransformersRunner, boxes, median_ms, random_segmenter
from lang2segtrack_ros.detection.grounding_dino import GroundingDinoDetector
from lang2segtrack_ros.models.loading import load_detector, load_segmenter
from lang2segtrack_ros.segmentation.sam2 import Sam2Segmenter
from lang2segtrack_ros.session.options import SessionOptions
from lang2segtrack_ros.session.session import Session
from lang2segtrack_ros.tracking.stream_tracker import StreamTracker
from lang2segtrack_ros.types.frame import Frame
from lang2segtrack_ros.types.prompts import BoxPrompt, TextPrompt

HEIGHT, WIDTH = 480, 640
PERIOD_NS = 33_333_333


@dataclass
class Row:
    """One measured case.

    Attributes:
        case: kind of the case, such as "graphs" or "reference".
        network: size and input size, such as "tiny/1024".
        objects: number of objects.
        ms: median time of a frame in milliseconds; None if the case failed or was left out.
        note: everything else: an error, or further numbers.
        numbers: further numbers by name.
    """

    case: str
    network: str
    objects: int
    ms: float | None = None
    note: str = ""
    numbers: dict[str, float] = field(default_factory=dict)


def images() -> list[np.ndarray]:
    """Return four noise images: RGB uint8 [480, 640, 3]."""
    rng = np.random.default_rng(1)
    return [rng.integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8) for _ in range(4)]


class Bench:
    """All cases on one device.

    Args:
        device: device of the networks.
        dtype: number format of the networks.

    Attributes:
        pairs: parts of the segmenter in their plain and in their fast form.
    """

    def __init__(self, device: str, dtype: torch.dtype) -> None:
        self.pairs: list[Pair] = []
        self.device = torch.device(device)
        self.dtype = dtype
        self._images = images()

    def segmenter(self, network: str) -> Sam2Segmenter:
        """Return a segmenter: "toy", or a published size and an input size such as "tiny/1024"."""
        if network == "toy":
            return load_segmenter("toy", str(self.device), acceleration="off")
        size, _, pixels = network.partition("/")
        return random_segmenter(size, int(pixels), str(self.device), self.dtype)

    def tracker(self, network: str, objects: int, acceleration: str) -> StreamTracker:
        """Return a tracker with box prompts."""
        segmenter = self.segmenter(network)
        if acceleration in ("compile", "max"):
            segmenter.compile(mode="max-autotune-no-cudagraphs" if acceleration == "max" else None)
        tracker = StreamTracker(segmenter, "samurai", max_objects=objects)
        if acceleration in ("graphs", "max"):
            static = tracker.prepare(objects)
            if static.failure:
                raise RuntimeError(static.failure)
        for box in boxes(objects):
            tracker.add(BoxPrompt(box))
        return tracker

    def track(self, row: Row) -> None:
        """Measure the tracker, the launches of a frame and the memory, and compare the masks with those of eager frames."""
        tracker = self.tracker(row.network, row.objects, row.case)
        row.ms = median_ms(lambda index: tracker.step(self._images[index % 4]), self.device)
        if tracker.static is not None:
            row.numbers |= {"prepare_s": tracker.static.seconds, "static_frames": tracker.static.frames["static"]}
        row.numbers["launches"] = self.launches(lambda: tracker.step(self._images[0]))
        if row.case != "off":
            row.numbers["mask_difference"] = self.difference(row)

    def difference(self, row: Row, frames: int = 6) -> float:
        """Return the mean share of mask pixels that differ between this case and eager frames, on the first frames."""
        one, two = (self.tracker(row.network, row.objects, case) for case in (row.case, "off"))
        shares = []
        for index in range(frames):
            for a, b in zip(one.step(self._images[index % 4]), two.step(self._images[index % 4])):
                shares.append(float((a.mask != b.mask).mean()))
        return float(np.mean(shares))

    def launches(self, step: Callable[[], object]) -> float:
        """Return the number of kernels, graphs and copies that the host launches in one step. 0 without a GPU."""
        if self.device.type != "cuda":
            return 0.0
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU, torch.profiler.ProfilerActivity.CUDA]) as profiler:
            step()
            torch.cuda.synchronize()
        names = ("cudaLaunchKernel", "cuLaunchKernel", "cudaLaunchKernelExC", "cudaGraphLaunch", "cudaMemcpyAsync", "cudaMemsetAsync")
        return float(sum(item.count for item in profiler.key_averages() if item.key in names))

    def parts(self, row: Row) -> None:
        """Measure the parts of the segmenter in their plain and in their fast form, for up to `row.objects` objects."""
        self.pairs = compare(row.network, str(self.device), self.dtype, [count for count in (1, 4, 16) if count <= row.objects])
        row.ms = sum(pair.fast_ms for pair in self.pairs)
        row.numbers["plain_ms"] = sum(pair.plain_ms for pair in self.pairs)

    def transformers(self, row: Row) -> None:
        """Measure the session of transformers on the same weights."""
        runner = TransformersRunner(self.segmenter(row.network), row.objects)
        row.ms = median_ms(lambda index: runner.step(self._images[index % 4]), self.device, frames=10)

    def reference(self, row: Row) -> None:
        """Measure the video predictor of the package sam2; `reference_vos_optimized` is its compiled form."""
        with reference_step(row.network, boxes(row.objects), self._images, self.device, row.case == "reference_vos_optimized") as step:
            row.ms = median_ms(step, self.device, frames=20)

    def make_detector(self, network: str, uses_graphs: bool) -> GroundingDinoDetector:
        """Return the toy detector, or Grounding DINO tiny with random weights."""
        toy = load_detector("toy", str(self.device), acceleration="off") if network == "toy" else None
        detector = toy if isinstance(toy, GroundingDinoDetector) else random_detector(self.device, self.dtype)
        detector.acceleration = "graphs" if uses_graphs else "off"
        return detector

    def detector(self, row: Row) -> None:
        """Measure the detector alone, on an image of 800 x 1067 pixels, and compare its scores with those without graphs."""
        detector = self.make_detector(row.network, row.case == "detector graphs")
        image = np.random.default_rng(2).integers(0, 255, (600, 800, 3), np.uint8)
        phrases = ["red circle", "blue star", "green triangle", "yellow square"][: row.objects]
        found = [detector.detect(image, phrases, [0.0] * len(phrases))]
        started = time.perf_counter()
        detector.prepare([image.shape[:2]], 60.0, lambda _: None)
        if detector.static.failure:
            raise RuntimeError(detector.static.failure)
        row.numbers["prepare_s"] = time.perf_counter() - started
        found.append(detector.detect(image, phrases, [0.0] * len(phrases)))
        row.numbers["score_difference"] = max(abs(a.score - b.score) for a, b in zip(*found))
        row.ms = median_ms(lambda _: detector.detect(image, phrases, [1.0] * len(phrases)), self.device, fill=5)
        row.numbers["static"] = detector.static.detections["static"]
        row.numbers["launches"] = self.launches(lambda: detector.detect(image, phrases, [1.0] * len(phrases)))

    def session(self, row: Row) -> None:
        """Measure a session with boxes, and with a continuous text on the background detector if the case says so."""
        segmenter = self.segmenter(row.network)
        segmenter.acceleration = "graphs" if self.device.type == "cuda" else "off"
        with_text = row.case == "session with text"
        detector = self.make_detector(row.network, True) if with_text else None
        session = Session(segmenter, detector, background=True, options=SessionOptions(max_objects=row.objects))
        session.prepare()
        for box in boxes(row.objects):
            session.prompt(BoxPrompt(box))
        if with_text:
            session.prompt(TextPrompt("red circle. blue star."))
        try:
            row.ms = median_ms(lambda index: self._session_step(session, index), self.device, frames=60)
            row.numbers["detections"] = session.detections.runs
        finally:
            session.close()

    def _session_step(self, session: Session, index: int) -> None:
        session.step(Frame(self._images[index % 4], index * PERIOD_NS))

    def long_run(self, row: Row) -> None:
        """Run thousands of frames with objects that come and go, and report the growth of memory."""
        tracker = self.tracker(row.network, row.objects, row.case.removeprefix("long "))
        used = []
        rng = np.random.default_rng(3)
        frames = int(row.numbers.pop("frames"))
        started = time.perf_counter()
        for index in range(frames):
            if index % 50 == 49:
                tracker.remove(int(rng.choice(tracker.ids)))
                tracker.add(BoxPrompt(boxes(row.objects)[index % row.objects]))
            tracker.step(self._images[index % 4])
            if index in (frames // 10, frames - 1):
                used.append(torch.cuda.memory_allocated() / 1e6 if self.device.type == "cuda" else 0.0)
        row.ms = 1e3 * (time.perf_counter() - started) / frames
        row.numbers |= {"frames": frames, "growth_mb": used[1] - used[0]}


def random_detector(device: torch.device, dtype: torch.dtype) -> GroundingDinoDetector:
    """Return Grounding DINO tiny with random weights and a small vocabulary."""
    from transformers import GroundingDinoConfig, GroundingDinoForObjectDetection

    from lang2segtrack_ros.models.loading import find_folder

    torch.manual_seed(0)
    config = GroundingDinoConfig(disable_custom_kernels=True)
    model = GroundingDinoForObjectDetection(config).eval().requires_grad_(False).to(device)
    detector = GroundingDinoDetector.from_folder(model, find_folder("toy", "detector"), "random", dtype, None)
    detector.shortest_edge, detector.longest_edge = 800, 1333
    return detector


def plan(bench: Bench, networks: list[str], counts: list[int], long_frames: int) -> Iterator[tuple[Row, Callable[[Row], None]]]:
    """Yield the cases in order of importance, each with the function that measures it."""
    first = networks[0]
    for network in networks:
        for objects in counts:
            yield Row("off", network, objects), bench.track
            yield Row("graphs", network, objects), bench.track
    yield Row("parts", first, max(counts)), bench.parts
    for case in ("detector off", "detector graphs"):
        yield Row(case, first if first == "toy" else "grounding-dino-tiny", 4), bench.detector
    for case in ("session", "session with text"):
        yield Row(case, first, min(3, max(counts))), bench.session
    for objects in counts[:3]:
        yield Row("transformers", first, objects), bench.transformers
        yield Row("reference", first, objects), bench.reference
    yield Row("long graphs", first, min(4, max(counts)), numbers={"frames": float(long_frames)}), bench.long_run
    for case in ("compile", "max"):
        for objects in counts[:2]:
            yield Row(case, first, objects), bench.track
    yield Row("reference_vos_optimized", first, 1), bench.reference


def measure(row: Row, run: Callable[[Row], None], device: torch.device) -> None:
    """Measure one case. An error becomes the note of its row, because the other cases still count."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    try:
        with torch.inference_mode():
            run(row)
    except Exception as error:  # CUDA, compilers and missing packages raise many types
        row.ms = None
        row.note = f"{type(error).__name__}: {error}".splitlines()[0][:200]
    if device.type == "cuda":
        row.numbers["peak_mb"] = torch.cuda.max_memory_allocated() / 1e6
    torch.compiler.reset()
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()


def main() -> int:
    """Run the cases until the time is up."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", help="device (default: %(default)s)")
    networks = ["tiny/1024", "tiny/512", "large/1024", "large/512"]
    parser.add_argument("--networks", nargs="+", default=networks, help="networks, first the main one (default: %(default)s)")
    parser.add_argument("--objects", type=int, nargs="+", default=[1, 4, 16, 32, 64, 128], help="numbers of objects")
    parser.add_argument("--long-frames", type=int, default=2000, help="frames of the long run (default: %(default)s)")
    parser.add_argument("--max-seconds", type=float, default=480, help="time after which no case begins (default: %(default)g)")
    parser.add_argument("--out", type=numbers_file, default="out/bench/gpu.json", help="JSON file; a text and a picture stand beside it")
    options = parser.parse_args()
    if options.device.startswith("cuda") and not torch.cuda.is_available():
        hint = "run on a machine with one, or test the script with --device cpu --networks toy"
        print(f"torch {torch.__version__} finds no GPU: {hint}", file=sys.stderr)
        return 1
    bench = Bench(options.device, torch.bfloat16 if options.device.startswith("cuda") else torch.float32)
    machine = torch.cuda.get_device_name() if bench.device.type == "cuda" else "CPU"
    head = f"{machine}, torch {torch.__version__}, {WIDTH} x {HEIGHT} images, {bench.dtype}, median of {TIMED_FRAMES} frames"
    print(head, flush=True)
    rows: list[Row] = []
    began = time.monotonic()
    for row, run in plan(bench, options.networks, options.objects, options.long_frames):
        if time.monotonic() - began > options.max_seconds:
            row.note = "left out: no time"
        else:
            measure(row, run, bench.device)
        rows.append(row)
        print(table([row], head=False), flush=True)
        numbers = {"rows": [asdict(item) for item in rows], "parts": [asdict(pair) for pair in bench.pairs]}
        write(options.out, {"machine": head, "seconds": time.monotonic() - began, **numbers})
        parts = "\n".join(pair.line() for pair in bench.pairs)
        options.out.with_suffix(".txt").write_text(f"{head}\n{table(rows)}\n\n{HEAD}\n{parts}\n", encoding="utf-8")
    draw(rows, head, options.out.with_suffix(".png"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
