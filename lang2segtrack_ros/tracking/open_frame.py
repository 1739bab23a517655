# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""A frame between being looked at and being remembered: the time at which prompts act on it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Protocol

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lang2segtrack_ros.segmentation.mask_prediction import MaskPrediction
from lang2segtrack_ros.segmentation.postprocess import image_masks
from lang2segtrack_ros.segmentation.sam2 import ImageFeatures
from lang2segtrack_ros.tracking.memory_bank import MemoryBank
from lang2segtrack_ros.tracking.predictor import MemoryReadout, Predictor
from lang2segtrack_ros.types.prompts import BoxPrompt, MaskPrompt, ObjectPrompt
from lang2segtrack_ros.types.results import Track


class TrackerError(ValueError):
    """A request the tracker cannot follow; the message says why."""


@dataclass(frozen=True)
class PromptPrediction:
    """What a prompt gives on an open frame: the fitted prompt, the row of the object it corrects (None: a new one), its mask and state."""

    prompt: ObjectPrompt
    row: int | None
    prediction: MaskPrediction
    bank: MemoryBank  # of a new object, one row


class FrameTracker(Protocol):
    """The part of `StreamTracker` that an open frame needs."""

    ids: list[int]
    frame_index: int
    predictor: Predictor

    def reserve_id(self) -> int:
        """The next id, > 0, never given twice."""
        ...

    def unknown_id(self, track_id: int) -> str:
        """A sentence about an id that is not tracked."""
        ...

    def check_room(self, waiting: int = 0) -> None:
        """Raises TrackerError when no object fits beside the present ones and `waiting` more."""
        ...

    def fresh_bank(self) -> MemoryBank:
        """The bank of one object that is born on this frame."""
        ...

    def preview(self, opened: OpenFrame) -> list[Track]:
        """The objects as memory proposes them on an open frame."""
        ...

    def commit(self, opened: OpenFrame) -> list[Track]:
        """Remembers an open frame."""
        ...


