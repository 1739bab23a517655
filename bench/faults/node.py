# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""track_node, with places at which it can be made to fail from outside.

A file in the folder $LANG2SEGTRACK_FAULTS is a fault that waits to happen; its name says where, its contents how often or from which
number on. Without files this is track_node.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from lang2segtrack_ros.detection.grounding_dino import GroundingDinoDetector
from lang2segtrack_ros.ros.nodes import track_node
from lang2segtrack_ros.ros.outputs.publisher import Outputs
from lang2segtrack_ros.segmentation.sam2 import Sam2Segmenter
from lang2segtrack_ros.session.engine_thread import EngineThread

FOLDER = "LANG2SEGTRACK_FAULTS"
OUT = "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 8.00 GiB of which 12.44 MiB is free."


def limit_of(fault: str) -> float:
    """The number in a fault's file, infinity when there is none."""
    try:
        return float((Path(os.environ[FOLDER]) / fault).read_text())
    except (OSError, ValueError):
        return float("inf")


def happens(fault: str) -> bool:
    """Whether a fault that happens a number of times happens now; counts it down."""
    file = Path(os.environ[FOLDER]) / fault
    left = limit_of(fault)
    if left == float("inf"):
        return False
    if left > 1:
        file.write_text(str(left - 1))
    else:
        file.unlink()
    return True


def hangs(fault: str) -> bool:
    """Stays for a minute, as in a call that nothing interrupts, if there is such a fault."""
    if limit_of(fault.replace(" ", "_")) < float("inf"):
        print(fault, flush=True)
        time.sleep(60.0)
    return False


def break_when(owner: Any, name: str, when: Callable[..., bool], error: Callable[[], BaseException]) -> None:
    """Makes a method raise where `when` says so of its arguments."""
    real = getattr(owner, name)

    def breaking(*args: Any, **kwargs: Any) -> Any:
        if when(*args):
            raise error()
        return real(*args, **kwargs)

    setattr(owner, name, breaking)


def out_of_memory() -> torch.OutOfMemoryError:
    """What CUDA's allocator raises."""
    return torch.OutOfMemoryError(OUT)


def prepare() -> None:
    """Puts the places in."""
    break_when(Sam2Segmenter, "attend", lambda self, features, read: len(read.memory) > limit_of("objects_at_once"), out_of_memory)
    break_when(Sam2Segmenter, "encode", lambda self, pixels: pixels.shape[-1] > limit_of("image_size"), out_of_memory)
    break_when(
        GroundingDinoDetector, "detect_batch", lambda self, *_: self.shortest_edge > limit_of("detector_size"), out_of_memory
    )  # before the next one, so that both are asked
    break_when(Sam2Segmenter, "encode", lambda *_: hangs("stuck in an image"), out_of_memory)
    break_when(GroundingDinoDetector, "detect_batch", lambda *_: hangs("stuck in a detection"), out_of_memory)
    break_when(GroundingDinoDetector, "detect_batch", lambda *_: happens("detector"), lambda: RuntimeError("injected into the detector"))
    break_when(EngineThread, "_settle", lambda *_: happens("engine"), lambda: RuntimeError("injected into the engine's loop"))
    break_when(EngineThread, "_step", lambda *_: happens("engine_exit"), lambda: SystemExit("injected into the engine's loop"))
    break_when(Outputs, "_ripe", lambda *_: happens("publisher"), lambda: RuntimeError("injected into the publisher's loop"))
    break_when(track_node, "image_to_rgb", lambda *_: happens("callback"), lambda: RuntimeError("injected into the image callback"))


if __name__ == "__main__":
    prepare()
    track_node.main()
