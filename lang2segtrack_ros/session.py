# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The engine: the order of work on a frame, where detector, tracker and identity meet.

    session = Session(load_segmenter("toy"), load_detector("toy"))
    session.prompt(TextPrompt("red circle. blue star."))
    for image in images:
        result = session.step(Frame(image))

One thread works with a session. The detector may run on a thread of its own (`background=True`): its answer about frame t
arrives at t + k, is matched with the tracks as they were on t, and new objects are caught up through the features of t .. t+k.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from lang2segtrack_ros.detection.detector import Detection, Detector
from lang2segtrack_ros.detection.worker import DetectionAnswer, DetectionRequest, DetectionWorker, answer
from lang2segtrack_ros.frame import Frame
from lang2segtrack_ros.identity.association import associate, find_duplicate
from lang2segtrack_ros.identity.life_cycle import LifeCycle
from lang2segtrack_ros.prompts import BoxPrompt, Prompt, PromptError, TextPrompt
from lang2segtrack_ros.results import FrameResult, Track, TrackStatus
from lang2segtrack_ros.tracking import OpenFrame, StreamTracker, TrackerError
from lang2segtrack_ros.tracking.policies import Policy
from lang2segtrack_ros.tracking.segmenter import ImageFeatures, Sam2Segmenter

MAX_STEP_S = 1.0
"""A gap in the stamps counts as at most this long, and a step back as none: clocks jump, bags loop."""
MAX_CACHED_FRAMES = 32
"""Features kept for catching up; when there are more, every second is let go."""


@dataclass(eq=False)
class PromptHandle:
    """What became of a prompt. Filled in by the frame that applies it.

    Attributes:
        prompt: the prompt.
        done: True once it was applied or refused.
        track_ids: the objects it made, found or corrected.
        labels: one for each of track_ids.
        error: why it was refused, empty when it was not.
        notes: sentences the user should see, such as words the detector does not know.
    """

    prompt: Prompt
    done: bool = False
    track_ids: list[int] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    error: str = ""
    notes: list[str] = field(default_factory=list)

    def _finish(self, track_ids: Sequence[int], labels: Sequence[str], error: str = "") -> None:
        self.track_ids, self.labels, self.error, self.done = list(track_ids), list(labels), error, True


@dataclass(eq=False)
class _InFlight:
    """A question the detector is working on: the tracks as they were, and the features since."""

    tracks: list[Track]
    handles: list[PromptHandle]
    features: list[tuple[int, ImageFeatures, int, int]]  # frame index, features, height, width


