# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The steps of a tracked frame as static functions, prepared for 1, 2, 4, ... objects, so that a CUDA graph replays each with one launch.

A frame runs four of them: encode the image, predict from memory, encode the memories, write them. They hand their outputs to each other
at fixed addresses, without copies. `static_transfers` adds those between host and device. Frames with prompts, or with objects that start
or end, run partly as usual.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lang2segtrack_ros.runtime.graphs import StaticFunction
from lang2segtrack_ros.segmentation.mask_prediction import MaskPrediction
from lang2segtrack_ros.segmentation.packed_masks import HostMasks
from lang2segtrack_ros.segmentation.sam2 import ImageFeatures, Sam2Segmenter
from lang2segtrack_ros.tracking.bank_storage import TrackRows
from lang2segtrack_ros.tracking.capacity import Capacity, free_bytes, peak_of
from lang2segtrack_ros.tracking.kalman import BoxState
from lang2segtrack_ros.tracking.memory_bank import FIELDS, MAX_PROMPTED, FeatureWrite, MemoryBank
from lang2segtrack_ros.tracking.policies.base import Choice, Policy
from lang2segtrack_ros.tracking.predictor import MemoryReadout, Predictor
from lang2segtrack_ros.tracking.stage_frame import encode_memories, stage_frame
from lang2segtrack_ros.tracking.static_transfers import StaticTransfers

log = logging.getLogger(__name__)


def bucket(count: int) -> int:
    """Return the number of rows for `count` objects: 1, 2, 4, 8, ..."""
    return 1 << max(count - 1, 0).bit_length()


@dataclass(frozen=True)
class _Row:
    """The static functions for one number of rows and of prompts.

    Attributes:
        bank: the memories of the rows.
        read, stage, write: the functions.
    """

    bank: MemoryBank
    read: StaticFunction
    stage: StaticFunction
    write: StaticFunction


