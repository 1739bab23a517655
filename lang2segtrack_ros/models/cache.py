# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""One set of weights for all who use the same network in one process.

The networks keep nothing between calls, and nobody changes their weights, so any number of sessions, each on its thread, may work
with the same one. A network lives as long as somebody holds it: when the last session is gone, so are its tensors.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakValueDictionary

import torch

from lang2segtrack_ros.models.loading import find_folder, is_plugin, load_detector, load_segmenter, resolve_device, resolve_dtype
from lang2segtrack_ros.runtime.allocator import return_freed_memory

if TYPE_CHECKING:
    from lang2segtrack_ros.detection.detector import Detector
    from lang2segtrack_ros.segmentation.sam2 import Sam2Segmenter

Network = TypeVar("Network")
_IN_USE: WeakValueDictionary[Hashable, Any] = WeakValueDictionary()
_LOADING = threading.Lock()  # transformers switches process-wide defaults while it loads, so that one waits for another anyway


def shared_segmenter(
    name: str = "toy", device: str = "auto", image_size: int | None = None, dtype: str = "auto", compiled: bool = False
) -> Sam2Segmenter:
    """As `load_segmenter`, but the one that is in use already, if there is one: whoever gets it must not change it. A plug-in is always created anew."""
    if is_plugin(name, "segmenter"):
        return load_segmenter(name, device)
    target = resolve_device(device)
    key = (target, image_size, resolve_dtype(dtype, target), compiled)
    return _shared("segmenter", find_folder(name, "segmenter"), key, lambda: load_segmenter(name, device, image_size, dtype, compiled))


def shared_detector(name: str = "toy", device: str = "auto", dtype: str = "auto", passes: int | None = None) -> Detector:
    """As `load_detector`, but the one that is in use already, if there is one: whoever gets it must not change it. A plug-in is always created anew."""
    if is_plugin(name, "detector"):
        return load_detector(name, device)
    target = resolve_device(device)
    key = (target, resolve_dtype(dtype, target), passes)
    return _shared("detector", find_folder(name, "detector"), key, lambda: load_detector(name, device, dtype, passes))


def _shared(kind: str, folder: Path, key: Hashable, load: Callable[[], Network]) -> Network:
    # Files that have been replaced since are another network.
    files = tuple(sorted((path.name, path.stat().st_mtime_ns, path.stat().st_size) for path in folder.iterdir() if path.is_file()))
    with _LOADING:
        whole = (kind, folder.resolve(), files, key)
        network: Network | None = _IN_USE.get(whole)
        if network is None:
            network = _IN_USE[whole] = load()
        return network


def free_unused() -> None:
    """Gives the memory of networks that nobody holds any more back to the device and to the system."""
    gc.collect()  # modules and their compiled functions refer to each other
    if torch.cuda.is_available():
        torch.cuda.empty_cache()  # does nothing where CUDA was never used
    return_freed_memory()
