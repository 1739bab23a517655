# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""A frame between its encoding and the writing of its memories. Prompts act on a frame in this state."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lang2segtrack_ros.segmentation.mask_prediction import MaskPrediction
from lang2segtrack_ros.segmentation.packed_masks import HostMasks
from lang2segtrack_ros.segmentation.postprocess import image_masks, make_tracks, to_host
from lang2segtrack_ros.segmentation.sam2 import NO_OBJECT_LOGIT, ImageFeatures
from lang2segtrack_ros.segmentation.shrinking import Patch
from lang2segtrack_ros.tracking.bank_storage import TrackRows
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
        prediction: mask and scores of the object.
        bank: a bank of one object without memories. It is used if the object is new or reinitialized.
    """

    prompt: ObjectPrompt
    prediction: MaskPrediction
    bank: MemoryBank


@dataclass(frozen=True)
class ImageInfo:
    """The image of an open frame.

    Attributes:
        encode: returns the encoded image. It is called once, at the first use of `features`.
        height, width: size of the image in pixels.
        index: frame number.
    """

    encode: Callable[[], ImageFeatures]
    height: int
    width: int
    index: int

    @cached_property
    def features(self) -> ImageFeatures:
        """Return the encoded image."""
        return self.encode()

    @property
    def features_in_use(self) -> ImageFeatures | None:
        """Return the encoded image. None if nothing has used it, so that it was never encoded."""
        return vars(self).get("features")


@dataclass(frozen=True)
class FrameFunctions:
    """The functions of a tracker that an open frame calls.

    Attributes:
        predictor: predictor of masks.
        new_bank: returns a bank of one object without memories.
        pool: pools features under masks; see `Tracker.pool`.
        read_results: returns the results of the prediction from memory on the host. None if `OpenFrame` must compute them.
        min_region_ratio: see `Tracker`.
    """

    predictor: Predictor
    new_bank: Callable[[], MemoryBank]
    pool: Callable[[ImageFeatures, Sequence[NDArray[np.bool_]]], NDArray[np.float32]]
    read_results: Callable[[], HostMasks | None]
    min_region_ratio: float = 0.0


class OpenFrame:
    """An encoded frame whose memories are not written yet, made by `Tracker.open`. It changes nothing of the tracker.

    Args:
        functions: the functions of the tracker.
        image: the encoded image.
        rows: the objects of the tracker before this frame.
        readout: the prediction from memory for these objects; None without objects.

    Attributes:
        prompted: predictions of the objects whose mask comes from a prompt on this frame, by id.
        fresh: ids of the objects that start without memories on this frame: new or reinitialized ones.
    """

    def __init__(self, functions: FrameFunctions, image: ImageInfo, rows: TrackRows, readout: MemoryReadout | None) -> None:
        self.image = image
        self.rows = rows
        self.readout = readout
        self.prompted: dict[int, PromptPrediction] = {}
        self.fresh: set[int] = set()
        self._functions = functions
        self._is_changed = False  # True if `readout` alone no longer gives the masks
        self._tracks: dict[int, Track] = {}

    @property
    def ids(self) -> list[int]:
        """Return the ids of all objects of this frame: those of `rows`, then the new ones."""
        return [*self.rows.ids, *(track_id for track_id in self.prompted if track_id not in self.rows.ids)]

    @torch.inference_mode()
    def predict(self, prompt: ObjectPrompt) -> PromptPrediction:
        """Predict the mask of a prompt on this frame.

        Args:
            prompt: a prompt for a new object, or a correction.

        Raises:
            PromptError: the prompt does not fit the image.
            TrackerError: the id is unknown, or the network returned NaN or infinity.
        """
        image = self.image
        fitted = prompt.check_fits(image.height, image.width)
        row = self._row(fitted.track_id) if fitted.track_id is not None else None
        bank = self._functions.new_bank()
        if isinstance(fitted, MaskPrompt):
            prediction = self._functions.predictor.from_mask(image.features, fitted)
        else:
            prediction = self._functions.predictor.from_points(
                image.features, fitted, image.height, image.width, image.index, bank, row, self.readout
            )
        if not bool(prediction.is_finite):
            raise TrackerError("the network returned NaN or infinity for this prompt on this image: try another image")
        return PromptPrediction(fitted, prediction, bank)

    def _row(self, track_id: int) -> int:
        if track_id not in self.rows.ids:
            raise TrackerError(unknown_id_message(track_id, self.rows.ids))
        return self.rows.ids.index(track_id)

    @torch.inference_mode()
    def clip_to_box(self, predicted: PromptPrediction, margin: float) -> PromptPrediction:
        """Return a prediction whose mask is clipped to its box prompt and a margin. Predictions of other prompts stay unchanged.

        Args:
            predicted: the prediction.
            margin: allowed distance from the box, as a ratio of its width or height.
        """
        if not isinstance(predicted.prompt, BoxPrompt):
            return predicted
        clipped = predicted.prediction.clip_to_box(predicted.prompt.box, margin, self.image.height, self.image.width)
        return replace(predicted, prediction=clipped)

    @torch.inference_mode()
    def mask_of(self, predicted: PromptPrediction) -> NDArray[np.bool_]:
        """Return the mask of a prediction as bool [H, W]."""
        return image_masks(predicted.prediction.low_res_logits, self.image.height, self.image.width)[0].cpu().numpy()

    def pool(self, masks: Sequence[NDArray[np.bool_]]) -> NDArray[np.float32]:
        """Pool the features of the image under masks; see `feature_pooling.pool_masks`."""
        return self._functions.pool(self.image.features, masks)

    def accept(self, predicted: PromptPrediction, track_id: int, keep_memories: bool = False) -> None:
        """Make a prediction part of this frame.

        Args:
            predicted: the prediction.
            track_id: id of its object.
            keep_memories: True corrects an object of `rows`, which keeps its memories. False starts it anew on this frame.
        """
        self.prompted[track_id] = predicted
        self._is_changed = True
        if keep_memories:
            self.fresh.discard(track_id)
        else:
            self.fresh.add(track_id)
        self._tracks.pop(track_id, None)

    def hide(self, track_ids: Collection[int]) -> None:
        """Hide objects on this frame, whatever the prediction from memory. The tracker writes no memories of them for this frame."""
        if self.readout is None or not track_ids:
            return
        where = torch.tensor([track_id in track_ids for track_id in self.rows.ids], device=self.readout.prediction.iou.device)
        prediction, self._is_changed = self.readout.prediction.hide(where), True
        self.readout = replace(self.readout, prediction=replace(prediction, is_finite=prediction.is_finite & ~where))
        for track_id in track_ids:
            self._tracks.pop(track_id, None)

    @torch.inference_mode()
    def empty_memories(self, track_ids: Collection[int]) -> None:
        """Make the tracker write memories of empty masks for objects of `rows`. Later results show no masks of them."""
        if self.readout is None or not track_ids:
            return
        where = torch.tensor([track_id in track_ids for track_id in self.rows.ids], device=self.readout.prediction.iou.device)
        prediction, self._is_changed = self.readout.prediction.hide(where), True
        object_score = torch.where(where, NO_OBJECT_LOGIT, prediction.object_score)
        self.readout = replace(self.readout, prediction=replace(prediction, object_score=object_score))
        for track_id in track_ids:
            self._tracks.pop(track_id, None)

    @torch.inference_mode()
    def split_overlaps(self, ownership: Mapping[tuple[int, int], Patch]) -> None:
        """Assign each pixel of overlapping objects to the object that owns it; see `MaskPrediction.split_overlaps`.

        The split confirms a mask that consists mostly of pixels its object owns. The tracker stores a confirmed mask as if it had
        passed the gates of the policy. While two objects overlap, the network is uncertain even of correct masks. Without these
        memories it would fall back on older ones, in which both objects look alike. If an object loses most of its mask to the other
        one, the rest of the mask is hidden, as by `hide`.

        Args:
            ownership: float32 images from 1 (first object) to -1 (second object), by pair of ids. Between -0.5 and 0.5 the masks stay
                unchanged.
        """
        if self.readout is None or not ownership:
            return
        before, choice = self.readout.prediction, self.readout.choice
        size, device = (before.low_res_logits.shape[1], before.low_res_logits.shape[2]), before.low_res_logits.device
        pairs = [(self.rows.ids.index(one), self.rows.ids.index(other)) for one, other in ownership]
        low_res = np.stack([patch.shrink(size) for patch in ownership.values()])
        prediction, confirmed = before.split_overlaps(pairs, torch.from_numpy(low_res).to(device))
        self.readout = replace(self.readout, prediction=prediction, choice=replace(choice, passed=choice.passed | confirmed))
        self._is_changed = True
        changed = (prediction.low_res_logits != before.low_res_logits).flatten(1).any(1).tolist()
        for track_id in (track_id for track_id, is_changed in zip(self.rows.ids, changed) if is_changed):
            self._tracks.pop(track_id, None)

    def prediction(self) -> MaskPrediction | None:
        """Return the masks of all objects in the order of `ids`; None without objects."""
        added = [item.prediction for track_id, item in self.prompted.items() if track_id not in self.rows.ids]
        if self.readout is None:
            return MaskPrediction.join(added) if added else None
        existing = self.readout.prediction
        for track_id, item in self.prompted.items():
            if track_id in self.rows.ids:
                existing = existing.with_row(self.rows.ids.index(track_id), item.prediction)
        return MaskPrediction.join([existing, *added]) if added else existing

    def motion_counters(self) -> tuple[Tensor, Tensor]:
        """Return for all objects the frames since they were last visible before this frame, and the steady frames; int64 [N]."""
        unseen, stable = [self.rows.bank.frames_unseen], [self.readout.choice.stable if self.readout is not None else self.rows.bank.stable]
        for track_id, item in self.prompted.items():
            if track_id not in self.rows.ids:
                unseen.append(item.bank.frames_unseen)
                stable.append(item.bank.stable)
            elif track_id in self.fresh:
                is_row = torch.arange(len(unseen[0]), device=unseen[0].device) == self.rows.ids.index(track_id)
                unseen[0] = torch.where(is_row, item.bank.frames_unseen, unseen[0])
                stable[0] = torch.where(is_row, item.bank.stable, stable[0])
        return torch.cat(unseen), torch.cat(stable)

    @torch.inference_mode()
    def tracks(self, labels: Mapping[int, str]) -> list[Track]:
        """Return all objects with their present masks on this frame, in ascending order of ids.

        The masks of objects that changed since the last call are copied to the host, all in one copy.

        Args:
            labels: labels by id.
        """
        missing = [track_id for track_id in self.ids if track_id not in self._tracks]
        if missing:
            results = None if self._is_changed else self._functions.read_results()
            made = make_tracks(missing, labels, results or self._results(missing), self._functions.min_region_ratio)
            self._tracks |= {track.id: track for track in made}
        for track in [item for item in self._tracks.values() if labels.get(item.id, "") != item.label]:
            self._tracks[track.id] = replace(track, label=labels.get(track.id, ""))
        return [self._tracks[track_id] for track_id in sorted(self._tracks)]

    def _results(self, track_ids: Sequence[int]) -> HostMasks:
        """Return the present masks and scores of objects on the host."""
        prediction, ids = self.prediction(), self.ids
        assert prediction is not None
        before, stable = self.motion_counters()
        unseen = prediction.count_frames_unseen(before)
        if len(track_ids) < len(ids):
            index = torch.tensor([ids.index(track_id) for track_id in track_ids], device=unseen.device)
            prediction, unseen, stable = prediction.select(index), unseen[index], stable[index]
        return to_host(prediction, unseen, stable, self.image.height, self.image.width)


def unknown_id_message(track_id: int, tracked_ids: Collection[int]) -> str:
    """Return the error sentence for an id that is not tracked."""
    tracked = ", ".join(str(known_id) for known_id in sorted(tracked_ids)) or "none"
    return f"there is no track {track_id}; tracked now: {tracked}"
