# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The tracker: masks of all objects from their memories, frame by frame.

A frame has three phases. `Tracker.open` predicts a mask for every object on the encoded image. `OpenFrame` takes prompts and other
changes of masks. `Tracker.compute` encodes the memories of the frame, and `Tracker.apply` writes them. Only `apply` changes the tracker,
and it only copies, so an exception leaves the tracker unchanged.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence
from copy import copy
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lang2segtrack_ros.segmentation.feature_pooling import pool_masks
from lang2segtrack_ros.segmentation.mask_prediction import MaskPrediction
from lang2segtrack_ros.segmentation.packed_masks import HostMasks
from lang2segtrack_ros.segmentation.sam2 import ImageFeatures, Sam2Segmenter
from lang2segtrack_ros.tracking.bank_storage import BankStorage, StoragePlan, TrackRows
from lang2segtrack_ros.tracking.memory_bank import MAX_PROMPTED, MemoryBank, StagedBank, Write
from lang2segtrack_ros.tracking.open_frame import FrameFunctions, ImageInfo, OpenFrame
from lang2segtrack_ros.tracking.policies.base import Choice, Policy
from lang2segtrack_ros.tracking.policies.registry import make_policy
from lang2segtrack_ros.tracking.predictor import MemoryReadout, Predictor
from lang2segtrack_ros.tracking.stage_frame import encode_memories, stage_frame
from lang2segtrack_ros.tracking.static_step import StaticStep, bucket
from lang2segtrack_ros.types.frame import Frame

log = logging.getLogger(__name__)
LogitsHook = Callable[[Sequence[int], Tensor], None]


@dataclass(frozen=True)
class FrameUpdate:
    """The computed effect of one frame on a tracker; see `Tracker.compute`.

    Attributes:
        rows: the objects after the frame.
        plan: the writes of their memories.
        low_res_logits: [N, h, w] mask logits on this frame. None without objects.
    """

    rows: TrackRows
    plan: StoragePlan
    low_res_logits: Tensor | None = None


def _nothing() -> None:
    """Return None: the results are not on the host."""


