# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Static functions at the edges of a frame: image to pixels of the network, results to the host, features under masks to the host.

They depend on the size of the image or on a number of masks, which only a frame shows. The first such frame runs as usual and notes what it
misses. `prepare_due` prepares it after the result of a frame, so no result waits for a preparation.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lang2segtrack_ros.runtime.graphs import StaticFunction
from lang2segtrack_ros.segmentation.feature_pooling import low_res_masks, pool
from lang2segtrack_ros.segmentation.packed_masks import HostMasks, pack, unpack
from lang2segtrack_ros.segmentation.sam2 import ImageFeatures, Sam2Segmenter
from lang2segtrack_ros.tracking.predictor import MemoryReadout

MAX_SIZES = 4
"""Number of image sizes whose functions are kept."""


class HostBuffer:
    """A tensor on the host for copies from and to a device. It is pinned for a CUDA device, so that no copy stops the host.

    Args:
        like: a tensor on the device, of the same shape and type.
    """

    def __init__(self, like: Tensor) -> None:
        self._device = like
        self._host = torch.zeros(like.shape, dtype=like.dtype, pin_memory=like.device.type == "cuda")

    def upload(self, values: NDArray[Any]) -> Tensor:
        """Copy values to the first rows of the device's tensor, and return that tensor."""
        self._host.numpy()[: len(values)] = values
        return self._device.copy_(self._host, non_blocking=True)

    def download(self, count: int) -> NDArray[Any]:
        """Wait for the device, and return the first `count` rows of its tensor. The next call overwrites them."""
        self._host[:count].copy_(self._device[:count], non_blocking=True)
        if self._device.device.type == "cuda":
            torch.cuda.current_stream(self._device.device).synchronize()
        return self._host[:count].numpy()


@dataclass(frozen=True)
class _Size:
    """The functions for one image size: `write_pixels` with its image, and by kind those that pack results."""

    image: HostBuffer
    write_pixels: StaticFunction
    packs: dict[Hashable, tuple[StaticFunction, HostBuffer]] = field(default_factory=dict)


class StaticTransfers:
    """The static functions at the edges of a frame.

    Args:
        segmenter: the network.
        pixels: the input of the network's encoder, at a fixed address.
        graph_pool: memory pool of CUDA graphs; None without CUDA.
    """

    def __init__(self, segmenter: Sam2Segmenter, pixels: Tensor, graph_pool: Any) -> None:
        self._segmenter, self._pixels, self._graph_pool = segmenter, pixels, graph_pool
        self._sizes: OrderedDict[tuple[int, ...], _Size] = OrderedDict()
        self._pools: dict[int, tuple[HostBuffer, StaticFunction, HostBuffer]] = {}
        self._due: OrderedDict[Hashable, Callable[[], None]] = OrderedDict()

    def prepare_due(self) -> None:
        """Prepare one of the functions that a frame has missed. Raise what the preparation raises."""
        if self._due:
            self._due.popitem(last=False)[1]()

    def write_pixels(self, color: NDArray[np.uint8]) -> None:
        """Write an image, RGB uint8 [H, W, 3], to the input of the encoder."""
        shape = color.shape[:2]
        size = self._sizes.get(shape)
        if size is None:
            self._due.setdefault(shape, lambda: self._prepare_size(shape))
            self._pixels.copy_(self._segmenter.preprocess(color))
            return
        self._sizes.move_to_end(shape)
        size.image.upload(color)
        size.write_pixels.run()

    def _prepare_size(self, shape: tuple[int, ...]) -> None:
        image = torch.zeros(*shape, 3, dtype=torch.uint8, device=self._segmenter.device)
        function = StaticFunction(self._write_pixels, (image,), self._graph_pool)
        self._sizes[shape] = _Size(HostBuffer(image), function)
        if len(self._sizes) > MAX_SIZES:
            self._sizes.popitem(last=False)

    def _write_pixels(self, image: Tensor) -> None:
        self._pixels.copy_(self._segmenter.preprocess(image))

    def results(self, kind: Hashable, source: tuple[MemoryReadout, Tensor], count: int, shape: tuple[int, int]) -> HostMasks | None:
        """Return the results of the first `count` objects on the host. Return None if they are not prepared.

        Args:
            kind: name of the fixed addresses of `source`.
            source: the prediction of all rows from memory, and int64 [N], frames since each was last visible before this frame.
            count: number of objects.
            shape: height and width of the image in pixels.
        """
        size = self._sizes.get(shape)
        if size is None:
            return None
        if kind not in size.packs:
            self._due.setdefault((shape, kind), lambda: self._prepare_pack(size, kind, (*source, *shape)))
            return None
        function, buffer = size.packs[kind]
        function.run()
        side = self._segmenter.mask_size
        return unpack(buffer.download(count), (side, side), *shape)

    def _prepare_pack(self, size: _Size, kind: Hashable, arguments: tuple[Any, ...]) -> None:
        function = StaticFunction(_pack, arguments, self._graph_pool)
        size.packs[kind] = function, HostBuffer(function.outputs)

    def pool(self, features: ImageFeatures, masks: Sequence[NDArray[np.bool_]]) -> NDArray[np.float32] | None:
        """Pool features under masks; see `feature_pooling.pool_masks`. Return None if this number of masks is not prepared.

        Args:
            features: the features at their fixed addresses.
            masks: masks of the image, bool [H, W] each.
        """
        rows = 1 << max(len(masks) - 1, 0).bit_length()
        if rows not in self._pools:
            self._due.setdefault(rows, lambda: self._prepare_pool(rows, features))
            return None
        logits, function, pooled = self._pools[rows]
        logits.upload(low_res_masks(features, masks))
        function.run()
        return pooled.download(len(masks)).copy()

    def _prepare_pool(self, rows: int, features: ImageFeatures) -> None:
        side = features.high[0].shape[-1]
        logits = torch.zeros(rows, side, side, device=self._segmenter.device)
        function = StaticFunction(_pool, (features, logits), self._graph_pool)
        self._pools[rows] = HostBuffer(logits), function, HostBuffer(function.outputs)


def _pack(readout: MemoryReadout, frames_unseen: Tensor, height: int, width: int) -> Tensor:
    unseen = readout.prediction.count_frames_unseen(frames_unseen)
    return pack(readout.prediction, unseen, readout.choice.stable, height, width)


def _pool(features: ImageFeatures, logits: Tensor) -> Tensor:
    return pool(features, logits).float()
