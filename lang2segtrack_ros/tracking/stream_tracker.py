# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Tracking of prompted objects through a stream, frame by frame.

A frame has three phases. `StreamTracker.begin` predicts a mask for every object on the encoded image. `OpenFrame.prompt` adds or
corrects objects on this frame. `OpenFrame.commit` writes the memories and returns the result. The state changes only in `commit`, so an
earlier exception leaves the tracker unchanged. `StreamTracker.step` runs all three phases.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass, field, replace

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lang2segtrack_ros.runtime.snapshot import Snapshot
from lang2segtrack_ros.segmentation.mask_prediction import MaskPrediction
from lang2segtrack_ros.segmentation.postprocess import make_tracks
from lang2segtrack_ros.segmentation.sam2 import ImageFeatures, Sam2Segmenter, concatenate
from lang2segtrack_ros.tracking.depth_gate import update_distances
from lang2segtrack_ros.tracking.kalman import BoxState
from lang2segtrack_ros.tracking.memory_bank import MAX_PROMPTED, MemoryBank, StagedBank
from lang2segtrack_ros.tracking.open_frame import OpenFrame, TrackerError
from lang2segtrack_ros.tracking.policies.base import Policy
from lang2segtrack_ros.tracking.policies.registry import make_policy
from lang2segtrack_ros.tracking.predictor import Predictor
from lang2segtrack_ros.types.frame import Frame
from lang2segtrack_ros.types.prompts import ObjectPrompt
from lang2segtrack_ros.types.results import Track


@dataclass(frozen=True)
class _FrameUpdate:
    """The computed effect of one frame on the tracker, for N objects.

    Attributes:
        ids: ids of the objects after the frame, existing objects first.
        labels: labels by id.
        prediction: masks and scores of the objects.
        from_prompt: bool [N], True for masks from a prompt of this frame.
        memories: [N, HW, 64], spatial memories.
        is_finite: bool [N], False where the network returned NaN or infinity.
        frames_unseen: int64 [N], frames since each object was last visible.
        tracks: results in the order of `ids`.
    """

    ids: list[int]
    labels: dict[int, str]
    prediction: MaskPrediction
    from_prompt: Tensor
    memories: Tensor
    is_finite: Tensor
    frames_unseen: Tensor
    tracks: list[Track]


@dataclass
class FrameCommit:
    """A frame that is computed and not yet written; see `StreamTracker.compute` and `StreamTracker.apply`.

    Attributes:
        opened: the open frame.
        update: its computed effect, None without objects.
        tracks: results in ascending order of ids.
        removed: ids of objects that end with this frame.
        fork: a tracker at the next frame that holds reinitialized objects; they replace the objects of the same ids.
    """

    opened: OpenFrame
    update: _FrameUpdate | None
    tracks: list[Track]
    removed: list[int] = field(default_factory=list)
    fork: StreamTracker | None = None


