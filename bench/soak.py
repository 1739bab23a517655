# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Memory over thousands of frames: live tensors and resident size, with changing objects and without any object.

The exit code is 1 when number or bytes of live tensors differ between frame 500 and the end. It is also 1 when the resident size grows
by more than 1 MB per thousand frames. `make soak` runs this test.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import torch

from bench.numbers_file import numbers_file, write
from lang2segtrack_ros.models.loading import load_segmenter
from lang2segtrack_ros.toyworld.scene import demo_scene
from lang2segtrack_ros.tracking.stream_tracker import StreamTracker
from lang2segtrack_ros.types.prompts import BoxPrompt

ROUND = 50  # frames between two changes of the objects
MAX_SLOPE_MB = 1.0


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


def soak(frames: int, with_objects: bool) -> dict[str, object]:
    """Run a tracker and return the memory use after each round.

    Args:
        frames: number of frames.
        with_objects: True changes the objects after each round; False runs without objects.
    """
    scene = demo_scene(320, 240)
    shots = [scene.render(index) for index in range(100)]
    tracker = StreamTracker(load_segmenter("toy", device="cpu"), "distractor")
    samples: list[tuple[int, float]] = []
    tensors: dict[int, tuple[int, int]] = {}
    started = time.monotonic()
    for index in range(frames):
        shot = shots[index % len(shots)]
        if with_objects and index % ROUND == 0:
            for track_id in list(tracker.ids):
                tracker.remove(track_id)
            for body in range(1, 2 + (index // ROUND) % 3):
                rows, columns = np.nonzero(shot.instances == body)
                tracker.add(BoxPrompt((columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)))
        tracker.step(shot.color)
        if (index + 1) % (3 * ROUND) == 0:  # the number of objects is the same at each sample
            tensors[index + 1] = live_tensors()
            samples.append((index + 1, resident_mb()))
            if (index + 1) % (30 * ROUND) == 0:
                rate = (index + 1) / (time.monotonic() - started)
                print(f"  frame {index + 1}: {tensors[index + 1]} tensors, bytes; {samples[-1][1]:.1f} MB; {rate:.1f} frames/s", flush=True)
    late_samples = [(frame, size) for frame, size in samples if frame >= 500]
    frame_numbers, sizes = np.array(late_samples).T
    slope_mb = float(np.polyfit(frame_numbers, sizes, 1)[0]) * 1000
    first, last = next(value for frame, value in tensors.items() if frame >= 500), tensors[max(tensors)]
    return {
        "frames": frames,
        "objects": "1 to 3, changing" if with_objects else "none",
        "tensors_after_500": first,
        "tensors_at_end": last,
        "rss_mb": [round(late_samples[0][1], 1), round(late_samples[-1][1], 1)],
        "rss_mb_per_1000_frames": round(slope_mb, 3),
        "ok": first == last and slope_mb < MAX_SLOPE_MB,
    }


def main() -> int:
    """Run both cases and write out/soak.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=5000, help="frames of each case (default: %(default)s)")
    parser.add_argument("--out", type=numbers_file, default="out/soak.json", help="JSON file to write (default: %(default)s)")
    options = parser.parse_args()
    results = []
    for with_objects in (True, False):
        print(f"{options.frames} frames, {'changing objects' if with_objects else 'no object'}", flush=True)
        results.append(soak(options.frames, with_objects))
        print(f"  {results[-1]}", flush=True)
    write(options.out, results)
    return 0 if all(result["ok"] for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
