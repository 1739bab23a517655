# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The engine on reversed frames: the stages of a session, with what the forward pass has learned of each object.

Time runs backward: frame numbers and stamps rise while the frames get older. Objects start from masks of the forward pass only. Their
appearance, features, shape and color models come from the forward pass, their trajectories from its positions at the start. A detection
verifies objects that a text or exemplar prompt has named, and finds them again. It starts no objects. A returning object must resemble
its object in color, shape and size.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from lang2segtrack_ros.detection.detector import Detector
from lang2segtrack_ros.detection.exemplar import ExemplarFinder
from lang2segtrack_ros.detection.schedule import MAX_PROMPTS, DetectionSchedule
from lang2segtrack_ros.history.reverse_tracking import Seen, Start
from lang2segtrack_ros.identity.appearance import appearance_of, appearance_similarity
from lang2segtrack_ros.identity.crossings import without
from lang2segtrack_ros.identity.duplicates import APART_FRAMES, PairHistory
from lang2segtrack_ros.identity.track_state import Origin, TrackState, Verification
from lang2segtrack_ros.segmentation.sam2 import ImageFeatures
from lang2segtrack_ros.session.actions import Action, Spawn
from lang2segtrack_ros.session.appearance_updates import FinishedFrame, updated_appearance
from lang2segtrack_ros.session.context import FrameContext
from lang2segtrack_ros.session.options import SessionOptions
from lang2segtrack_ros.session.pipeline import Engine, compute_frame
from lang2segtrack_ros.session.state import SessionState
from lang2segtrack_ros.tracking.open_frame import TrackerError
from lang2segtrack_ros.tracking.tracker import Tracker
from lang2segtrack_ros.types.frame import Frame
from lang2segtrack_ros.types.prompts import DetectionPrompt, MaskPrompt, PromptError, TextPrompt
from lang2segtrack_ros.types.results import Track

log = logging.getLogger(__name__)
_MIN_SCORE = 0.4  # a mask with a lower predicted IoU is uncertain
_MAX_GROWTH = 1.8  # ratio of the areas of a mask and its object above which the mask has grown over something else
_MAX_REID_AFTER_S = 0.2  # time unseen after which an object must be verified; shorter than forward, because frames can be left out


