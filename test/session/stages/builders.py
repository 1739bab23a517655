# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Frames and a predictor of masks for the tests of stages, without any network."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lang2segtrack_ros.detection.detector import Detection
from lang2segtrack_ros.detection.worker import DetectionRequest, DetectionResult
from lang2segtrack_ros.identity.object_model import ObjectModel
from lang2segtrack_ros.identity.track_state import TrackState
from lang2segtrack_ros.segmentation.mask_prediction import MaskPrediction
from lang2segtrack_ros.session.actions import Action, SplitOverlap
from lang2segtrack_ros.session.context import FrameContext
from lang2segtrack_ros.session.options import SessionOptions
from lang2segtrack_ros.session.prompt_queue import PromptEntry, PromptQueue
from lang2segtrack_ros.session.state import SessionState
from lang2segtrack_ros.tracking.memory_bank import MemoryBank
from lang2segtrack_ros.tracking.open_frame import PromptPrediction, TrackerError, unknown_id_message
from lang2segtrack_ros.types.prompt_handle import PromptHandle, PromptOutcome, PromptStatus
from lang2segtrack_ros.types.prompts import BoxPrompt, MaskPrompt, ObjectPrompt, Prompt, TextPrompt
from lang2segtrack_ros.types.results import Track, TrackStatus
from lang2segtrack_ros.types.rle import Box, mask_box
from test.identity.synthetic import HEIGHT, RED, WIDTH, by_id, picture

NEW_BANK = MemoryBank.empty(1, 1, 1, 1, 2, torch.device("cpu"))
GROWTH = 20  # pixels by which a grown mask reaches beyond its box on the right


class RectanglePredictor:
    """A predictor whose masks are the boxes of the prompts.

    Args:
        known: ids of the objects that can be corrected.
        refused: boxes for which the prediction fails.
        grown: boxes whose masks reach `GROWTH` pixels too far to the right.
        cut: boxes of whose masks only the left third is visible.
        certainty: predicted IoU of all masks.
        size: height and width of the image in pixels.
    """

    def __init__(
        self,
        known: Collection[int] = (),
        refused: Collection[Box] = (),
        grown: Collection[Box] = (),
        cut: Collection[Box] = (),
        certainty: float = 0.9,
        size: tuple[int, int] = (HEIGHT, WIDTH),
    ) -> None:
        self.known, self.refused, self.grown, self.cut = known, refused, grown, cut
        self.certainty, self.size = certainty, size

    def predict(self, prompt: ObjectPrompt) -> PromptPrediction:
        """Return the rectangle of a box, 10 x 10 pixels around a point, or the mask of a prompt."""
        fitted = prompt.check_fits(*self.size)
        if fitted.track_id is not None and fitted.track_id not in self.known:
            raise TrackerError(unknown_id_message(fitted.track_id, self.known))
        if isinstance(fitted, MaskPrompt):
            return predicted(fitted, fitted.mask, self.certainty)
        if isinstance(fitted, BoxPrompt):
            if fitted.box in self.refused:
                raise TrackerError("the network returned NaN or infinity for this prompt on this image: try another image")
            x1, y1, x2, y2 = fitted.box
            x2 += GROWTH if fitted.box in self.grown else 0
            x2 -= (x2 - x1) * 2 / 3 if fitted.box in self.cut else 0
        else:
            x1, y1 = (value - 5 for value in fitted.points[0])
            x2, y2 = x1 + 10, y1 + 10
        return predicted(fitted, rectangle(x1, y1, x2, y2, self.size), self.certainty)

    def clip_to_box(self, item: PromptPrediction, margin: float) -> PromptPrediction:
        """Return a prediction clipped to its box prompt."""
        if not isinstance(item.prompt, BoxPrompt):
            return item
        return replace(item, prediction=item.prediction.clip_to_box(item.prompt.box, margin, *self.size))

    def mask_of(self, item: PromptPrediction) -> NDArray[np.bool_]:
        """Return the mask of a prediction."""
        mask: NDArray[np.bool_] = (item.prediction.low_res_logits[0] > 0).numpy()
        return mask

    def pool(self, masks: Sequence[NDArray[np.bool_]]) -> NDArray[np.float32]:
        """Return 2 surface and 16 context channels that depend on the column of the mask alone: `pool_column` in the channel of context."""
        rows = np.zeros((len(masks), 18), np.float32)
        rows[:, :2] = 1.0
        for row, mask in zip(rows, masks):
            row[2 + pool_column(mask)] = 1.0
        return rows


