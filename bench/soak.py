#!/usr/bin/env python3
# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Memory over thousands of frames: live tensors and resident size, with objects coming and going, and without any object.

Exit code 1 when the number or bytes of live tensors differ between frame 500 and the end, or the resident size grows by more than
1 MB a thousand frames. Run it with `make soak`.
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
from numbers_file import numbers_file, write

from lang2segtrack_ros.models.loading import load_segmenter
from lang2segtrack_ros.toyworld.scene import demo_scene
from lang2segtrack_ros.tracking.stream_tracker import StreamTracker
from lang2segtrack_ros.types.prompts import BoxPrompt

ROUND = 50  # frames from one change of objects to the next
MAX_SLOPE_MB = 1.0


def live_tensors() -> tuple[int, int]:
    """Number and bytes of the tensors that Python knows."""
    gc.collect()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tensors = [item for item in gc.get_objects() if isinstance(item, torch.Tensor)]
    return len(tensors), sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def resident_mb() -> float:
    """Resident size of the process, after the allocator has given back what it can."""
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 2**20


def soak(frames: int, with_objects: bool) -> dict[str, object]:
    """Runs a tracker and returns what it held after each round."""
    scene = demo_scene(320, 240)
    shots = [scene.render(index) for index in range(100)]
    tracker = StreamTracker(load_segmenter("toy", device="cpu"), "distractor")
    samples: list[tuple[int, float]] = []
    tensors: dict[int, tuple[int, int]] = {}
    began = time.monotonic()
    for index in range(frames):
        shot = shots[index % len(shots)]
        if with_objects and index % ROUND == 0:
            for track_id in list(tracker.ids):
                tracker.remove(track_id)
            for body in range(1, 2 + (index // ROUND) % 3):
                rows, columns = np.nonzero(shot.instances == body)
                tracker.add(BoxPrompt((columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)))
        tracker.step(shot.color)
        if (index + 1) % (3 * ROUND) == 0:  # the same number of objects each time
            tensors[index + 1] = live_tensors()
            samples.append((index + 1, resident_mb()))
            if (index + 1) % (30 * ROUND) == 0:
                rate = (index + 1) / (time.monotonic() - began)
                print(f"  frame {index + 1}: {tensors[index + 1]} tensors, bytes; {samples[-1][1]:.1f} MB; {rate:.1f} frames/s", flush=True)
    settled = [(frame, size) for frame, size in samples if frame >= 500]
    slope = float(np.polyfit(*np.array(settled).T, 1)[0]) * 1000
    first, last = next(value for frame, value in tensors.items() if frame >= 500), tensors[max(tensors)]
    return {
        "frames": frames,
        "objects": "1 to 3, changing" if with_objects else "none",
        "tensors_after_500": first,
        "tensors_at_end": last,
        "rss_mb": [round(settled[0][1], 1), round(settled[-1][1], 1)],
        "rss_mb_per_1000_frames": round(slope, 3),
        "ok": first == last and slope < MAX_SLOPE_MB,
    }


def main() -> int:
    """Both runs; writes out/soak.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=5000)
    parser.add_argument("--out", type=numbers_file, default="out/soak.json")
    options = parser.parse_args()
    results = []
    for with_objects in (True, False):
        print(f"{options.frames} frames, {'objects come and go' if with_objects else 'no object'}", flush=True)
        results.append(soak(options.frames, with_objects))
        print(f"  {results[-1]}", flush=True)
    write(options.out, results)
    return 0 if all(result["ok"] for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
