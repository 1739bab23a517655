# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""A frame between its encoding and the writing of its memories. Prompts act on a frame in this state."""

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
    """A request that the tracker refuses; the message names the reason."""


@dataclass(frozen=True)
class PromptPrediction:
    """The prediction of one prompt on an open frame.

    Attributes:
        prompt: the prompt, fitted to the image.
        row: row of the object that the prompt corrects; None for a new object.
        prediction: mask and scores of the object.
        bank: a bank of one object, used only for a new object.
    """

    prompt: ObjectPrompt
    row: int | None
    prediction: MaskPrediction
    bank: MemoryBank


class FrameTracker(Protocol):
    """The part of `StreamTracker` that an open frame uses."""

    ids: list[int]
    frame_index: int
    predictor: Predictor

    def reserve_id(self) -> int:
        """Return the next id, > 0. An id is never given twice."""
        ...

    def unknown_id_message(self, track_id: int) -> str:
        """Return the error sentence for an id that is not tracked."""
        ...

    def check_capacity(self, reserved: int = 0) -> None:
        """Raise TrackerError when the tracker has no capacity for one more object besides `reserved` new ones."""
        ...

    def new_object_bank(self) -> MemoryBank:
        """Return the bank of one object that starts on this frame."""
        ...

    def preview(self, opened: OpenFrame) -> list[Track]:
        """Return the objects as predicted from memory on an open frame."""
        ...

    def commit(self, opened: OpenFrame) -> list[Track]:
        """Write the memories of an open frame."""
        ...


class OpenFrame:
    """An encoded frame whose memories are not written yet, made by `StreamTracker.begin`.

    Attributes:
        tracker: the tracker that opened the frame.
        features: the encoded image.
        height: height of the image in pixels.
        width: width of the image in pixels.
        readout: the prediction from memory for the tracker's objects; None without objects.
        prompted: predictions of the objects that prompts added or corrected on this frame, by id.
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
        """Return the objects as predicted from memory, without the prompts of this frame. The first call costs one copy to the host."""
        if self._preview is None:
            self._preview = self.tracker.preview(self)
        return self._preview

    def prompt(self, prompt: ObjectPrompt, track_id: int | None = None) -> int:
        """Add the prompted object to this frame, or correct an existing one, and return its id. See `predict` for the errors."""
        return self.accept(self.predict(prompt), track_id)

    @torch.inference_mode()
    def predict(self, prompt: ObjectPrompt, check_capacity: bool = True) -> PromptPrediction:
        """Predict the mask of a prompt on this frame.

        Args:
            prompt: a prompt for a new object, or a correction.
            check_capacity: refuse a new object when the tracker has no capacity for it. Set to False for a prompt that may turn out to
                be an existing object.

        Raises:
            PromptError: the prompt does not fit the image.
            TrackerError: the id is unknown, the tracker has no capacity, or the network returned NaN or infinity.
        """
        tracker = self.tracker
        fitted = prompt.check_fits(self.height, self.width)
        row: int | None = None
        if fitted.track_id is None:
            if check_capacity:
                tracker.check_capacity(len(self.added))
        elif fitted.track_id in tracker.ids:
            row = tracker.ids.index(fitted.track_id)
        else:
            raise TrackerError(tracker.unknown_id_message(fitted.track_id))
        bank = tracker.new_object_bank()
        if isinstance(fitted, MaskPrompt):
            prediction = tracker.predictor.from_mask(self.features, fitted)
        else:
            prediction = tracker.predictor.from_points(
                self.features, fitted, self.height, self.width, tracker.frame_index, bank, row, self.readout
            )
        if not bool(prediction.is_finite):
            raise TrackerError("the network returned NaN or infinity for this prompt on this image: try another image")
        return PromptPrediction(fitted, row, prediction, bank)

    @torch.inference_mode()
    def clip_to_box(self, predicted: PromptPrediction, margin: float) -> PromptPrediction:
        """Return a prediction whose mask is clipped to its box prompt and a margin. Predictions of other prompts stay unchanged.

        Args:
            predicted: the prediction.
            margin: allowed distance from the box, as a ratio of its width or height.
        """
        if not isinstance(predicted.prompt, BoxPrompt):
            return predicted
        return replace(predicted, prediction=predicted.prediction.clip_to_box(predicted.prompt.box, margin, self.height, self.width))

    @torch.inference_mode()
    def mask_of(self, predicted: PromptPrediction) -> NDArray[np.bool_]:
        """Return the mask of a prediction as bool [H, W]."""
        return image_masks(predicted.prediction.low_res_logits, self.height, self.width)[0].cpu().numpy()

    def accept(self, predicted: PromptPrediction, track_id: int | None = None) -> int:
        """Make a prediction part of this frame, and return the id of its object.

        Args:
            predicted: the prediction.
            track_id: id of a new object, from `StreamTracker.reserve_id`. None takes the next id.
        """
        if predicted.prompt.track_id is not None:
            track_id = predicted.prompt.track_id
        elif track_id is None:
            track_id = self.tracker.reserve_id()
        self.prompted[track_id] = predicted
        return track_id

    def hide(self, track_ids: Collection[int]) -> None:
        """Hide objects on this frame, whatever the prediction from memory. The tracker writes no memories of them for this frame."""
        if self.readout is None or not track_ids:
            return
        self._hide(
            torch.tensor([track_id in track_ids for track_id in self.tracker.ids], device=self.readout.prediction.low_res_logits.device)
        )

    def _hide(self, where: Tensor) -> None:
        """Hide the objects `where`, bool [N]."""
        assert self.readout is not None
        prediction = self.readout.prediction.hide(where)
        self.readout = replace(self.readout, prediction=replace(prediction, is_finite=prediction.is_finite & ~where))
        self._preview = None

    def split_overlap(self, pair: tuple[int, int], ownership: NDArray[np.float32]) -> None:
        """Assign each pixel of two overlapping objects to the object that owns it; see `MaskPrediction.split_overlap`.

        The split confirms a mask that consists mostly of pixels its object owns. The tracker stores a confirmed mask as if it had
        passed the gates of the policy. While two objects overlap, the network is uncertain even of correct masks. Without these
        memories it would fall back on older ones, in which both objects look alike. If an object loses most of its mask to the other
        one, the rest of the mask is hidden, as by `hide`.

        Args:
            pair: ids of the two objects.
            ownership: float32 [H, W] from 1 (first object) to -1 (second object). Between -0.5 and 0.5 the masks stay unchanged.
        """
        if self.readout is None:
            return
        prediction, choice = self.readout.prediction, self.readout.choice
        rows = [self.tracker.ids.index(track_id) for track_id in pair]
        low_res_ownership = torch.from_numpy(
            cv2.resize(ownership, prediction.low_res_logits.shape[:0:-1], interpolation=cv2.INTER_AREA)
        ).to(prediction.low_res_logits.device)
        prediction, confirmed, lost = prediction.split_overlap(rows, low_res_ownership)
        self.readout = replace(self.readout, prediction=prediction, choice=replace(choice, passed=choice.passed | confirmed))
        self._hide(lost)

    @property
    def added(self) -> list[int]:
        """Ids of the objects that are new on this frame."""
        return [track_id for track_id, predicted in self.prompted.items() if predicted.row is None]

    def commit(self) -> list[Track]:
        """Write the memories of this frame, and return every object on it in ascending order of ids."""
        return self.tracker.commit(self)
