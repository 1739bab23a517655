# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""When the device has no memory left: work on fewer objects at once, then on smaller images, and say so.

There is no way back up: what was too much once would be too much again. Loading the networks anew begins at the full size.
"""

from __future__ import annotations

import gc

import torch

from lang2segtrack_ros.detection.detector import Detector, ShrinkingDetector
from lang2segtrack_ros.models.loading import at_size, usable_size
from lang2segtrack_ros.segmentation.sam2 import Sam2Segmenter

SMALLEST_SIZE = 64
"""Below this SAM 2 sees nothing at all."""
_WORDS = (
    "out of memory",
    "not enough memory",
    "can't allocate memory",
    "alloc_failed",  # cuBLAS, cuDNN
    "allocation_failed",  # cuDNN 9
    "status_not_initialized",  # cuBLAS and cuDNN, when there is no memory to begin with
    "unable to find an engine",  # a convolution that got no memory to work in
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that a device, or the host, has no memory left: CUDA's libraries say it in errors of several types."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(word in str(error).lower() for word in _WORDS)


def release() -> None:
    """Gives memory that PyTorch keeps for later back to the device. Tensors that an exception's frames hold are not free yet."""
    gc.collect()  # tensors in the frames of exceptions that refer to each other
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def degrade(segmenter: Sam2Segmenter, objects: int) -> Sam2Segmenter | None:
    """The same network with the next smaller appetite, None when there is none.

    Args:
        segmenter: as it is used now; left as it is, others may use it.
        objects: how many it was asked to work on.
    """
    release()
    at_once = min(segmenter.batch_limit or objects, objects) // 2
    if at_once:
        return segmenter.with_batch_limit(at_once)
    size = usable_size(segmenter.model.config, segmenter.image_size * 3 // 4)
    return at_size(segmenter, size) if size >= SMALLEST_SIZE else None


def smaller_detector(detector: Detector | None) -> Detector | None:
    """The same detector on smaller images, None when it cannot; others may use the one that is given."""
    release()
    return detector.shrunk() if isinstance(detector, ShrinkingDetector) else None


def describe(segmenter: Sam2Segmenter) -> str:
    """How a segmenter works after `degrade`, in words."""
    batch = f"{segmenter.batch_limit} objects at once, " if segmenter.batch_limit else ""
    return f"{batch}images at {segmenter.image_size} px"
