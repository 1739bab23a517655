# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Degradation after an out-of-memory error: smaller batches of objects first, then smaller images.

The settings never rise again, because the same settings would exhaust the memory again. Reloading the networks restores full settings.
"""

from __future__ import annotations

import gc

import torch

from lang2segtrack_ros.detection.detector import Detector, ShrinkingDetector
from lang2segtrack_ros.models.loading import at_size, usable_size
from lang2segtrack_ros.segmentation.sam2 import Sam2Segmenter

SMALLEST_SIZE = 64
"""Smallest image size in pixels. SAM 2 segments nothing below this size."""
_MESSAGES = (
    "out of memory",
    "not enough memory",
    "can't allocate memory",
    "alloc_failed",  # cuBLAS, cuDNN
    "allocation_failed",  # cuDNN 9
    "status_not_initialized",  # cuBLAS and cuDNN, if there is no memory for their context
    "unable to find an engine",  # cuDNN, if a convolution gets no memory for its workspace
)


def is_out_of_memory(error: BaseException) -> bool:
    """Return True if an error reports that a device or the host is out of memory. CUDA libraries use several error types for this."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(message in str(error).lower() for message in _MESSAGES)


def release_cached_memory() -> None:
    """Return the cached memory of PyTorch to the device. Tensors in the frames of a live exception stay allocated."""
    gc.collect()  # exceptions can reference each other in cycles and keep the tensors of their frames alive
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def degrade(segmenter: Sam2Segmenter, objects: int) -> Sam2Segmenter | None:
    """Return the same network with the next lower memory use, or None at the lowest settings.

    Args:
        segmenter: the current segmenter. It stays unchanged, because other sessions may share it.
        objects: number of objects that the segmenter had to process.
    """
    release_cached_memory()
    batch_limit = min(segmenter.batch_limit or objects, objects) // 2
    if batch_limit:
        return segmenter.with_batch_limit(batch_limit)
    size = usable_size(segmenter.model.config, segmenter.image_size * 3 // 4)
    return at_size(segmenter, size) if size >= SMALLEST_SIZE else None


def smaller_detector(detector: Detector | None) -> Detector | None:
    """Return the same detector for smaller images, or None if it supports none. The given detector stays unchanged."""
    release_cached_memory()
    return detector.shrunk() if isinstance(detector, ShrinkingDetector) else None


def describe(segmenter: Sam2Segmenter) -> str:
    """Describe the settings of a segmenter after `degrade` in words."""
    batch = f"{segmenter.batch_limit} objects at once, " if segmenter.batch_limit else ""
    return f"{batch}images at {segmenter.image_size} px"