class Session:
    """Follows named objects through a stream of frames.

    Args:
        segmenter: from `weights.load_segmenter`.
        detector: from `weights.load_detector`; None works without text prompts.
        policy: memory policy, "samurai", "sam2", "distractor" or one of your own.
        background: run the detector on its own thread instead of inside `step`.
        detect_every: for continuous text prompts, frames from one look to the next.
        max_objects: more are not added.
        min_part: specks smaller than this share of a mask's largest part are left out; 0 keeps them.
        arbitration: settle which of two objects has slipped onto the other, see `tracking.arbitration`.
        lost_after_s, remove_after_s: see `identity.LifeCycle`.
    """

    def __init__(
        self,
        segmenter: Sam2Segmenter,
        detector: Detector | None = None,
        policy: str | Policy = "samurai",
        *,
        background: bool = False,
        detect_every: int = 5,
        max_objects: int = 32,
        min_part: float = 0.05,
        arbitration: bool = False,
        lost_after_s: float = 2.0,
        remove_after_s: float = 0.0,
    ) -> None:
        self.tracker = StreamTracker(segmenter, policy, max_objects, min_part, arbitration=arbitration)
        self.detector = detector
        self.detect_every = detect_every
        self.life_cycle = LifeCycle(lost_after_s, remove_after_s)
        self._worker = DetectionWorker(detector) if background and detector is not None else None
        self._waiting: list[PromptHandle] = []
        self._texts: list[TextPrompt] = []
        self._handles: list[PromptHandle] = []  # text prompts that no look has answered yet
        self._in_flight: _InFlight | None = None
        self._since_look = 0
        self._removed: list[Track] = []
        self._last: FrameResult | None = None
        self._detections: int | None = None
        self.detector_errors = 0

    def prompt(self, prompt: Prompt) -> PromptHandle:
        """Takes a prompt for the next frame; the handle tells what became of it.

        Raises:
            PromptError: a text prompt without a detector, or one the detector cannot read.
        """
        handle = PromptHandle(prompt)
        if isinstance(prompt, TextPrompt):
            if self.detector is None:
                raise PromptError("there is no detector to look for names: load one, or use box, point and mask prompts and no text")
            unknown = self.detector.check(prompt.phrases)
            if unknown:
                handle.notes.append(f"the detector does not know: {', '.join(unknown)}; what it finds for these words means little")
        self._waiting.append(handle)
        return handle

    @property
    def phrases(self) -> tuple[str, ...]:
        """What is looked for continuously."""
        return tuple(dict.fromkeys(phrase for text in self._texts for phrase in text.phrases))

    def remove(self, track_id: int) -> None:
        """Forgets an object. Raises TrackerError when there is no such track."""
        last = self._last.by_id.get(track_id) if self._last else None
        self.tracker.remove(track_id)
        if last is not None:
            self._removed.append(self._as_removed(last))

    def reset(self) -> None:
        """Forgets all objects and prompts; ids go on."""
        for handle in [*self._waiting, *self._handles, *(self._in_flight.handles if self._in_flight else [])]:
            handle._finish([], [], "the session was reset before the prompt was applied")
        if self._worker is not None and self._in_flight is not None:
            self._worker.wait()
            self._worker.take()
        self._waiting.clear()
        self._texts.clear()
        self._handles.clear()
        self._in_flight = None
        self._removed = [self._as_removed(track) for track in self._last.tracks] if self._last else []
        self.tracker.reset()
        self.life_cycle.reset()

    def close(self) -> None:
        """Ends the detector's thread."""
        if self._worker is not None:
            self._worker.close()

    def step(self, frame: Frame) -> FrameResult:
        """Works on one frame: follows every object, applies waiting prompts on this very frame, looks for names when due."""
        tracker = self.tracker
        self._detections = None
        self._catch_up()
        features = tracker.encode(frame)
        if self._in_flight is not None:
            self._cache(features, frame)
        opened = tracker.begin(features, frame.height, frame.width)
        self._apply_waiting(opened)
        self._look(opened, frame, features)
        tracks = opened.commit()
        if self._in_flight is not None and self._in_flight.features[-1][0] == self._in_flight.features[0][0]:
            self._in_flight.tracks = tracks  # the question was asked on this frame
        elapsed = (frame.stamp_ns - self._last.stamp_ns) / 1e9 if self._last else 0.0
        tracks = self.life_cycle.update(tracks, min(max(elapsed, 0.0), MAX_STEP_S))
        for track in tracks:
            if track.state is TrackStatus.REMOVED:
                tracker.remove(track.id)
        gone, self._removed = self._removed, []
        living = {track.id for track in tracks}
        result = FrameResult(
            stamp_ns=frame.stamp_ns,
            index=tracker.frame_index - 1,
            height=frame.height,
            width=frame.width,
            tracks=tuple(sorted([*tracks, *(track for track in gone if track.id not in living)], key=lambda track: track.id)),
            detections=self._detections,
        )
        self._last = replace(result, tracks=tuple(track for track in tracks if track.state is not TrackStatus.REMOVED))
        return result

    @property
    def last(self) -> FrameResult | None:
        """The latest result, without removed tracks; None before the first frame."""
        return self._last

    @staticmethod
    def _as_removed(track: Track) -> Track:
        return replace(track, state=TrackStatus.REMOVED, score=0.0, box=None, mask=np.zeros_like(track.mask))

    def _apply_waiting(self, opened: OpenFrame) -> None:
        waiting, self._waiting = self._waiting, []
        for handle in waiting:
            if isinstance(handle.prompt, TextPrompt):
                self._handles.append(handle)
                if handle.prompt.mode == "continuous":
                    self._texts.append(handle.prompt)
                continue
            try:
                track_id = opened.prompt(handle.prompt)
            except (PromptError, TrackerError) as error:
                handle._finish([], [], str(error))
            else:
                handle._finish([track_id], [handle.prompt.label])

    def _look(self, opened: OpenFrame, frame: Frame, features: ImageFeatures) -> None:
        """Asks the detector when a prompt is new or the interval is over."""
        self._since_look += 1
        due = bool(self._handles) or (bool(self._texts) and self._since_look >= self.detect_every)
        if self.detector is None or not due or (self._worker is not None and not self._worker.idle):
            return
        wanted: dict[str, float] = {}
        for text in [*self._texts, *(handle.prompt for handle in self._handles)]:
            assert isinstance(text, TextPrompt)
            threshold = self.detector.default_threshold if text.threshold is None else text.threshold
            for phrase in text.phrases:
                wanted[phrase] = min(threshold, wanted.get(phrase, 1.0))
        request = DetectionRequest(self.tracker.frame_index, frame.color, tuple(wanted), tuple(wanted.values()))
        handles, self._handles = self._handles, []
        self._since_look = 0
        if self._worker is None:
            self._place(answer(self.detector, request), opened, opened.tracks(), handles)
            return
        self._in_flight = _InFlight([], handles, [(self.tracker.frame_index, features, frame.height, frame.width)])
        self._worker.submit(request)

    def _cache(self, features: ImageFeatures, frame: Frame) -> None:
        assert self._in_flight is not None
        cached = self._in_flight.features
        cached.append((self.tracker.frame_index, features, frame.height, frame.width))
        if len(cached) > MAX_CACHED_FRAMES:
            del cached[1:-1:2]

    def _catch_up(self) -> None:
        """Takes an answer about an earlier frame and brings its new objects to the present."""
        taken = self._worker.take() if self._worker is not None else None
        if taken is None or self._in_flight is None:
            return
        flight, self._in_flight = self._in_flight, None
        fork = self.tracker.fork()
        start, *later = flight.features
        fork.frame_index, features, height, width = start
        opened = fork.begin(features, height, width)
        self._place(taken, opened, flight.tracks, flight.handles)
        opened.commit()
        if not fork.ids:
            return
        present: list[Track] = []
        for index, features, height, width in later:
            fork.frame_index = index
            present = fork.begin(features, height, width).commit()
        # What was prompted or found in the meantime may be the same object.
        for track in present:
            if self._last is not None and find_duplicate(track.mask, self._last.tracks) is not None:
                fork.remove(track.id)
        fork.frame_index = self.tracker.frame_index
        self.tracker.adopt(fork)

    def _place(self, given: DetectionAnswer, opened: OpenFrame, tracks: list[Track], handles: list[PromptHandle]) -> None:
        """Gives each detection the track it belongs to, or starts one on the open frame; settles the handles."""
        if given.error is not None:
            self.detector_errors += 1
            for handle in handles:
                handle._finish([], [], f"the detector failed: {given.error}")
            return
        self._detections = len(given.detections)
        matched, new = associate(given.detections, tracks)
        labels = {track.id: track.label for track in tracks}
        found = {index: track_id for index, track_id in matched.items() if track_id in self.tracker.ids}
        full = ""
        for index in new:
            detection = given.detections[index]
            try:
                found[index] = self._start(detection, opened, tracks)
            except (PromptError, TrackerError) as error:
                full = str(error)
        for handle in handles:
            self._settle(handle, given.detections, found, labels, full)

    def _start(self, detection: Detection, opened: OpenFrame, tracks: list[Track]) -> int:
        """Starts a track on a detection, unless its mask shows that it is one already."""
        if self.tracker is not opened.tracker:  # a fork does not know how many objects are tracked
            self.tracker.check_room(len(opened.added))
        proposed = opened.propose(BoxPrompt(detection.box, detection.label))
        duplicate = find_duplicate(opened.mask_of(proposed), tracks)
        return duplicate if duplicate is not None else opened.accept(proposed, self.tracker.reserve_id())

    @staticmethod
    def _settle(handle: PromptHandle, detections: Sequence[Detection], found: dict[int, int], labels: dict[int, str], full: str) -> None:
        assert isinstance(handle.prompt, TextPrompt)
        mine = {found[index]: item.label for index, item in enumerate(detections) if item.label in handle.prompt.phrases and index in found}
        missing = [phrase for phrase in handle.prompt.phrases if phrase not in mine.values()]
        if missing:
            going_on = "; it is looked for on" if handle.prompt.mode == "continuous" else ""
            handle.notes.append(f"not found on this image: {', '.join(missing)}{going_on}")
        handle._finish(list(mine), [labels.get(track_id, label) for track_id, label in mine.items()], full if not mine else "")