class OpenFrame:
    """A frame that has been looked at but not yet remembered. Made by `StreamTracker.begin`.

    Attributes:
        tracker: whose frame it is.
        features: the encoded image.
        height: of the image, in pixels.
        width: likewise.
        recalled: what memory says of the tracker's objects; None when there are none.
        prompted: what prompts made or corrected on this frame, by id.
    """

    def __init__(self, tracker: FrameTracker, features: ImageFeatures, height: int, width: int, readout: MemoryReadout | None) -> None:
        self.tracker = tracker
        self.features = features
        self.height = height
        self.width = width
        self.readout = readout
        self.prompted: dict[int, PromptPrediction] = {}
        self._preview: list[Track] | None = None

    def tracks(self) -> list[Track]:
        """The objects as proposed, before prompts of this frame; the first call costs one copy to the host."""
        if self._preview is None:
            self._preview = self.tracker.preview(self)
        return self._preview

    def prompt(self, prompt: ObjectPrompt, track_id: int | None = None) -> int:
        """Adds the prompted object on this frame, or corrects an existing one; returns its id. See `propose` for the errors."""
        return self.accept(self.predict(prompt), track_id)

    @torch.inference_mode()
    def predict(self, prompt: ObjectPrompt, check_room: bool = True) -> PromptPrediction:
        """What a prompt would give on this frame.

        Args:
            prompt: a new object's, or a correction.
            check_room: a new object is refused where there is no room for it; False where it may turn out to be an old one.

        Raises:
            PromptError: the prompt does not fit the image.
            TrackerError: unknown id, or no room for another object.
        """
        tracker = self.tracker
        fitted = prompt.check_fits(self.height, self.width)
        row: int | None = None
        if fitted.track_id is None:
            if check_room:
                tracker.check_room(len(self.added))
        elif fitted.track_id in tracker.ids:
            row = tracker.ids.index(fitted.track_id)
        else:
            raise TrackerError(tracker.unknown_id(fitted.track_id))
        fresh = tracker.fresh_bank()
        if isinstance(fitted, MaskPrompt):
            prediction = tracker.predictor.from_mask(self.features, fitted)
        else:
            prediction = tracker.predictor.from_points(
                self.features, fitted, self.height, self.width, tracker.frame_index, fresh, row, self.readout
            )
        if not bool(prediction.is_finite):
            raise TrackerError("the network gave no numbers for this prompt on this image; try another image")
        return PromptPrediction(fitted, row, prediction, fresh)

    @torch.inference_mode()
    def confined(self, predicted: PromptPrediction, margin: float) -> PromptPrediction:
        """A box's proposal without what is further from the box than `margin`, a share of its width or height; others as they are."""
        if not isinstance(predicted.prompt, BoxPrompt):
            return predicted
        return replace(predicted, prediction=predicted.prediction.within(predicted.prompt.box, margin, self.height, self.width))

    @torch.inference_mode()
    def mask_of(self, predicted: PromptPrediction) -> NDArray[np.bool_]:
        """The bool [H, W] mask of a proposal."""
        return image_masks(predicted.prediction.low_res_logits, self.height, self.width)[0].cpu().numpy()

    def accept(self, predicted: PromptPrediction, track_id: int | None = None) -> int:
        """Makes a proposal part of this frame.

        `track_id` is a new object's id, from `StreamTracker.reserve_id`; None takes the next one.
        """
        if predicted.prompt.track_id is not None:
            track_id = predicted.prompt.track_id
        elif track_id is None:
            track_id = self.tracker.reserve_id()
        self.prompted[track_id] = predicted
        return track_id

    def hide(self, track_ids: Collection[int]) -> None:
        """Takes objects for hidden on this frame, whatever memory says; nothing of it is remembered for them."""
        if self.readout is None or not track_ids:
            return
        self._hide(
            torch.tensor([track_id in track_ids for track_id in self.tracker.ids], device=self.readout.prediction.low_res_logits.device)
        )

    def _hide(self, where: Tensor) -> None:
        """The same for objects `where`, bool [N]."""
        assert self.readout is not None
        prediction = self.readout.prediction.hide(where)
        self.readout = replace(self.readout, prediction=replace(prediction, is_finite=prediction.is_finite & ~where))
        self._preview = None

    def split_overlap(self, pair: tuple[int, int], ownership: NDArray[np.float32]) -> None:
        """Gives pixels of two objects to the one whose they are; see `Proposal.split_overlap`.

        A mask that is confirmed by that is remembered as if it had passed the policy's gates: while two overlap, the network is unsure
        of the best of masks, and without them it would fall back on memories of before, in which the two are alike. What is left of a
        mask that was the other's for the most part is hidden, as by `hide`.

        Args:
            pair: ids of the objects.
            whose: [H, W] from 1, the first one's, to -1, the second one's; between -0.5 and 0.5 the masks stay as they are.
        """
        if self.readout is None:
            return
        prediction, choice = self.readout.prediction, self.readout.choice
        rows = [self.tracker.ids.index(track_id) for track_id in pair]
        small = torch.from_numpy(cv2.resize(ownership, prediction.low_res_logits.shape[:0:-1], interpolation=cv2.INTER_AREA)).to(
            prediction.low_res_logits.device
        )
        prediction, confirmed, lost = prediction.split_overlap(rows, small)
        self.readout = replace(self.readout, prediction=prediction, choice=replace(choice, passed=choice.passed | confirmed))
        self._hide(lost)

    @property
    def added(self) -> list[int]:
        """Ids of the objects that are new on this frame."""
        return [track_id for track_id, predicted in self.prompted.items() if predicted.row is None]

    def commit(self) -> list[Track]:
        """Writes the memories of this frame and returns every object on it, by rising id."""
        return self.tracker.commit(self)
