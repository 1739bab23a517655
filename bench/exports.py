# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Time, memory and size of each export format on a long trace of synthetic masks, without images.

Each format runs in a process of its own. Memory is the growth of the peak resident size of this process during the export. A tenth of
the trace is exported, too: memory that grew with the number of images would show as a difference. Prints a table.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import resource
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from lang2segtrack_ros.history.records import dumps, frame_record
from lang2segtrack_ros.io.exports.pictures import Pictures
from lang2segtrack_ros.io.exports.registry import FORMATS
from lang2segtrack_ros.io.exports.trace import Trace
from lang2segtrack_ros.recordings.exporting import write_exports
from lang2segtrack_ros.types.results import FrameResult, Track, TrackStatus
from lang2segtrack_ros.types.rle import mask_box

FPS = 30
HEIGHT, WIDTH = 480, 640
_HIDDEN_EVERY, _HIDDEN = 300, 30  # each object is hidden for a second in ten


def blob(track_id: int, number: int) -> NDArray[np.bool_]:
    """Return a mask that moves, turns and changes its outline, bool [480, 640].

    Args:
        track_id: id of the object.
        number: number of the image.
    """
    angles = np.linspace(0, 2 * math.pi, 60, endpoint=False)
    phase = number / 40 + track_id
    radius = 45 + 8 * np.sin(5 * angles + phase) + 3 * np.sin(17 * angles - 2 * phase)
    x = WIDTH / 2 + 230 * math.sin(phase / 3 + track_id) + radius * np.cos(angles)
    y = HEIGHT / 2 + 160 * math.cos(phase / 4 + 2 * track_id) + radius * np.sin(angles)
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    cv2.fillPoly(mask, [np.stack((x, y), axis=1).round().astype(np.int32)], 1)
    return mask.astype(bool)


def write_trace(path: Path, images: int, objects: int) -> None:
    """Write a trace of this many images and objects."""
    nan = float("nan")
    with path.open("wb") as file:
        for number in range(images):
            tracks = []
            for track_id in range(1, objects + 1):
                mask = blob(track_id, number)
                if (number + 50 * track_id) % _HIDDEN_EVERY < _HIDDEN:
                    mask[:] = False
                box = mask_box(mask)
                state = TrackStatus.OCCLUDED if box is None else TrackStatus.TRACKED
                tracks.append(Track(track_id, f"object {track_id % 3}", state, 0.5 + track_id / 20, box, mask, 0.9, 5.0, nan, 0))
            file.write(dumps(frame_record(FrameResult(round(number * 1e9 / FPS), number, HEIGHT, WIDTH, tuple(tracks)))))


@dataclass(frozen=True)
class Cost:
    """The cost of one export.

    Attributes:
        seconds: duration.
        megabytes: growth of the peak resident size.
        size: megabytes of all files.
        files: number of files.
    """

    seconds: float
    megabytes: float
    size: float
    files: int


def _measure(trace: Path, name: str, folder: Path) -> Cost:
    before = _peak()
    began = time.perf_counter()
    write_exports(Trace(trace, "clip"), [FORMATS[name]], [folder], Pictures(), lambda *_: None)
    seconds, growth = time.perf_counter() - began, _peak() - before  # the list of files would add to the peak
    sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
    return Cost(seconds, growth, sum(sizes) / 1e6, len(sizes))


def _peak() -> float:
    """Return the peak resident size of this process in megabytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def measure(trace: Path, name: str, folder: Path) -> Cost:
    """Export in a fresh process."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_measure, (trace, name, folder))


def main() -> int:
    """Measure each format, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0, help="duration of the trace, at 30 images per second (default: %(default)s)")
    parser.add_argument("--objects", type=int, default=3, help="number of objects (default: %(default)s)")
    parser.add_argument("--formats", nargs="+", choices=FORMATS, default=list(FORMATS), help="formats (default: all)")
    options = parser.parse_args()
    images = max(2, round(options.minutes * 60 * FPS))
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        write_trace(root / "whole.jsonl", images, options.objects)
        with (root / "whole.jsonl").open("rb") as source, (root / "part.jsonl").open("wb") as target:
            target.writelines(source.readline() for _ in range(images // 10))
        megabytes = (root / "whole.jsonl").stat().st_size / 1e6
        print(f"{images} images of {WIDTH} x {HEIGHT}, {options.objects} objects, trace of {megabytes:.0f} MB\n")
        columns = ("format", "s", "images per second", "memory, MB", "for a tenth, MB", "files", "size, MB")
        print(f"| {' | '.join(columns)} |\n{'|---' * len(columns)}|")
        for name in options.formats:
            part = measure(root / "part.jsonl", name, root / "part" / name)
            cost = measure(root / "whole.jsonl", name, root / "whole" / name)
            memory = f"{cost.megabytes:.0f} | {part.megabytes:.0f}"
            speed = f"{cost.seconds:.0f} | {images / cost.seconds:.0f}"
            print(f"| `{name}` | {speed} | {memory} | {cost.files} | {cost.size:.0f} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
