# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Memory over thousands of frames: live tensors, live Python objects and resident size.

Four cases: a tracker with changing objects, a tracker without objects, a session with text, prompts, corrections and removals, and a
backward pass from the newest frame.
The exit code is 1 when number or bytes of live tensors differ between frame 500 and the end. It is also 1 when the resident size grows
by more than 1 MB per thousand frames, or the number of live Python objects by more than 1 %. `make soak` runs this test.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import numpy as np
import torch

from bench.numbers_file import numbers_file, write
from lang2segtrack_ros.history.frame_history import FrameHistory
from lang2segtrack_ros.history.records import Record, RecordFile, frame_record
from lang2segtrack_ros.models.loading import load_detector, load_segmenter
from lang2segtrack_ros.session.session import Session
from lang2segtrack_ros.toyworld.scene import SceneFrame, demo_scene
from lang2segtrack_ros.tracking.stream_tracker import StreamTracker
from lang2segtrack_ros.types.frame import Frame
from lang2segtrack_ros.types.prompts import BoxPrompt, TextPrompt

CASES = ("objects", "empty", "session", "backward")
ROUND = 50  # frames between two changes of the objects
MAX_SLOPE_MB = 1.0
MAX_OBJECT_GROWTH = 0.01
SETTLED = 500
"""First frame that counts. Before it, queues, histories and allocators fill up."""


def live_tensors() -> tuple[int, int]:
    """Return number and bytes of the tensors that Python references."""
    gc.collect()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tensors = [item for item in gc.get_objects() if isinstance(item, torch.Tensor)]
    return len(tensors), sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def resident_mb() -> float:
    """Return the resident size of the process in MB, after the allocator has returned free memory."""
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 2**20


class Case(Protocol):
    """A case of the test."""

    @property
    def name(self) -> str:
        """Return a description of the case."""
        ...

    def step(self, index: int, shot: SceneFrame) -> None:
        """Process one frame."""
        ...


