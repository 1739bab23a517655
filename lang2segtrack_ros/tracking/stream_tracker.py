# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Follows prompted objects through a stream, frame by frame.

A frame is worked on in three moves: `begin` encodes it and proposes a mask for every object, `OpenFrame.prompt` adds or
corrects objects on this very frame, `OpenFrame.commit` writes the memories and gives the result. Nothing is changed before
`commit`, so an exception on the way leaves the tracker as it was. `StreamTracker.step` does all three.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import replace

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lang2segtrack_ros.runtime.snapshot import Snapshot
from lang2segtrack_ros.segmentation.mask_prediction import MaskPrediction
from lang2segtrack_ros.segmentation.postprocess import make_tracks
from lang2segtrack_ros.segmentation.sam2 import ImageFeatures, Sam2Segmenter, joined
from lang2segtrack_ros.tracking.depth_gate import distances
from lang2segtrack_ros.tracking.memory_bank import MAX_PROMPTED, MemoryBank
from lang2segtrack_ros.tracking.open_frame import OpenFrame, TrackerError
from lang2segtrack_ros.tracking.policies.base import Policy
from lang2segtrack_ros.tracking.policies.registry import make_policy
from lang2segtrack_ros.tracking.predictor import Predictor
from lang2segtrack_ros.types.frame import Frame
from lang2segtrack_ros.types.prompts import ObjectPrompt
from lang2segtrack_ros.types.results import Track