class Tracker:
    """SAM 2 tracker of many objects on an endless stream. Its memory use depends only on the number of objects.

    All state is kept for each object separately, so objects do not influence each other. The batch of a frame changes results only by
    rounding.

    Args:
        segmenter: the network.
        policy: name of a memory policy, such as "sam2" or "samurai", or a `policies.base.Policy`.
        min_region_ratio: minimum area of a region of a mask relative to its largest region, see `small_regions`. Smaller regions are
            removed from results. Set to 0 to keep the masks of the network.

    Attributes:
        on_logits: debug hook, called for each written frame with the ids of the objects and their mask logits [N, h, w].
    """

    def __init__(self, segmenter: Sam2Segmenter, policy: str | Policy = "samurai", min_region_ratio: float = 0.0) -> None:
        self.segmenter = segmenter
        self.policy = make_policy(policy)
        self.min_region_ratio = min_region_ratio
        self.on_logits: LogitsHook | None = None
        self.predictor = Predictor(segmenter, self.policy)
        self.static: StaticStep | None = None
        self.clear()

    def __getstate__(self) -> dict[str, Any]:
        """Return the state for checkpoints, which contain the memories only once."""
        return {**vars(self), "rows": (self.rows.ids, self.rows.prompt_counts), "static": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore the state of a checkpoint. The memories are views of the storage again."""
        vars(self).update(state)
        ids, prompt_counts = state["rows"]
        self.rows = TrackRows(ids, prompt_counts, self._storage.buffers.first(len(ids)))

    def clear(self) -> None:
        """Remove all objects."""
        if self.static is None:
            self._storage = BankStorage(self._allocate, self._allocate(0))
        self.rows = TrackRows((), (), self._storage.buffers.first(0))

    @torch.inference_mode()
    def prepare(self, max_objects: int, max_seconds: float = 60.0, report: Callable[[str], None] = lambda _: None) -> StaticStep:
        """Prepare the static functions of `static_step`, with CUDA graphs on a CUDA device.

        Args:
            max_objects: largest number of objects. Memory for them is allocated here.
            max_seconds: time after which no further number of objects is prepared.
            report: called with sentences on the progress.
        """
        static = StaticStep(self.segmenter, self.policy)
        capacity = static.capacity(self._allocate)
        report(str(capacity))
        if capacity.objects is not None and capacity.objects < max_objects:
            log.warning(
                "%d objects do not fit into the GPU: set max_objects to %d or less, or a smaller image_size", max_objects, capacity.objects
            )
            max_objects = max(1, capacity.objects)
        self._storage = BankStorage(self._allocate, self._allocate(bucket(max(max_objects, len(self.rows.ids)))))
        cuda: Any = torch.cuda
        pool = cuda.graph_pool_handle() if self.segmenter.device.type == "cuda" else None
        static.prepare(self._storage.buffers, pool, max_seconds, report)
        self.apply(self._update(self.rows))  # the objects move to the new storage
        self.static = static
        return static

    def _allocate(self, count: int) -> MemoryBank:
        segmenter = self.segmenter
        return MemoryBank.empty(
            count,
            tokens=segmenter.feature_size * segmenter.feature_size,
            memory_dim=segmenter.memory_dim,
            hidden_dim=segmenter.hidden_dim,
            num_pointers=segmenter.num_pointers,
            device=segmenter.device,
            memory_dtype=segmenter.memory_dtype,
            compute_dtype=segmenter.compute_dtype,
        )

    @property
    def ids(self) -> list[int]:
        """Return the ids of the tracked objects, in the order of the rows of `bank`."""
        return list(self.rows.ids)

    @property
    def bank(self) -> MemoryBank:
        """Return the memories of the tracked objects."""
        return self.rows.bank

    @torch.inference_mode()
    def remove_objects(self, track_ids: Collection[int]) -> None:
        """Remove objects between two frames."""
        self.apply(self._update(self.rows.without(set(track_ids))))

    @torch.inference_mode()
    def encode(self, frame: Frame) -> ImageFeatures:
        """Run the image encoder on a frame. The result includes the depth if the policy uses it."""
        depth: NDArray[np.float32] | None = None
        if frame.depth is not None and self.policy.uses_depth:
            size = (self.segmenter.mask_size, self.segmenter.mask_size)
            depth = cv2.resize(frame.depth, size, interpolation=cv2.INTER_NEAREST).astype(np.float32, copy=False)
        features = self.static.encode(frame.color, depth) if self.static is not None else None
        if features is None:
            features = self.segmenter.encode(self.segmenter.preprocess(frame.color))
            if depth is not None:
                features = replace(features, depth=torch.from_numpy(depth).to(self.segmenter.device))
        return features

    @torch.inference_mode()
    def adopt(self, features: ImageFeatures) -> ImageFeatures:
        """Return features of another tracker or of the history where the static functions read them; see `StaticStep.adopt`."""
        return features if self.static is None else self.static.adopt(features)

    @torch.inference_mode()
    def pool(self, features: ImageFeatures, masks: Sequence[NDArray[np.bool_]]) -> NDArray[np.float32]:
        """Pool the features of an image under masks; see `feature_pooling.pool_masks`."""
        pooled = self.static.pool(features, masks) if self.static is not None else None
        return pool_masks(features, masks) if pooled is None else pooled

    @torch.inference_mode()
    def prepare_due(self) -> None:
        """Prepare what the latest frames would have used; see `StaticStep.prepare_due`."""
        if self.static is not None:
            self.static.prepare_due()

    @torch.inference_mode()
    def open(self, image: ImageInfo, rows: TrackRows | None = None) -> OpenFrame:
        """Predict the masks of all objects on an encoded image. The tracker stays unchanged.

        Args:
            image: the encoded image.
            rows: the objects. None takes those of the tracker.
        """
        rows = self.rows if rows is None else rows
        readout: MemoryReadout | None = None
        read_results: Callable[[], HostMasks | None] = _nothing
        if self.static is not None and rows.ids and rows is self.rows:
            readout = self.static.read(image.features, image.index, rows)
            read_results = partial(self.static.results, image.features, rows, image.height, image.width)
        if rows.ids and readout is None:
            readout, read_results = self.predictor.read_memory(image.features, rows.bank, image.index, max(rows.prompt_counts)), _nothing
        functions = FrameFunctions(self.predictor, partial(self._new_bank, image.index), self.pool, read_results, self.min_region_ratio)
        return OpenFrame(functions, image, rows, readout)

    def _new_bank(self, index: int) -> MemoryBank:
        """Return a bank of one object that starts on frame `index`."""
        bank = self._allocate(1)
        bank.first_frame += index
        return bank

    def fork(self) -> Tracker:
        """Return a tracker of the same network without objects, to catch up objects before this tracker takes them over."""
        return Tracker(self.segmenter, self.policy, self.min_region_ratio)

    def with_segmenter(self, segmenter: Sam2Segmenter) -> Tracker:
        """Return a tracker of the same objects for another batch limit or image size. Memories are rescaled to the image size."""
        other = copy(self)
        other.segmenter, other.predictor, other.static = segmenter, Predictor(segmenter, self.policy), None
        if segmenter.feature_size != self.segmenter.feature_size:
            bank = self.bank.resized(self.segmenter.feature_size, segmenter.feature_size)
            other._storage = BankStorage(other._allocate, other._allocate(0))
            other.apply(other._update(replace(self.rows, bank=bank)))
        return other

    @torch.inference_mode()
    def compute(self, opened: OpenFrame, removed: Collection[int] = ()) -> FrameUpdate:
        """Compute the memories of an open frame. The tracker stays unchanged.

        Args:
            opened: the open frame.
            removed: ids of objects that end on this frame.
        """
        write = self._static_write(opened, removed)
        if write is not None:
            plan = StoragePlan(self._storage, self.rows.bank, (write,))
            return FrameUpdate(self.rows, plan, opened.readout.prediction.low_res_logits if opened.readout is not None else None)
        ids, prediction = opened.ids, opened.prediction()
        kept = [row for row, track_id in enumerate(ids) if track_id not in removed]
        if prediction is None or not kept:
            return self._update(TrackRows((), (), self._allocate(0)))
        if len(kept) < len(ids):
            prediction = prediction.select(torch.tensor(kept, device=prediction.iou.device))
            ids = [ids[row] for row in kept]
        bank = self._bank_of(opened, ids)
        device = prediction.iou.device
        from_prompt = torch.zeros_like(prediction.visible)
        if opened.prompted:
            from_prompt = torch.tensor([track_id in opened.prompted for track_id in ids], device=device)
        memories = encode_memories(self.segmenter, opened.image.features, prediction, from_prompt)
        is_fresh = torch.zeros_like(from_prompt)
        if opened.fresh:
            is_fresh = torch.tensor([track_id in opened.fresh for track_id in ids], device=device)
        depth, choice = opened.image.features.depth, self._choice_of(opened, ids)
        staged = stage_frame(bank, opened.image.index, prediction, memories, choice, from_prompt, is_fresh, depth)
        counts = self._stage_prompted(staged, opened, ids, prediction, memories)
        return self._update(TrackRows(tuple(ids), counts, staged), prediction.low_res_logits)

    @torch.inference_mode()
    def apply(self, update: FrameUpdate) -> None:
        """Write a computed frame. After the debug hook, the method only copies, so it does not fail."""
        if self.on_logits is not None and update.low_res_logits is not None:
            self.on_logits(update.rows.ids, update.low_res_logits)
        for write in update.plan.writes:
            write()
        self._storage, self.rows = update.plan.storage, update.rows

    def _static_write(self, opened: OpenFrame, removed: Collection[int]) -> Write | None:
        """Return the write of a frame on which no object starts, ends or is prompted. None if the static functions do not fit."""
        is_steady = opened.rows is self.rows and not opened.prompted and not set(removed) & set(opened.rows.ids)
        if self.static is None or opened.readout is None or not is_steady:
            return None
        return self.static.stage(opened.image.features, opened.rows, opened.readout)

    def _update(self, rows: TrackRows, low_res_logits: Tensor | None = None) -> FrameUpdate:
        """Plan to store the objects `rows`."""
        plan = self._storage.plan(rows.bank)
        return FrameUpdate(replace(rows, bank=plan.bank), plan, low_res_logits)

    def _bank_of(self, opened: OpenFrame, ids: Sequence[int]) -> MemoryBank:
        """Return the memories of objects before this frame: the bank itself, or a copy if objects start or end on this frame."""
        if tuple(ids) == opened.rows.ids and not opened.fresh:
            return opened.rows.bank
        banks = [opened.rows.bank]
        rows = {track_id: row for row, track_id in enumerate(opened.rows.ids)}
        for track_id in opened.fresh:
            rows[track_id] = len(opened.rows.ids) + len(banks) - 1
            banks.append(opened.prompted[track_id].bank)
        return MemoryBank.join(banks).select([rows[track_id] for track_id in ids])

    @staticmethod
    def _choice_of(opened: OpenFrame, ids: Sequence[int]) -> Choice | None:
        """Return the choice of the policy for these objects. Rows of new objects repeat any row; nothing is written for them."""
        if opened.readout is None:
            return None
        known, choice = opened.rows.ids, opened.readout.choice
        if tuple(ids) == known:
            return choice
        return choice.select(torch.tensor([known.index(i) if i in known else 0 for i in ids], device=choice.passed.device))

    @staticmethod
    def _stage_prompted(
        staged: StagedBank, opened: OpenFrame, ids: Sequence[int], prediction: MaskPrediction, memories: Tensor
    ) -> tuple[int, ...]:
        """Stage the memories of the prompted objects, and return the number of prompts of each object."""
        counts = dict(zip(opened.rows.ids, opened.rows.prompt_counts)) | dict.fromkeys(opened.fresh, 0)
        for row, track_id in enumerate(ids):
            if track_id not in opened.prompted:
                continue
            count = counts[track_id]
            slot = count if count < MAX_PROMPTED else 1 + (count - 1) % (MAX_PROMPTED - 1)  # the first prompt is never overwritten
            staged.write_prompted(row, slot, opened.image.index, memories[row], prediction.pointers[row])
            counts[track_id] = count + 1
            if track_id not in opened.fresh:
                staged.stable[row] = 0  # the motion model restarts, because the prompt gives the position
        return tuple(counts[track_id] for track_id in ids)