class StreamTracker:
    """SAM 2 tracker of many objects on an endless stream. Its memory use depends only on the number of objects.

    All state is kept for each object separately, so objects do not influence each other. The batch of a frame changes results only by
    rounding.

    Args:
        segmenter: the network.
        policy: name of a memory policy, such as "sam2" or "samurai", or a `policies.base.Policy`.
        max_objects: maximum number of objects. The tracker refuses further ones.
        min_region_ratio: minimum area of a region of a mask relative to its largest region, see `small_regions`. Smaller regions are
            removed from results. Set to 0 to keep the masks of the network.

    Attributes:
        on_logits: debug hook, called on each frame with the ids of the objects and their mask logits [N, h, w]; None without a hook.
    """

    def __init__(
        self,
        segmenter: Sam2Segmenter,
        policy: str | Policy = "samurai",
        max_objects: int = 32,
        min_region_ratio: float = 0.0,
    ) -> None:
        self.segmenter = segmenter
        self.policy = make_policy(policy)
        self.max_objects = max_objects
        self.min_region_ratio = min_region_ratio
        self.on_logits: Callable[[Sequence[int], Tensor], None] | None = None
        self.predictor = Predictor(segmenter, self.policy)
        self._next_id = 1
        self._pending: list[tuple[int, ObjectPrompt]] = []
        self.reset()

    def reset(self) -> None:
        """Remove all objects. The ids continue, so that an id never names two objects."""
        self.frame_index = 0
        self.ids: list[int] = []
        self._labels: dict[int, str] = {}
        self._prompt_counts: dict[int, int] = {}
        self._pending.clear()
        self.bank = self._empty_bank(0)

    def _empty_bank(self, count: int) -> MemoryBank:
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

    def new_object_bank(self) -> MemoryBank:
        """Return the bank of one object that starts on this frame."""
        bank = self._empty_bank(1)
        bank.first_frame += self.frame_index
        return bank

    def reserve_id(self) -> int:
        """Return the next id, > 0. An id is never given twice."""
        self._next_id += 1
        return self._next_id - 1

    def unknown_id_message(self, track_id: int) -> str:
        """Return the error sentence for an id that is not tracked."""
        tracked = ", ".join(str(known_id) for known_id in sorted(self.ids)) or "none"
        return f"there is no track {track_id}; tracked now: {tracked}"

    def check_capacity(self, reserved: int = 0) -> None:
        """Raise TrackerError when the tracker has no capacity for one more object besides `reserved` new ones."""
        if len(self.ids) + reserved >= self.max_objects:
            raise TrackerError(f"{self.max_objects} objects are tracked already, which is the maximum: remove one first")

    def add(self, prompt: ObjectPrompt) -> int:
        """Queue a prompt for the next frame, and return the id of its object.

        Raises:
            TrackerError: the prompt corrects an unknown object, or the tracker has no capacity for another object.
        """
        if prompt.track_id is not None and prompt.track_id not in self.ids:
            raise TrackerError(self.unknown_id_message(prompt.track_id))
        if prompt.track_id is None:
            self.check_capacity(sum(item.track_id is None for _, item in self._pending))
        track_id = self.reserve_id() if prompt.track_id is None else prompt.track_id
        self._pending.append((track_id, prompt))
        return track_id

    def remove(self, track_id: int) -> None:
        """Remove an object.

        Raises:
            TrackerError: the object is not tracked.
        """
        pending_count = len(self._pending)
        self._pending = [item for item in self._pending if item[0] != track_id]
        if track_id not in self.ids:
            if len(self._pending) == pending_count:
                raise TrackerError(self.unknown_id_message(track_id))
            return
        rows = [row for row, known_id in enumerate(self.ids) if known_id != track_id]
        bank = copy(self.bank)
        bank.keep(rows)
        self.bank = bank  # assigned last: the device may run out of memory before
        self.ids.remove(track_id)
        del self._labels[track_id], self._prompt_counts[track_id]

    @torch.inference_mode()
    def encode(self, frame: Frame) -> ImageFeatures:
        """Run the image encoder on a frame. The result includes the depth if the policy uses it."""
        features = self.segmenter.encode(self.segmenter.preprocess(frame.color))
        if frame.depth is None or not self.policy.uses_depth:
            return features
        size = (self.segmenter.mask_size, self.segmenter.mask_size)
        depth = cv2.resize(frame.depth, size, interpolation=cv2.INTER_NEAREST)
        return replace(features, depth=torch.from_numpy(depth).to(self.segmenter.device))

    @torch.inference_mode()
    def begin(self, features: ImageFeatures, height: int, width: int) -> OpenFrame:
        """Predict the masks of all objects on an encoded image of the given size in pixels. The state does not change."""
        readout = None
        if self.ids:
            readout = self.predictor.read_memory(features, self.bank, self.frame_index, max(self._prompt_counts.values()))
        return OpenFrame(self, features, height, width, readout)

    def step(self, frame: Frame | NDArray[np.uint8]) -> list[Track]:
        """Process one frame: track all objects, and apply the prompts queued since the last frame.

        Returns:
            All objects in ascending order of ids.

        Raises:
            PromptError: a queued prompt does not fit the image. The tracker drops that prompt, and the frame does not count.
        """
        if not isinstance(frame, Frame):
            frame = Frame(frame)
        opened = self.begin(self.encode(frame), frame.height, frame.width)
        pending, self._pending = self._pending, []
        for position, (track_id, prompt) in enumerate(pending):
            try:
                opened.prompt(prompt, track_id)
            except ValueError:
                self._pending = pending[:position] + pending[position + 1 :]
                raise
        return opened.commit()

    def use(self, segmenter: Sam2Segmenter) -> None:
        """Continue with the same network at another batch limit or image size. The memories of the objects are rescaled."""
        if segmenter.feature_size != self.segmenter.feature_size:
            self.bank = self.bank.resized(self.segmenter.feature_size, segmenter.feature_size)
        self.segmenter = segmenter
        self.predictor = Predictor(segmenter, self.policy)

    def snapshot(self) -> Snapshot:
        """Return a snapshot of the state between two frames.

        `apply` is the only method that writes memories in place, and no step of a frame follows it. A snapshot needs no copy of them.
        """
        names = ("frame_index", "ids", "_labels", "_prompt_counts", "_pending", "_next_id", "bank")
        return Snapshot([(self, names)], copied=(MemoryBank,))

    def fork(self) -> StreamTracker:
        """Return an empty tracker with the same network at the same frame, to catch up objects before `adopt` takes them over."""
        other = StreamTracker(self.segmenter, self.policy, self.max_objects, self.min_region_ratio)
        other.frame_index = self.frame_index
        return other

    def adopt(self, other: StreamTracker) -> None:
        """Take over the objects of a fork. Their ids must come from this tracker.

        Raises:
            TrackerError: the fork is at another frame than this tracker.
        """
        if other.frame_index != self.frame_index:
            raise TrackerError(
                f"the fork is at frame {other.frame_index}, but this tracker is at frame {self.frame_index}: advance the fork first"
            )
        self.bank.append(other.bank)
        self.ids.extend(other.ids)
        self._labels.update(other._labels)
        self._prompt_counts.update(other._prompt_counts)

    def preview(self, opened: OpenFrame) -> list[Track]:
        """Return the objects as predicted from memory on an open frame; see `OpenFrame.tracks`."""
        if opened.readout is None:
            return []
        prediction, bank = opened.readout.prediction, self.bank
        frames_unseen = prediction.count_frames_unseen(bank.frames_unseen)
        return make_tracks(
            self.ids, self._labels, prediction, frames_unseen, bank.stable, opened.height, opened.width, self.min_region_ratio
        )

    def commit(self, opened: OpenFrame) -> list[Track]:
        """Write the memories of an open frame; see `OpenFrame.commit`."""
        commit = self.compute(opened)
        self.apply(commit)
        return commit.tracks

    @torch.inference_mode()
    def compute(self, opened: OpenFrame) -> FrameCommit:
        """Compute the memories and the results of an open frame. The state does not change before `apply`."""
        update = self._compute_update(opened)
        return FrameCommit(opened, update, sorted(update.tracks, key=lambda track: track.id) if update is not None else [])

    @torch.inference_mode()
    def apply(self, commit: FrameCommit) -> None:
        """Write a computed frame into the tracker, and advance to the next frame.

        The method computes and allocates everything first. Then it writes, and the writes do not fail.
        """
        update, dropped = commit.update, {*commit.removed, *(commit.fork.ids if commit.fork is not None else ())}
        if update is None:
            self.frame_index += 1
            return
        bank = self.bank.copy() if dropped else copy(self.bank)  # `keep` and `append` work on memory of their own
        for track_id in commit.opened.added:
            bank.append(commit.opened.prompted[track_id].bank)
        staged, prompt_counts = self._stage(bank, commit.opened, update)
        ids, labels = list(update.ids), dict(update.labels)
        if dropped:
            bank = staged.apply()
            bank.keep([row for row, track_id in enumerate(ids) if track_id not in dropped])
            ids = [track_id for track_id in ids if track_id not in dropped]
            for table in (labels, prompt_counts):
                for track_id in dropped:
                    table.pop(track_id, None)
            if commit.fork is not None:
                for track_id in {*commit.removed} & {*commit.fork.ids}:
                    commit.fork.remove(track_id)
                bank.append(commit.fork.bank)
                ids += commit.fork.ids
                labels.update(commit.fork._labels)
                prompt_counts.update(commit.fork._prompt_counts)
        if self.on_logits is not None:
            self.on_logits(update.ids, update.prediction.low_res_logits)
        # All values are computed. From here on the state changes, and no step can fail.
        self.bank = bank if dropped else staged.apply()
        self.ids, self._labels, self._prompt_counts = ids, labels, prompt_counts
        self.frame_index += 1

    def _compute_update(self, opened: OpenFrame) -> _FrameUpdate | None:
        """Compute the effect of an open frame on the tracker without any change of state; None without objects."""
        prompted, readout = opened.prompted, opened.readout
        added = [prompted[track_id] for track_id in opened.added]
        parts = [item.prediction for item in added]
        corrected = {item.row: item.prediction for item in prompted.values() if item.row is not None}
        if readout is not None:
            existing = readout.prediction
            for row, row_prediction in corrected.items():
                existing = existing.with_row(row, row_prediction)
            parts.insert(0, existing)
        if not parts:
            return None
        prediction = MaskPrediction.join(parts)
        from_prompt = torch.zeros_like(prediction.visible)
        if prompted:
            from_prompt = torch.tensor(
                [row in corrected for row in range(len(self.ids))] + [True] * len(added), device=prediction.iou.device
            )
        memories = self._encode_memories(opened.features, prediction, from_prompt)
        is_finite = prediction.is_finite & memories.isfinite().flatten(1).all(1)
        ids = self.ids + opened.added
        labels = {**self._labels, **{key: item.prompt.label or self._labels.get(key, "") for key, item in prompted.items()}}
        banks = [self.bank, *(item.bank for item in added)]
        frames_unseen = prediction.count_frames_unseen(torch.cat([bank.frames_unseen for bank in banks]))
        stable = torch.cat(([readout.choice.stable] if readout is not None else []) + [bank.stable for bank in banks[1:]])
        tracks = make_tracks(ids, labels, prediction, frames_unseen, stable, opened.height, opened.width, self.min_region_ratio)
        return _FrameUpdate(ids, labels, prediction, from_prompt, memories, is_finite, frames_unseen, tracks)

    def _encode_memories(self, features: ImageFeatures, prediction: MaskPrediction, from_prompt: Tensor) -> Tensor:
        """Encode the masks of all objects as spatial memories [N, HW, 64], batch by batch."""
        encoded = []
        for batch, rows in self.segmenter.batches(len(prediction.iou)):
            memories = self.segmenter.encode_memory(
                features, prediction.low_res_logits[rows], prediction.object_score[rows], from_prompt[rows]
            )
            encoded.append(memories[: batch.stop - batch.start])
        return concatenate(encoded)

    def _stage(self, bank: MemoryBank, opened: OpenFrame, update: _FrameUpdate) -> tuple[StagedBank, dict[int, int]]:
        """Stage the writes of a frame on a bank that holds the objects of `update`, and return the new prompt counts by id as well."""
        prediction, memories = update.prediction, update.memories
        staged, prompt_counts = bank.staged(), dict(self._prompt_counts)
        if opened.readout is not None:
            choice, old_count = opened.readout.choice, len(self.ids)
            existing = torch.arange(len(update.ids), device=update.is_finite.device) < old_count
            tracked = existing & ~update.from_prompt & update.is_finite

            def extend(values: Tensor, new_rows: Tensor) -> Tensor:
                return torch.cat((values, new_rows[old_count:]))

            staged.write_tracked(self.frame_index, memories, extend(choice.passed, tracked), prediction.pointers, tracked)
            if choice.anchor is not None:
                staged.write_anchor(self.frame_index, memories, extend(choice.anchor, tracked) & tracked)
            state = BoxState(extend(choice.state.mean, bank.filter_mean), extend(choice.state.covariance, bank.filter_covariance))
            stable, has_filter = extend(choice.stable, bank.stable), extend(choice.has_filter, bank.has_filter)
            staged.write_motion(state, has_filter, stable, existing & update.is_finite)
        for track_id, item in opened.prompted.items():
            row = update.ids.index(track_id)
            count = prompt_counts.get(track_id, 0)
            slot = count if count < MAX_PROMPTED else 1 + (count - 1) % (MAX_PROMPTED - 1)  # the first prompt is never overwritten
            staged.write_prompted(row, slot, self.frame_index, memories[row], prediction.pointers[row])
            prompt_counts[track_id] = count + 1
            if item.row is not None:
                staged.stable[row] = 0  # the motion model restarts, because the prompt gives the position
        staged.frames_unseen = update.frames_unseen
        if opened.features.depth is not None:
            staged.distance = update_distances(opened.features.depth, prediction.low_res_logits, staged.distance)
        staged.record_areas((prediction.low_res_logits > 0).flatten(1).sum(1).float())
        return staged, prompt_counts