class StreamTracker:
    """SAM 2 tracking of many objects on an endless stream, with memory that depends on the number of objects alone.

    Args:
        segmenter: the network.
        policy: "sam2", "samurai" or a `policies.Policy`.
        max_objects: more are refused.
        min_region_ratio: parts of a mask smaller than this share of its largest part are specks and left out of results (see
            `mask_filter`); 0 gives masks as the network does.

    Attributes:
        on_logits: a hook for debugging, called on each frame with the ids of the objects and their mask logits [N, h, w]; None for none.

    One object never influences another: all state is per object, and a frame's batch only changes results by rounding.
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
        """Forgets all objects; ids go on from where they were, so that no id ever means two things."""
        self.frame_index = 0
        self.ids: list[int] = []
        self._labels: dict[int, str] = {}
        self._prompts_seen: dict[int, int] = {}
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

    def fresh_bank(self) -> MemoryBank:
        """The bank of one object that is born on this frame."""
        bank = self._empty_bank(1)
        bank.born += self.frame_index
        return bank

    def reserve_id(self) -> int:
        """The next id, > 0, never given twice."""
        self._next_id += 1
        return self._next_id - 1

    def unknown_id(self, track_id: int) -> str:
        """A sentence about an id that is not tracked."""
        known = ", ".join(str(known) for known in sorted(self.ids)) or "none"
        return f"there is no track {track_id}; tracked now: {known}"

    def check_room(self, waiting: int = 0) -> None:
        """Raises TrackerError when no object fits beside the present ones and `waiting` more."""
        if len(self.ids) + waiting >= self.max_objects:
            raise TrackerError(f"{self.max_objects} objects are tracked already and no more are allowed; remove one first")

    def add(self, prompt: ObjectPrompt) -> int:
        """Takes a prompt for the next frame; returns the id that the object will have.

        Raises:
            TrackerError: it corrects an unknown object, or there is no room for another.
        """
        if prompt.track_id is not None and prompt.track_id not in self.ids:
            raise TrackerError(self.unknown_id(prompt.track_id))
        if prompt.track_id is None:
            self.check_room(sum(item.track_id is None for _, item in self._pending))
        track_id = self.reserve_id() if prompt.track_id is None else prompt.track_id
        self._pending.append((track_id, prompt))
        return track_id

    def remove(self, track_id: int) -> None:
        """Forgets an object. Raises TrackerError when it is not tracked."""
        pending = len(self._pending)
        self._pending = [item for item in self._pending if item[0] != track_id]
        if track_id not in self.ids:
            if len(self._pending) == pending:
                raise TrackerError(self.unknown_id(track_id))
            return
        rows = [row for row, known in enumerate(self.ids) if known != track_id]
        bank = copy(self.bank)
        bank.keep(rows)
        self.bank = bank  # only now: memory may have run out on the way
        self.ids.remove(track_id)
        del self._labels[track_id], self._prompts_seen[track_id]

    @torch.inference_mode()
    def encode(self, frame: Frame) -> ImageFeatures:
        """Runs the image encoder on a frame; its depth goes with it where the policy looks at depth."""
        features = self.segmenter.encode(self.segmenter.preprocess(frame.color))
        if frame.depth is None or not self.policy.uses_depth:
            return features
        size = (self.segmenter.mask_size, self.segmenter.mask_size)
        depth = cv2.resize(frame.depth, size, interpolation=cv2.INTER_NEAREST)
        return replace(features, depth=torch.from_numpy(depth).to(self.segmenter.device))

    @torch.inference_mode()
    def begin(self, features: ImageFeatures, height: int, width: int) -> OpenFrame:
        """Proposes masks for all objects on an encoded image of the given size in pixels; changes nothing."""
        readout = None
        if self.ids:
            readout = self.predictor.read_memory(features, self.bank, self.frame_index, max(self._prompts_seen.values()))
        return OpenFrame(self, features, height, width, readout)

    def step(self, frame: Frame | NDArray[np.uint8]) -> list[Track]:
        """One frame: follows all objects, applies the prompts given since the last frame, returns all objects by rising id.

        Raises:
            PromptError: a waiting prompt does not fit the image; it is dropped and the frame does not count.
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
        """Goes on with the same network at another appetite or image size; what objects remember is scaled."""
        if segmenter.feature_size != self.segmenter.feature_size:
            self.bank = self.bank.resized(self.segmenter.feature_size, segmenter.feature_size)
        self.segmenter = segmenter
        self.predictor = Predictor(segmenter, self.policy)

    def snapshot(self) -> Snapshot:
        """Everything as it is between two frames. What a `commit` has written into objects' memories since stays, and is written anew."""
        names = ("frame_index", "ids", "_labels", "_prompts_seen", "_pending", "bank")
        return Snapshot([(self, names)], copied=(MemoryBank,))

    def fork(self) -> StreamTracker:
        """An empty tracker on the same network and at the same frame, to catch up objects that are later `adopt`ed."""
        other = StreamTracker(self.segmenter, self.policy, self.max_objects, self.min_region_ratio)
        other.frame_index = self.frame_index
        return other

    def adopt(self, other: StreamTracker) -> None:
        """Takes over the objects of a fork that has reached this tracker's frame; their ids must be this tracker's own."""
        if other.frame_index != self.frame_index:
            raise TrackerError(f"the fork is at frame {other.frame_index}, this tracker at {self.frame_index}")
        self.bank.append(other.bank)
        self.ids.extend(other.ids)
        self._labels.update(other._labels)
        self._prompts_seen.update(other._prompts_seen)

    def preview(self, opened: OpenFrame) -> list[Track]:
        """The objects as memory proposes them on an open frame; see `OpenFrame.tracks`."""
        if opened.readout is None:
            return []
        prediction, bank = opened.readout.prediction, self.bank
        frames_unseen = prediction.count_frames_unseen(bank.frames_unseen)
        return make_tracks(
            self.ids, self._labels, prediction, frames_unseen, bank.stable, opened.height, opened.width, self.min_region_ratio
        )

    @torch.inference_mode()
    def commit(self, opened: OpenFrame) -> list[Track]:
        """Remembers an open frame; see `OpenFrame.commit`."""
        prompted, readout = opened.prompted, opened.readout
        added = [prompted[track_id] for track_id in opened.added]
        parts = [item.prediction for item in added]
        corrected = {item.row: item.prediction for item in prompted.values() if item.row is not None}
        if readout is not None:
            known = readout.prediction
            for row, prediction in corrected.items():
                known = known.replaced(row, prediction)
            parts.insert(0, known)
        if not parts:
            self.frame_index += 1
            return []
        whole = MaskPrediction.join(parts)
        old = len(self.ids)
        from_user = torch.zeros_like(whole.visible)
        if prompted:
            from_user = torch.tensor([row in corrected for row in range(old)] + [True] * len(added), device=whole.iou.device)
        written = []
        for part, rows in self.segmenter.batches(len(whole.iou)):
            memory = self.segmenter.encode_memory(opened.features, whole.low_res_logits[rows], whole.object_score[rows], from_user[rows])
            written.append(memory[: part.stop - part.start])
        memories = joined(written)
        is_finite = whole.is_finite & memories.isfinite().flatten(1).all(1)
        ids = self.ids + opened.added
        labels = {**self._labels, **{key: item.prompt.label or self._labels.get(key, "") for key, item in prompted.items()}}
        banks = [self.bank, *(item.bank for item in added)]
        frames_unseen = whole.count_frames_unseen(torch.cat([bank.frames_unseen for bank in banks]))
        stable = torch.cat(([readout.choice.stable] if readout is not None else []) + [bank.stable for bank in banks[1:]])
        tracks = make_tracks(ids, labels, whole, frames_unseen, stable, opened.height, opened.width, self.min_region_ratio)

        # All is computed: from here on the state changes, and nothing can fail.
        if readout is not None:
            choice, tracked = readout.choice, ~from_user[:old] & is_finite[:old]
            self.bank.write_tracked(self.frame_index, memories[:old], choice.passed, whole.pointers[:old], tracked)
            if choice.anchor is not None:
                self.bank.write_anchor(self.frame_index, memories[:old], choice.anchor & tracked)
            self.bank.write_motion(choice.state, choice.has_filter, choice.stable, is_finite[:old])
        for item in added:
            self.bank.append(item.bank)
        self.ids = ids
        for track_id, item in prompted.items():
            row = ids.index(track_id)
            seen = self._prompts_seen.get(track_id, 0)
            slot = seen if seen < MAX_PROMPTED else 1 + (seen - 1) % (MAX_PROMPTED - 1)  # the first prompt is never forgotten
            self.bank.write_prompted(row, slot, self.frame_index, memories[row], whole.pointers[row])
            self._prompts_seen[track_id] = seen + 1
            if item.row is not None:
                self.bank.stable[row] = 0  # the user said where it is: the motion model starts anew
        self._labels = labels
        self.bank.frames_unseen = frames_unseen
        if opened.features.depth is not None:
            self.bank.distance = distances(opened.features.depth, whole.low_res_logits, self.bank.distance)
        self.bank.note_areas((whole.low_res_logits > 0).flatten(1).sum(1).float())
        self.frame_index += 1
        if self.on_logits is not None:
            self.on_logits(ids, whole.low_res_logits)
        return sorted(tracks, key=lambda track: track.id)