class StaticStep:
    """The static functions of a tracker.

    Args:
        segmenter: the network.
        policy: the memory policy.

    Attributes:
        failure: the reason why all frames run as usual; empty if there is none.
        seconds: time that the preparation took.
        frames: number of frames by path: static, or usual because a prompt or a change of the objects needs it.
    """

    def __init__(self, segmenter: Sam2Segmenter, policy: Policy) -> None:
        self.failure = ""
        self.seconds = 0.0
        self.frames = Counter(static=0, usual=0)
        self._segmenter = segmenter
        self._predictor = Predictor(segmenter, policy)
        self._frame = torch.zeros(1, dtype=torch.int64, device=segmenter.device)
        side = segmenter.image_size
        self._pixels = torch.zeros(1, 3, side, side, dtype=segmenter.compute_dtype, device=segmenter.device)
        self._depth: Tensor | None = None
        if policy.uses_depth:
            self._depth = torch.full((segmenter.mask_size, segmenter.mask_size), float("nan"), device=segmenter.device)
        self._encode: StaticFunction | None = None
        self._features: ImageFeatures | None = None  # the outputs of `_encode` and the depth
        self._transfers: StaticTransfers | None = None
        self._rows: dict[tuple[int, int], _Row] = {}

    def prepare(self, buffers: MemoryBank, pool: Any, max_seconds: float, report: Callable[[str], None]) -> None:
        """Prepare for every number of objects that the buffers hold, fewest first.

        A failure is logged, and all frames then run as usual.

        Args:
            buffers: the storage of the tracker, which must be empty and stay at its addresses.
            pool: memory pool of CUDA graphs; None without CUDA.
            max_seconds: time after which no further number of objects is prepared. Such numbers run as usual.
            report: called with a sentence for each number of objects.
        """
        began = time.monotonic()
        try:
            self._encode = StaticFunction(self._segmenter.encode, (self._pixels,), pool)
            self._features = replace(self._encode.outputs, depth=self._depth, is_shared=True)
            self._transfers = StaticTransfers(self._segmenter, self._pixels, pool)
            for count, prompts in self._plan(len(buffers)):
                if time.monotonic() - began > max_seconds:
                    report(f"no time is left to prepare {count} objects with {prompts} prompts: they run as usual, which is slower")
                    break
                self._rows[count, prompts] = self._row(buffers.first(count), prompts, pool)
                report(f"prepared {count} objects with {prompts} prompts after {time.monotonic() - began:.1f} s")
        except Exception as error:  # CUDA, its libraries and the policy raise many types
            self._fail(error)
        self._synchronize()
        self.seconds = time.monotonic() - began

    def prepare_due(self) -> None:
        """Prepare one of the functions that the latest frames have missed. A failure is logged, and all frames then run as usual."""
        if self._transfers is None:
            return
        try:
            self._transfers.prepare_due()
        except Exception as error:  # CUDA and its libraries raise many types
            self._fail(error)
        self._synchronize()

    def _synchronize(self) -> None:
        if self._segmenter.device.type == "cuda":
            torch.cuda.synchronize(self._segmenter.device)  # another thread with another stream may run the functions

    def capacity(self, allocate: Callable[[int], MemoryBank]) -> Capacity:
        """Measure how many objects fit into the memory of the device.

        Args:
            allocate: returns an empty bank for a number of objects.
        """
        features, image = peak_of(lambda: self._segmenter.encode(self._pixels))
        features = replace(features, depth=self._depth)

        def process(bank: MemoryBank) -> None:
            readout = self._predictor.read_memory(features, bank, self._frame, 1)
            self._stage(features, bank, self._frame, readout.prediction, readout.choice)

        banks = [allocate(count) for count in (1, 2)]
        one, two = (peak_of(partial(process, bank))[1] for bank in banks)
        return Capacity(banks[0].nbytes, two - one, image, self._segmenter.batch_size, free_bytes(self._segmenter.device))

    def _row(self, bank: MemoryBank, prompts: int, pool: Any) -> _Row:
        features = self._features
        read = StaticFunction(self._predictor.read_memory, (features, bank, self._frame, prompts), pool)
        arguments = (features, bank, self._frame, read.outputs.prediction, read.outputs.choice)
        stage = StaticFunction(self._stage, arguments, pool)
        return _Row(bank, read, stage, StaticFunction(_write, (bank, *stage.outputs), pool))

    def _fail(self, error: Exception) -> None:
        self.failure = f"{type(error).__name__}: {error}".splitlines()[0]
        self._encode = self._features = self._transfers = None
        self._rows.clear()
        log.warning("frames run without CUDA graphs, which is slower: %s", self.failure)

    @staticmethod
    def _plan(capacity: int) -> Iterator[tuple[int, int]]:
        """Yield numbers of rows with numbers of prompts. Most objects have one prompt, so these come first."""
        for prompts in (1, MAX_PROMPTED):
            yield from ((1 << power, prompts) for power in range(capacity.bit_length()))

    def encode(self, color: NDArray[np.uint8], depth: NDArray[np.float32] | None) -> ImageFeatures | None:
        """Encode an image; see `Sam2Segmenter.encode`. The next call overwrites the result, see `ImageFeatures.retained`.

        Args:
            color: RGB uint8 [H, W, 3].
            depth: [m, m] in meters for a policy that uses depth, NaN for unknown. None without a depth image.

        Returns:
            None after a failure.
        """
        if self._encode is None or self._transfers is None:
            return None
        self._transfers.write_pixels(color)
        self._encode.run()
        if self._depth is not None:  # unknown depth excludes nothing
            self._depth.fill_(float("nan")) if depth is None else self._depth.copy_(torch.from_numpy(depth))
        return self._features

    def adopt(self, features: ImageFeatures) -> ImageFeatures:
        """Copy features from elsewhere to their fixed addresses, and return them there. Without static functions, return them unchanged."""
        fixed = self._features
        if fixed is None or self._holds(features) or fixed.top.shape != features.top.shape:
            return features
        for target, source in zip((fixed.top, *fixed.high), (features.top, *features.high)):
            target.copy_(source)
        if self._depth is not None:
            self._depth.fill_(float("nan")) if features.depth is None else self._depth.copy_(features.depth)
        return fixed

    def _holds(self, features: ImageFeatures) -> bool:
        """Return True if these are the features of the latest image at their fixed addresses."""
        return self._features is not None and features.top.data_ptr() == self._features.top.data_ptr()

    def _find(self, features: ImageFeatures, rows: TrackRows) -> _Row | None:
        """Return the functions for these objects. None if they are not prepared, or not at their fixed addresses."""
        # Two to four prompts share the functions for four. Empty slots are masked.
        prompts = 1 if max(rows.prompt_counts, default=1) == 1 else MAX_PROMPTED
        row = self._rows.get((bucket(len(rows.ids)), prompts)) if rows.ids else None
        if row is None or not self._holds(features) or row.bank.features.data_ptr() != rows.bank.features.data_ptr():
            return None
        return row

    def read(self, features: ImageFeatures, frame: int, rows: TrackRows) -> MemoryReadout | None:
        """Predict objects from memory; see `Predictor.read_memory`. Return None if they are not prepared."""
        row = self._find(features, rows)
        self.frames["usual" if row is None else "static"] += 1
        if row is None:
            return None
        self._frame.fill_(frame)
        return _first(row.read.run(), len(rows.ids))

    def results(self, features: ImageFeatures, rows: TrackRows, height: int, width: int) -> HostMasks | None:
        """Return the results of `read` on this frame on the host. Return None if they are not prepared.

        Args:
            features: the encoded image.
            rows: the objects.
            height: height of the image in pixels.
            width: width of the image in pixels.
        """
        row = self._find(features, rows)
        if row is None or self._transfers is None:
            return None
        return self._transfers.results(id(row), (row.read.outputs, row.bank.frames_unseen), len(rows.ids), (height, width))

    def pool(self, features: ImageFeatures, masks: Sequence[NDArray[np.bool_]]) -> NDArray[np.float32] | None:
        """Pool the features of the latest image under masks. Return None if this is not prepared; see `StaticTransfers.pool`."""
        if self._transfers is None or not self._holds(features):
            return None
        return self._transfers.pool(features, masks)

    def stage(self, features: ImageFeatures, rows: TrackRows, readout: MemoryReadout) -> Callable[[], object] | None:
        """Compute the memories of objects without prompts on this frame, and return the function that writes them.

        Args:
            features: the encoded image.
            rows: the objects.
            readout: from `read` on this frame; its masks may have changed.

        Returns:
            None if the objects are not prepared.
        """
        row = self._find(features, rows)
        if row is None:
            return None
        _update(row.read.outputs.prediction, readout.prediction, len(rows.ids))
        _update(row.read.outputs.choice, readout.choice, len(rows.ids))
        row.stage.run()
        return row.write.run

    def _stage(
        self, features: ImageFeatures, bank: MemoryBank, frame: Tensor, prediction: MaskPrediction, choice: Choice
    ) -> tuple[tuple[Tensor, ...], tuple[FeatureWrite, ...]]:
        """Encode and stage the memories of objects without prompts on this frame."""
        no_object = torch.zeros_like(prediction.visible)
        memories = encode_memories(self._segmenter, features, prediction, no_object)
        staged = stage_frame(bank, frame, prediction, memories, choice, no_object, no_object, features.depth)
        changed = tuple(getattr(staged, name) for name in FIELDS if name != "features")
        return changed, tuple(staged.feature_writes)


