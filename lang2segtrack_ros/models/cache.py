# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Networks that several sessions of one process share.

A network keeps no state between calls, and no session changes its weights. So any number of sessions may use the same network, each on its
own thread. The cache holds weak references only: when the last session releases a network, its tensors are freed.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakValueDictionary

import torch

from lang2segtrack_ros.models.device import resolve_acceleration, resolve_device, resolve_dtype
from lang2segtrack_ros.models.loading import find_folder, is_plugin, load_detector, load_segmenter
from lang2segtrack_ros.runtime.allocator import return_freed_memory

if TYPE_CHECKING:
    from lang2segtrack_ros.detection.detector import Detector
    from lang2segtrack_ros.segmentation.sam2 import Sam2Segmenter

Network = TypeVar("Network")
_CACHE: WeakValueDictionary[Hashable, Any] = WeakValueDictionary()
_LOCK = threading.Lock()  # transformers changes process-wide defaults while it loads, so loading cannot run in parallel


def shared_segmenter(
    name: str = "toy",
    device: str = "auto",
    image_size: int | None = None,
    dtype: str = "auto",
    acceleration: str = "auto",
    accept_license: str | Sequence[str] = (),
) -> Sam2Segmenter:
    """Return a segmenter that other callers may share, so that the caller must not change it. Each plug-in is a new instance.

    Args:
        name: see `load_segmenter`.
        device: see `load_segmenter`.
        image_size: see `load_segmenter`.
        dtype: see `load_segmenter`.
        acceleration: see `load_segmenter`.
        accept_license: see `load_segmenter`.

    Raises:
        WeightsError: see `load_segmenter`.
    """

    def load() -> Sam2Segmenter:
        return load_segmenter(name, device, image_size, dtype, acceleration, accept_license)

    if is_plugin(name, "segmenter"):
        return load()
    target = resolve_device(device)
    options = (target, image_size, resolve_dtype(dtype, target), resolve_acceleration(acceleration, target))
    return _load_once("segmenter", find_folder(name, "segmenter", accept_license), options, load)


def shared_detector(
    name: str = "toy", device: str = "auto", dtype: str = "auto", passes: int | None = None, accept_license: str | Sequence[str] = ()
) -> Detector:
    """Return a detector that other callers may share, so that the caller must not change it. Each plug-in is a new instance.

    Args:
        name: see `load_detector`.
        device: see `load_detector`.
        dtype: see `load_detector`.
        passes: see `load_detector`.
        accept_license: see `load_detector`.

    Raises:
        WeightsError: see `load_detector`.
    """

    def load() -> Detector:
        return load_detector(name, device, dtype, passes, accept_license)

    if is_plugin(name, "detector"):
        return load()
    target = resolve_device(device)
    return _load_once("detector", find_folder(name, "detector", accept_license), (target, resolve_dtype(dtype, target), passes), load)


def _load_once(kind: str, folder: Path, options: Hashable, load: Callable[[], Network]) -> Network:
    # The key includes time and size of each file, so that replaced files count as another network.
    files = tuple(sorted((path.name, path.stat().st_mtime_ns, path.stat().st_size) for path in folder.iterdir() if path.is_file()))
    with _LOCK:
        key = (kind, folder.resolve(), files, options)
        network: Network | None = _CACHE.get(key)
        if network is None:
            network = _CACHE[key] = load()
        return network


def free_unused() -> None:
    """Return the memory of released networks to the device and to the operating system."""
    gc.collect()  # modules and their compiled functions refer to each other
    if torch.cuda.is_available():
        torch.cuda.empty_cache()  # has no effect if the process has not used CUDA
    return_freed_memory()
