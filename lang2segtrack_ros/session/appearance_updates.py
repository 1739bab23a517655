# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The work on a frame that may follow its result: appearance models of the objects, and the history."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import cast

import numpy as np
from numpy.typing import NDArray

from lang2segtrack_ros.history.frame_history import FrameHistory
from lang2segtrack_ros.identity.association import CONFIDENT_IOU
from lang2segtrack_ros.identity.crossings import update_models
from lang2segtrack_ros.identity.feature_appearance import Observation
from lang2segtrack_ros.identity.look_alikes import observe_features
from lang2segtrack_ros.identity.track_state import Tracks
from lang2segtrack_ros.identity.verification import update_appearance
from lang2segtrack_ros.segmentation.sam2 import ImageFeatures
from lang2segtrack_ros.session.options import SessionOptions
from lang2segtrack_ros.session.state import SessionState
from lang2segtrack_ros.types.frame import Frame
from lang2segtrack_ros.types.results import FrameResult, Track
from lang2segtrack_ros.types.rle import Box

log = logging.getLogger(__name__)
_FEATURE_INTERVAL = 3  # frames from one observation of features to the next


@dataclass(frozen=True, eq=False)
class FinishedFrame:
    """A frame whose update is due.

    Attributes:
        frame: the frame.
        result: its result.
        features: the encoded image. None if the frame has no object, and no prompt or detection needed it.
        pool: pools the features under masks of the image; see `Tracker.pool`.
        is_idle: True if the session was idle before the frame; see `SessionState.is_idle`.
        is_retry: True if the update has failed once.
    """

    frame: Frame
    result: FrameResult
    features: ImageFeatures | None
    pool: Callable[[ImageFeatures, Sequence[NDArray[np.bool_]]], NDArray[np.float32]]
    is_idle: bool = False
    is_retry: bool = False


class AppearanceUpdates:
    """The update that is due after the latest frame.

    Attributes:
        due: the frame. None if no update is due.
        failures: number of failed updates.
    """

    def __init__(self) -> None:
        self.due: FinishedFrame | None = None
        self.failures = 0
        self._last_error = ""

    def run(self, state: SessionState, options: SessionOptions, history: FrameHistory | None) -> SessionState:
        """Return the state after the update that is due, and add its frame to the history.

        A failure is logged and counted. The next call repeats a failed update of appearances once.
        """
        due, self.due = self.due, None
        if due is None:
            return state
        try:
            state = updated_appearance(state, due, options)
        except Exception as error:  # the result of the frame stays valid
            self._record(error)
            self.due = None if due.is_retry else replace(due, is_retry=True)
            return state
        try:
            if history is not None and (history.while_idle or not due.is_idle):
                history.add(due.frame, due.result, due.features)
        except Exception as error:
            self._record(error)
        return state

    def _record(self, error: Exception) -> None:
        self.failures += 1
        message = f"{type(error).__name__}: {error}"
        if message != self._last_error:
            log.exception("the update of the appearance models or of the history failed")
        self._last_error = message


def updated_appearance(state: SessionState, finished: FinishedFrame, options: SessionOptions) -> SessionState:
    """Return the state with the appearances, colors and positions of the objects on a finished frame.

    Args:
        state: the state after the frame.
        finished: the frame.
        options: options of the session.
    """
    color, result = finished.frame.color, finished.result
    tracks = [track for track in result.tracks if track.id in state.tracks and track.box is not None]
    states = state.tracks
    if options.resolve_crossings:
        states = update_models(states, state.crossings, tracks, color, result.index, state.scene.exposure)
    observations = _observe(states, tracks, finished) if options.appearance != "color" else {}
    return replace(state, tracks=update_appearance(states, tracks, color, options, observations))


def _observe(states: Tracks, tracks: Sequence[Track], finished: FinishedFrame) -> dict[int, Observation | None]:
    """Observe features and geometry of each track on every third frame, by id. A track without a model is always observed."""
    index = finished.result.index
    turn = index % _FEATURE_INTERVAL  # a part of the tracks on each frame, so that no frame takes much longer than others
    due = [track for rank, track in enumerate(tracks) if states[track.id].features is None or rank % _FEATURE_INTERVAL == turn]
    due = [track for track in due if track.predicted_iou >= CONFIDENT_IOU]
    if not due or finished.features is None:
        return {}
    boxes, others = [cast(Box, track.box) for track in due], [cast(Box, track.box) for track in tracks]
    observations = observe_features([track.mask for track in due], boxes, partial(finished.pool, finished.features), others)
    return {track.id: observation for track, observation in zip(due, observations)}