class ReverseSession:
    """The objects of a session on its past frames, newest frame first.

    Args:
        tracker: tracker without objects.
        detector: detector of the session. None without text prompts.
        options: options of the session.
        state: state of the session after the past frames.
        finder: matcher of the session. None without exemplar prompts.
    """

    def __init__(
        self, tracker: Tracker, detector: Detector | None, options: SessionOptions, state: SessionState, finder: ExemplarFinder | None
    ) -> None:
        reid_after_s = min(options.reid_after_s, _MAX_REID_AFTER_S)
        self.options = replace(options, remove_after_s=0.0, reid_after_s=reid_after_s)
        self._tracker = tracker
        self._detector = detector if options.detect_every_backward else None
        self._finder = finder if options.detect_every_backward else None
        self._known: Mapping[int, TrackState] = state.tracks
        self._named = {label: prompt for label, prompt in state.schedule.named.items() if self._can_detect(prompt)}
        self._state = SessionState(scene=state.scene.restarted())
        self._last_error = ""
        self._color: NDArray[np.uint8] | None = None  # image of the latest frame

    def _can_detect(self, prompt: DetectionPrompt) -> bool:
        """Return True if a network of the sweep finds the objects of a prompt."""
        if isinstance(prompt, TextPrompt):
            return self._detector is not None
        return self._finder is not None and prompt.image is not None

    @property
    def ids(self) -> Collection[int]:
        """Return the ids of the objects of the sweep."""
        return self._state.tracks.keys()

    def encode(self, frame: Frame) -> ImageFeatures:
        """Run the image encoder on a frame."""
        return self._tracker.encode(frame)

    def step(self, index: int, frame: Frame, features: ImageFeatures, starts: Sequence[Start]) -> list[Seen]:
        """Process the next older frame. See `ReverseTracker.step`."""
        engine = Engine(self._tracker, self._detector, self.options, True, True, allows_new=False, finder=self._finder)
        before = replace(self._state, frame_index=index)
        reversed_frame = replace(frame, stamp_ns=-frame.stamp_ns)
        features = self._tracker.adopt(features)
        computed = compute_frame(before, engine, reversed_frame, features, partial(self._start, starts))
        self._tracker.apply(computed.update)
        if computed.detection is not None and computed.detection.error is not None:
            self._log_failure(computed.detection.error)
        state = updated_appearance(
            computed.state, FinishedFrame(reversed_frame, computed.result, features, self._tracker.pool), self.options
        )
        self._state = replace(state, tracks={key: _strict(track) for key, track in state.tracks.items()})
        self._color = frame.color
        self._tracker.prepare_due()
        suspended = {track.id: track for track in computed.suspended}
        seen = []
        for track in computed.result.tracks:
            known, old = state.tracks.get(track.id), before.tracks.get(track.id)
            if known is None:
                continue
            is_detected = old is not None and known.hits > old.hits
            is_uncertain = self._is_uncertain(track, known) and not is_detected
            unverified = suspended.get(track.id) if track.box is None else None
            if unverified is not None and self.similarity(unverified) < self.options.reid_threshold:
                unverified = None
            seen.append(Seen(track, is_detected, is_uncertain, unverified))
        return seen

    def _log_failure(self, error: Exception) -> None:
        """Log a failed detection with its traceback, unless the detection before failed in the same way."""
        message = f"{type(error).__name__}: {error}"
        if message != self._last_error:
            log.error("a detection of the backward pass failed; the pass continues", exc_info=error)
        self._last_error = message

    def _is_uncertain(self, track: Track, known: TrackState) -> bool:
        """Return True if a mask may show something else than its object, or more than it."""
        if known.dissimilar_frames > 0 or known.verification is not Verification.VERIFIED or track.predicted_iou < _MIN_SCORE:
            return True
        # In the sweep, the model of an object that was partly hidden is too small. The forward pass has seen it whole.
        states = (known, self._known.get(track.id))
        areas = [float(np.exp(state.shape.mean[0])) for state in states if state is not None and state.shape is not None]
        return track.box is not None and bool(areas) and int(np.count_nonzero(track.mask)) > _MAX_GROWTH * max(areas)

    def similarity(self, track: Track) -> float:
        """Return how similar the colors of a track on the latest frame are to its object, 0..1."""
        assert self._color is not None
        return appearance_similarity(appearance_of(self._color, track.mask, track.box), self._state.tracks[track.id].appearance)

    def require_verification(self, track_ids: Collection[int]) -> None:
        """Require the verification of objects whose tracks are on other objects."""
        for track in [self._state.tracks[key] for key in track_ids if key in self._state.tracks]:
            self._state = self._state.with_track(track.requiring(Verification.NEEDS_CLOSE_REID))

    def clear(self) -> None:
        """End all objects, because the next frame is not the next older one."""
        self._tracker.clear()
        self._state = SessionState(scene=self._state.scene.restarted())

    def _start(self, starts: Sequence[Start], state: SessionState, context: FrameContext) -> tuple[SessionState, list[Action]]:
        """Start objects from their forward masks: a further stage of the frame."""
        actions: list[Action] = []
        for start in starts:
            try:
                predicted = context.masks.predict(MaskPrompt(start.mask, start.label))
            except (PromptError, TrackerError):
                state = replace(state, counters=state.counters.plus(predictions_refused=1))
                continue
            actions.append(Spawn(start.track_id, predicted))
            others = {*state.tracks} - {start.track_id}
            pairs = {(min(start.track_id, key), max(start.track_id, key)): PairHistory(APART_FRAMES) for key in others}
            crossings = without(state.crossings, start.track_id)
            state = replace(state.with_track(self._state_of(start)), pairs={**state.pairs, **pairs}, crossings=crossings)
        return (replace(state, schedule=self._schedule(state)), actions) if actions else (state, [])

    def _state_of(self, start: Start) -> TrackState:
        """Return the state of a starting object: what the forward pass knows, with the trajectory at the start."""
        origin = Origin.DETECTION if start.label in self._named else Origin.PROMPT
        known = self._known.get(start.track_id, TrackState(start.track_id, start.label, origin, True))
        model = replace(known.model, trajectory=start.trajectory) if known.model is not None and start.trajectory else None
        known = replace(known.verified(), label=start.label, origin=origin, confirmed=True, loose_fits=0, dissimilar_frames=0)
        return replace(known, detected_box=None, model=model)

    def _schedule(self, state: SessionState) -> DetectionSchedule:
        """Return the detections for the named objects of the sweep. Each phrase is a prompt of its own, so that a limit splits them."""
        schedule, labels = state.schedule, {track.label for track in state.tracks.values() if track.is_detected}
        for label in sorted(labels - {*schedule.phrases})[: MAX_PROMPTS - len(schedule.prompts)]:
            schedule, _ = schedule.added(_prompt_for(self._named[label], label, self.options.detect_every_backward), 0)
        return schedule


def _prompt_for(named: DetectionPrompt, label: str, interval: int) -> DetectionPrompt:
    """Return the continuous prompt of the sweep for one label of a prompt of the session."""
    if isinstance(named, TextPrompt):
        return TextPrompt(f"{label}.", mode="continuous", threshold=named.threshold, interval=interval)
    return replace(named, mode="continuous", interval=interval)


def _strict(track: TrackState) -> TrackState:
    """Return the state in which a re-identification compares shape and size, too."""
    return track.requiring(Verification.NEEDS_CLOSE_REID) if track.verification is Verification.NEEDS_REID else track