def pool_column(mask: NDArray[np.bool_]) -> int:
    """Return the context channel of a mask: the number of its left column in steps of 20 pixels."""
    box = mask_box(mask)
    return int(box[0] // 20) % 16 if box is not None else 0


def predicted(prompt: ObjectPrompt, mask: NDArray[np.bool_], certainty: float = 0.9) -> PromptPrediction:
    """Return a prediction with this mask. Its logits have the size of the image."""
    logits = torch.where(torch.from_numpy(mask), 10.0, -10.0)[None]
    score = torch.ones(1)
    prediction = MaskPrediction.of(logits, certainty * score, 5 * score, score.double(), score > 0, torch.zeros(1, 1))
    return PromptPrediction(prompt, prediction, NEW_BANK)


def rectangle(x1: float, y1: float, x2: float, y2: float, size: tuple[int, int] = (HEIGHT, WIDTH)) -> NDArray[np.bool_]:
    """Return the mask of the pixels whose centers lie inside a box."""
    y, x = np.mgrid[: size[0], : size[1]] + 0.5
    return np.asarray((x >= x1) & (x < x2) & (y >= y1) & (y < y2))


def boxed(track_id: int, box: Box | None, label: str = "red circle", predicted_iou: float = 0.9) -> Track:
    """Return a track whose mask is a box, or without a mask for None."""
    mask = rectangle(*box) if box is not None else np.zeros((HEIGHT, WIDTH), bool)
    score = predicted_iou if box is not None else 0.0
    return Track(track_id, label, TrackStatus.TRACKED, score, mask_box(mask), mask, predicted_iou, 3.0, 0.9, 5)


def state_of(*states: TrackState, **changes: Any) -> SessionState:
    """Return the state of a session with these objects, and with other attributes."""
    return replace(SessionState(tracks=by_id(*states), next_track_id=1 + max((state.id for state in states), default=0)), **changes)


def context_of(
    *tracks: Track, color: NDArray[np.uint8] | None = None, options: SessionOptions | None = None, **changes: Any
) -> FrameContext:
    """Return a frame with these tracks, of a red image by default, and with other attributes."""
    color = picture(RED) if color is None else color
    masks = RectanglePredictor([track.id for track in tracks])
    context = FrameContext(3, color, 100_000_000, tuple(sorted(tracks, key=lambda track: track.id)), options or SessionOptions(), masks)
    return replace(context, **changes)


def detection_of(
    context: FrameContext, *detections: Detection, phrases: tuple[str, ...] = ("red circle",), default_threshold: float = 1.0
) -> FrameContext:
    """Return a frame with detections. With the default threshold, none of them is sure."""
    request = DetectionRequest(context.index, context.color, phrases, (0.5,) * len(phrases), default_threshold)
    return replace(context, detection=DetectionResult(request, detections))


def queue_of(*prompts: Prompt | PromptHandle, status: PromptStatus = PromptStatus.QUEUED) -> PromptQueue:
    """Return a queue of prompts that all have one status."""
    handles = [prompt if isinstance(prompt, PromptHandle) else PromptHandle(prompt) for prompt in prompts]
    return PromptQueue(tuple(PromptEntry(handle, status) for handle in handles))


def detecting(*prompts: TextPrompt | PromptHandle) -> SessionState:
    """Return the state of a session without objects, whose prompts wait for the detection."""
    return state_of(prompts=queue_of(*prompts, status=PromptStatus.DETECTING))


def outcomes(state: SessionState) -> list[PromptOutcome | None]:
    """Return the outcomes of all prompts in order."""
    return [entry.outcome for entry in state.prompts]


def without_finished(state: SessionState) -> SessionState:
    """Return the state after the session has resolved the futures of the finished prompts."""
    return replace(state, prompts=state.prompts.without(state.prompts.finished))


def summary(actions: Iterable[Action]) -> list[tuple[str, Any]]:
    """Return the name and the id, or the pair of ids, of each action."""
    return [(type(action).__name__, action.pair if isinstance(action, SplitOverlap) else action.track_id) for action in actions]


def modeled(state: TrackState, items: Iterable[tuple[int, Track, NDArray[np.uint8]]]) -> TrackState:
    """Return an object with a model from these frame numbers, tracks and images."""
    model = state.model
    for frame, track, color in items:
        model = ObjectModel.of(frame, track, color, 0.0, model)
    return replace(state, model=model)
