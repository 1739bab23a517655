# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""track_node with injectable faults.

Each file in the folder $LANG2SEGTRACK_FAULTS is a pending fault. Its name selects the place; its content is the number of occurrences
or a threshold. Without such files the process behaves like track_node.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from lang2segtrack_ros.detection.grounding_dino import GroundingDinoDetector
from lang2segtrack_ros.ros.inputs import color_images
from lang2segtrack_ros.ros.nodes import track_node
from lang2segtrack_ros.ros.outputs.publisher import Outputs
from lang2segtrack_ros.runtime.call_queue import CallQueue
from lang2segtrack_ros.segmentation.sam2 import Sam2Segmenter
from lang2segtrack_ros.session.engine_thread import EngineThread

FOLDER = "LANG2SEGTRACK_FAULTS"
OUT_OF_MEMORY_MESSAGE = "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 8.00 GiB of which 12.44 MiB is free."


def limit_of(fault: str) -> float:
    """Return the number in a fault's file; infinity without a file."""
    try:
        return float((Path(os.environ[FOLDER]) / fault).read_text())
    except (OSError, ValueError):
        return float("inf")


def take_fault(fault: str) -> bool:
    """Return True when a counted fault is pending, and decrement its count."""
    file = Path(os.environ[FOLDER]) / fault
    remaining = limit_of(fault)
    if remaining == float("inf"):
        return False
    if remaining > 1:
        file.write_text(str(remaining - 1))
    else:
        file.unlink()
    return True


def hang_if(fault: str) -> bool:
    """Sleep for a minute when the fault is pending, like a call that cannot be interrupted. Return False."""
    if limit_of(fault.replace(" ", "_")) < float("inf"):
        print(fault, flush=True)
        time.sleep(60.0)
    return False


def raise_when(owner: Any, name: str, condition: Callable[..., bool], error: Callable[[], BaseException]) -> None:
    """Make a method raise an error under a condition.

    Args:
        owner: class or module of the method.
        name: name of the method.
        condition: gets the method's arguments; True raises the error.
        error: creates the error.
    """
    original = getattr(owner, name)

    def wrapper(*args: Any, **kwargs: Any) -> Any:
        if condition(*args):
            raise error()
        return original(*args, **kwargs)

    setattr(owner, name, wrapper)


def out_of_memory() -> torch.OutOfMemoryError:
    """Return the error that CUDA's allocator raises."""
    return torch.OutOfMemoryError(OUT_OF_MEMORY_MESSAGE)


def install_faults() -> None:
    """Install all faults."""
    raise_when(Sam2Segmenter, "attend", lambda self, features, read: len(read.memory) > limit_of("objects_at_once"), out_of_memory)
    raise_when(Sam2Segmenter, "encode", lambda self, pixels: pixels.shape[-1] > limit_of("image_size"), out_of_memory)
    raise_when(
        GroundingDinoDetector, "detect_batch", lambda self, *_: self.shortest_edge > limit_of("detector_size"), out_of_memory
    )  # wrapped before the next condition, so that both are checked
    raise_when(Sam2Segmenter, "encode", lambda *_: hang_if("stuck in an image"), out_of_memory)
    raise_when(GroundingDinoDetector, "detect_batch", lambda *_: hang_if("stuck in a detection"), out_of_memory)
    raise_when(GroundingDinoDetector, "detect_batch", lambda *_: take_fault("detector"), lambda: RuntimeError("injected into the detector"))
    raise_when(CallQueue, "take", lambda *_: take_fault("engine"), lambda: RuntimeError("injected into the engine's loop"))
    raise_when(EngineThread, "_step", lambda *_: take_fault("engine_exit"), lambda: SystemExit("injected into the engine's loop"))
    raise_when(
        Outputs, "_depth_wait_is_over", lambda *_: take_fault("publisher"), lambda: RuntimeError("injected into the publisher's loop")
    )
    raise_when(color_images, "image_to_rgb", lambda *_: take_fault("callback"), lambda: RuntimeError("injected into the image callback"))


if __name__ == "__main__":
    install_faults()
    track_node.main()