class TrackerCase:
    """A tracker whose objects change after each round.

    Args:
        with_objects: False runs without objects.
    """

    def __init__(self, with_objects: bool) -> None:
        self.name = "tracker, 1 to 3 changing objects" if with_objects else "tracker, no object"
        self._with_objects = with_objects
        self._tracker = StreamTracker(load_segmenter("toy", device="cpu"), "distractor")

    def step(self, index: int, shot: SceneFrame) -> None:
        """Process one frame."""
        if self._with_objects and index % ROUND == 0:
            for track_id in list(self._tracker.ids):
                self._tracker.remove(track_id)
            for body in range(1, 2 + (index // ROUND) % 3):
                self._tracker.add(BoxPrompt(_box(shot, body)))
        self._tracker.step(shot.color)


class SessionCase:
    """A session on small images: two texts, and in each round a new object, a correction of it, and its removal."""

    name = "session with text, prompts, corrections and removals"

    def __init__(self) -> None:
        self._session = Session(load_segmenter("toy", "cpu", 64), load_detector("toy", "cpu"), history=FrameHistory(5.0, 8))
        self._session.prompt(TextPrompt("red circle."))
        self._session.prompt(TextPrompt("blue star.", interval=11))
        self._track_id = 0

    def step(self, index: int, shot: SceneFrame) -> None:
        """Process one frame."""
        session, phase = self._session, index % ROUND
        if phase == 0:
            self._handle = session.prompt(BoxPrompt(_box(shot, 3), f"object {index}"))
        elif phase == 20 and self._track_id in session.state.tracks:
            session.prompt(BoxPrompt(_box(shot, 3), track_id=self._track_id))
        elif phase == 40 and self._track_id in session.state.tracks:
            session.remove(self._track_id)
        session.step(Frame(shot.color, index * 66_000_000))
        if phase == 0:
            (self._track_id,) = self._handle.future.result(timeout=0).track_ids


class BackwardCase:
    """A backward pass over frames with two objects that are only known on the newest frame. Its records are in a file.

    Args:
        frames: number of frames.
        shots: the images, which repeat.
    """

    name = "backward pass with two objects"

    def __init__(self, frames: int, shots: Sequence[SceneFrame]) -> None:
        self._shots, self._newest = shots, frames - 1
        self._folder = tempfile.TemporaryDirectory()
        session = Session(load_segmenter("toy", "cpu", 64))
        for body in (1, 2):
            session.prompt(BoxPrompt(_box(self._shot(self._newest), body), f"object {body}"))
        self._result = session.step(self.frame(self._newest))
        store = RecordFile(Path(self._folder.name) / "backward.jsonl")
        self._sweep = session.backward(past=self, store=store).sweep()

    def _shot(self, number: int) -> SceneFrame:
        return self._shots[number % len(self._shots)]

    def numbers(self) -> Sequence[int]:
        """Return the numbers of all frames."""
        return range(self._newest + 1)

    def frame(self, number: int) -> Frame:
        """Return a frame."""
        return Frame(self._shot(number).color, number * 66_000_000)

    def record(self, number: int) -> Record:
        """Return the forward result of a frame, which shows objects on the newest frame only."""
        result = self._result if number == self._newest else replace(self._result, tracks=(), prompted=())
        return frame_record(replace(result, index=number, stamp_ns=number * 66_000_000))

    def features(self, number: int) -> None:
        """Return None: no features are kept."""

    def step(self, index: int, shot: SceneFrame) -> None:
        """Process one frame of the sweep."""
        next(self._sweep)


def _box(shot: SceneFrame, body: int) -> tuple[float, float, float, float]:
    rows, columns = np.nonzero(shot.instances == body)
    return float(columns.min()), float(rows.min()), float(columns.max() + 1), float(rows.max() + 1)


def soak(frames: int, case: Case, shots: Sequence[SceneFrame]) -> dict[str, object]:
    """Run a case and return the memory use after each round.

    Args:
        frames: number of frames.
        case: the case.
        shots: the images, which repeat.
    """
    samples: list[tuple[int, float, int]] = []
    tensors: dict[int, tuple[int, int]] = {}
    started = time.monotonic()
    for index in range(frames):
        case.step(index, shots[index % len(shots)])
        if (index + 1) % (6 * ROUND) == 0:  # the number of objects and the phase of the clip are the same at each sample
            tensors[index + 1] = live_tensors()
            samples.append((index + 1, resident_mb(), len(gc.get_objects())))
            if (index + 1) % (30 * ROUND) == 0:
                rate = (index + 1) / (time.monotonic() - started)
                frame, size, objects = samples[-1]
                print(
                    f"  frame {frame}: {tensors[frame]} tensors, bytes; {objects} objects; {size:.1f} MB; {rate:.1f} frames/s", flush=True
                )
    frame_numbers, sizes, objects = np.array([sample for sample in samples if sample[0] >= SETTLED]).T
    slope_mb = float(np.polyfit(frame_numbers, sizes, 1)[0]) * 1000
    first, last = next(value for frame, value in tensors.items() if frame >= SETTLED), tensors[max(tensors)]
    return {
        "case": case.name,
        "frames": frames,
        "tensors_settled": first,
        "tensors_at_end": last,
        "objects": [int(objects[0]), int(objects[-1])],
        "rss_mb": [round(float(sizes[0]), 1), round(float(sizes[-1]), 1)],
        "rss_mb_per_1000_frames": round(slope_mb, 3),
        "ok": bool(first == last and slope_mb < MAX_SLOPE_MB and objects[-1] <= (1 + MAX_OBJECT_GROWTH) * objects[0]),
    }


def main() -> int:
    """Run all cases and write out/soak.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=5000, help="frames of each case (default: %(default)s)")
    parser.add_argument("--cases", nargs="+", choices=CASES, default=CASES, help="cases to run (default: all)")
    parser.add_argument("--out", type=numbers_file, default="out/soak.json", help="JSON file to write (default: %(default)s)")
    options = parser.parse_args()
    results = []
    scene = demo_scene(320, 240)
    shots = [scene.render(index) for index in range(100)]
    cases: dict[str, Callable[[], Case]] = {
        "objects": lambda: TrackerCase(True),
        "empty": lambda: TrackerCase(False),
        "session": SessionCase,
        "backward": lambda: BackwardCase(options.frames, shots),
    }
    for name in options.cases:
        case = cases[name]()
        print(f"{options.frames} frames, {case.name}", flush=True)
        results.append(soak(options.frames, case, shots))
        print(f"  {results[-1]}", flush=True)
    write(options.out, results)
    return 0 if all(result["ok"] for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