def _write(bank: MemoryBank, changed: tuple[Tensor, ...], feature_writes: tuple[FeatureWrite, ...]) -> None:
    """Write staged values into a bank."""
    for item in feature_writes:
        bank.features.index_put_((item.rows, item.slots), item.values)
    targets = [getattr(bank, name) for name in FIELDS if name != "features"]
    pairs = [(target, value) for target, value in zip(targets, changed) if target.data_ptr() != value.data_ptr()]
    torch._foreach_copy_([target for target, _ in pairs], [value for _, value in pairs])


def _first(readout: MemoryReadout, count: int) -> MemoryReadout:
    """Return views of the first `count` objects."""
    choice = readout.choice
    return MemoryReadout(
        readout.maps[:count],
        MaskPrediction(*(getattr(readout.prediction, item.name)[:count] for item in fields(MaskPrediction))),
        replace(
            choice,
            index=choice.index[:count],
            motion_score=choice.motion_score[:count],
            passed=choice.passed[:count],
            state=BoxState(choice.state.mean[:count], choice.state.covariance[:count]),
            has_filter=choice.has_filter[:count],
            stable=choice.stable[:count],
            anchor=choice.anchor[:count] if choice.anchor is not None else None,
        ),
    )


def _update(fixed: MaskPrediction | Choice, changed: MaskPrediction | Choice, count: int) -> None:
    """Copy the values that the stages of the session have changed to their fixed addresses."""
    for item in fields(fixed):
        target, value = getattr(fixed, item.name), getattr(changed, item.name)
        if isinstance(target, Tensor) and target.data_ptr() != value.data_ptr():
            target[:count].copy_(value)
