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

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch

from lang2segtrack_ros.backward import BackwardPass, Progress, RefinementError
from lang2segtrack_ros.checkpoint import Checkpoint
from lang2segtrack_ros.detection.detector import Detection, Detector, vocabulary_notes
from lang2segtrack_ros.detection.worker import DetectionAnswer, DetectionRequest, DetectionWorker, answer
from lang2segtrack_ros.frame import Frame
from lang2segtrack_ros.history import FrameHistory, Past, step_ns
from lang2segtrack_ros.identity.appearance import Appearance, appearance_of
from lang2segtrack_ros.identity.association import associate, box_iou, find_duplicate
from lang2segtrack_ros.identity.life_cycle import LifeCycle
from lang2segtrack_ros.identity.registry import IdentityOptions, Registry
from lang2segtrack_ros.identity.scene_cut import SceneCutDetector
from lang2segtrack_ros.out_of_memory import describe, is_out_of_memory, smaller_detector, step_down
from lang2segtrack_ros.prompt_handle import MAX_TRIES, PromptHandle, Question
from lang2segtrack_ros.prompts import BoxPrompt, Prompt, PromptError, TextPrompt
from lang2segtrack_ros.records import RecordFile
from lang2segtrack_ros.results import FrameResult, Track, TrackStatus
from lang2segtrack_ros.tracking import OpenFrame, StreamTracker, TrackerError
from lang2segtrack_ros.tracking.open_frame import Proposed
from lang2segtrack_ros.tracking.policies import Policy
from lang2segtrack_ros.tracking.segmenter import ImageFeatures, Sam2Segmenter

log = logging.getLogger(__name__)
MAX_CACHED_FRAMES = 32
"""Features kept for catching up; when there are more, every second is let go."""
STARVED_S = 2.0
"""When nothing helped against too little memory, smaller settings are tried again only after so long."""
MAX_WAITING = 256
"""Prompts that may wait for a frame."""
MAX_PER_FRAME = 32
"""Boxes, points and masks that are applied on one frame; more wait for the next ones."""
MAX_TEXTS = 64
"""Continuous text prompts."""


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
        identity: the rules by which an object keeps its id, see `identity.registry`.
        cut_correlation: how little an image must resemble the last one to count as a scene cut, 0..1; 0 finds none.
        history: what is kept of past frames for `refine_backward`; None keeps nothing.
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
        identity: IdentityOptions | None = None,
        cut_correlation: float = 0.5,
        history: FrameHistory | None = None,
    ) -> None:
        self.tracker = StreamTracker(segmenter, policy, max_objects, min_part, arbitration=arbitration)
        self.detector = detector
        self.detect_every = detect_every
        self.life_cycle = LifeCycle(lost_after_s, remove_after_s)
        self.registry = Registry(identity or IdentityOptions())
        self.scene_cuts = 0
        self._cuts = SceneCutDetector(cut_correlation)
        self._drifted: list[tuple[int, Detection]] = []
        self._false: list[int] = []  # tracks that a look has shown to be false alarms
        self._worker = DetectionWorker(detector) if background and detector is not None else None
        self._waiting: list[PromptHandle] = []
        self._texts: dict[int, TextPrompt] = {}
        self._looked: dict[int, int] = {}  # frames since the last look for each of them
        self._next_text = 1
        self._look_now = False  # after a scene cut, without waiting for the interval
        self._handles: list[PromptHandle] = []  # text prompts that no look has answered yet
        self._in_flight: Question | None = None
        self._removed: list[Track] = []
        self._prompted: list[int] = []
        self._last: FrameResult | None = None
        self.history = history
        self._unremembered: tuple[Frame, FrameResult, ImageFeatures] | None = None
        self._detections: int | None = None
        self.detector_errors = 0
        self.detector_error = ""
        self.detections_refused = 0
        self._starved_until = float("-inf")  # on the clock of time.monotonic
        self._starving = ""
        self.step_downs = 0
        self.stepped_down = ""

    def prompt(self, prompt: Prompt, replaces: int = 0) -> PromptHandle:
        """Takes a prompt for the next frame; the handle tells what became of it.

        Args:
            prompt: what to look for or follow.
            replaces: the number of a continuous text prompt whose place a continuous text prompt takes; what both name is followed
                on, and so are the objects of the old one that the new one does not name.

        Raises:
            PromptError: a text prompt without a detector, one the detector cannot read, or no prompt has that number.
        """
        handle = PromptHandle(prompt)
        if len(self._waiting) >= MAX_WAITING:
            raise PromptError(f"{MAX_WAITING} prompts wait for an image already: ask again when they are answered")
        if replaces and not (isinstance(prompt, TextPrompt) and prompt.mode == "continuous"):
            raise PromptError("only a continuous text prompt can take the place of another")
        if replaces and replaces not in self._texts:
            raise PromptError(self._no_text(replaces))
        if isinstance(prompt, TextPrompt):
            if self.detector is None:
                raise PromptError("there is no detector to look for names: load one, or use box, point and mask prompts and no text")
            handle.notes += vocabulary_notes(self.detector, prompt.phrases)
            if prompt.mode == "continuous":
                if not replaces and len(self._texts) >= MAX_TEXTS:
                    raise PromptError(f"{MAX_TEXTS} text prompts are looked for already and no more are allowed: remove one, or reset")
                handle.prompt_id = replaces or self._next_text
                self._next_text += not replaces
                before = self._texts.get(replaces)
                self._texts[handle.prompt_id] = prompt
                self._looked[handle.prompt_id] = 0
                self._drop_unconfirmed(before)
        self._waiting.append(handle)
        return handle

    @property
    def worker_restarts(self) -> int:
        """How often the detector's thread had to be started again."""
        return self._worker.restarts if self._worker is not None else 0

    @property
    def texts(self) -> dict[int, TextPrompt]:
        """The continuous text prompts by number."""
        return dict(self._texts)

    def remove_text(self, prompt_id: int) -> None:
        """Stops looking for what a text prompt names; its tracks go on, but for those not announced yet.

        Raises:
            PromptError: no prompt has this number.
        """
        if prompt_id not in self._texts:
            raise PromptError(self._no_text(prompt_id))
        del self._looked[prompt_id]
        self._drop_unconfirmed(self._texts.pop(prompt_id))

    def _drop_unconfirmed(self, ended: TextPrompt | None) -> None:
        """Lets tentative objects go that no look can confirm any more."""
        if ended is not None:
            self._false += self.registry.unconfirmed(set(ended.phrases) - set(self.phrases))

    def _no_text(self, prompt_id: int) -> str:
        known = ", ".join(map(str, self._texts)) or "none"
        return f"there is no text prompt {prompt_id}; looked for now: {known}"

    @property
    def phrases(self) -> tuple[str, ...]:
        """What is looked for continuously."""
        return tuple(dict.fromkeys(phrase for text in self._texts.values() for phrase in text.phrases))

    def remove(self, track_id: int) -> None:
        """Forgets an object. Raises TrackerError when there is no such track."""
        last = self._last.by_id.get(track_id) if self._last else None
        self.tracker.remove(track_id)
        self.registry.forget(track_id)
        if last is not None:
            self._removed.append(self._as_removed(last))

    def reset(self) -> None:
        """Forgets all objects and prompts; ids go on."""
        for handle in [*self._waiting, *self._handles, *(self._in_flight.handles if self._in_flight else [])]:
            handle.finish([], [], "the session was reset before the prompt was applied")
        self._waiting.clear()
        self._texts.clear()
        self._looked.clear()
        self._handles.clear()
        self._in_flight = None  # the detector may still be at it; its answer will be nobody's
        self._removed = [self._as_removed(track) for track in self._last.tracks] if self._last else []
        self.tracker.reset()
        self.life_cycle.reset()
        self.registry.reset()
        self._cuts.reset()
        self._look_now = False
        self._false.clear()
        self._drifted.clear()
        self._unremembered = None
        if self.history is not None:
            self.history.clear()

    def close(self) -> None:
        """Ends the detector's thread and the history."""
        if self._worker is not None:
            self._worker.close()
        if self.history is not None:
            self.history.close()

    def step(self, frame: Frame, remember: bool = True) -> FrameResult:
        """Works on one frame: follows every object, applies waiting prompts on this very frame, looks for names when due.

        What fails leaves the session as it was: objects keep their memories, and prompts wait for the next frame, `MAX_TRIES` times.
        Out of memory, it goes on with less (see `out_of_memory`) and still does this frame.

        With `remember=False` the frame enters the history at the next step, or when `remember` is called: compressing an image takes
        milliseconds that a result need not wait for.

        Raises:
            torch.OutOfMemoryError: not even the smallest settings fit.
        """
        self.remember()
        at_first: Checkpoint | None = None
        while True:
            before = self._checkpoint()
            at_first = at_first or before
            try:
                result = self._step(frame)
            except Exception as error:
                before.restore()
                if not is_out_of_memory(error):
                    self._wear_out(error)
                    raise
            else:
                if remember:
                    self.remember()
                return result
            # Out here the exception is gone, and with it the tensors that its frames held.
            if time.monotonic() < self._starved_until or not self._step_down():
                device, least = self.tracker.segmenter.device, describe(self.tracker.segmenter)
                at_first.restore()  # less did not help, so when there is memory again nothing shall have been given up
                if time.monotonic() >= self._starved_until:
                    self._starved_until = time.monotonic() + STARVED_S
                    self._starving = f"out of memory on {device}, even with {least}: remove objects, or give the device memory"
                raise torch.OutOfMemoryError(self._starving)

    def _checkpoint(self) -> Checkpoint:
        handles = [*self._waiting, *self._handles, *(self._in_flight.handles if self._in_flight else [])]
        prompts = ("_waiting", "_handles", "_in_flight", "_looked", "_look_now", "_texts")
        names = (*prompts, "_removed", "_prompted", "_false", "_drifted", "scene_cuts", "step_downs", "stepped_down")
        parts: list[tuple[object, tuple[str, ...]]] = [
            (self, names),
            (self.tracker, ("segmenter", "proposer")),
            (self.life_cycle, ("_unseen_s",)),
            (self._cuts, ("_last",)),
        ]
        parts += [(handle, ("done", "track_ids", "labels", "error", "notes")) for handle in handles]
        parts += [(self._in_flight, ("tracks", "features", "answer"))] if self._in_flight else []
        return Checkpoint(parts).with_others(self.tracker.checkpoint(), self.registry.checkpoint())

    def _wear_out(self, error: Exception) -> None:
        """What was to be done on a frame that failed may be why: after some tries it is let go."""
        self._waiting = [handle for handle in self._waiting if not handle.worn(error, "the image")]
        self._handles = [handle for handle in self._handles if not handle.worn(error, "the image")]
        flight = self._in_flight
        if flight is not None and flight.answer is not None:
            flight.failures += 1
            if flight.failures == MAX_TRIES:
                self._abandon(flight, error)

    def _abandon(self, flight: Question, error: Exception) -> None:
        """Lets go of a question to the detector; prompts that asked it ask again."""
        self._in_flight = None
        self._handles += [handle for handle in flight.handles if not handle.worn(error, "the detection")]

    def _step_down(self) -> bool:
        """Needs less memory from now on; False when it cannot."""
        tracker, flight = self.tracker, self._in_flight
        newcomers = len(flight.answer.detections) if flight is not None and flight.answer is not None else 0
        smaller = step_down(tracker.segmenter, max(len(tracker.ids), newcomers))
        if smaller is None:
            return False
        if smaller.side != tracker.segmenter.side:
            if flight is not None:  # the images it would be caught up with are of the old size
                self._handles += flight.handles
                self._in_flight = None
            if self.history is not None:
                self.history.drop_features()
        tracker.use(smaller)
        self._told_less(describe(smaller))
        return True

    def _told_less(self, what: str) -> None:
        self.step_downs += 1
        self.stepped_down = what
        log.warning("out of memory: from now on %s", what)

    def _step(self, frame: Frame) -> FrameResult:
        tracker = self.tracker
        self._detections = None
        self._prompted = []
        self._catch_up()
        features = tracker.encode(frame)
        if self._in_flight is not None:
            self._cache(features, frame)
        opened = tracker.begin(features, frame.height, frame.width)
        self._doubt(opened, frame)
        self._apply_waiting(opened)
        self._look(opened, frame, features)
        reseated = self._reseat(features, frame)
        tracks = opened.commit()
        if reseated is not None:
            for track_id in reseated.ids:
                tracker.remove(track_id)
            tracker.adopt(reseated)
        if self._in_flight is not None and self._in_flight.features[-1][0] == self._in_flight.features[0][0]:
            self._in_flight.tracks = tracks  # the question was asked on this frame
        elapsed_ns = step_ns(self._last.stamp_ns, frame.stamp_ns) if self._last else 0
        tracks = self._live(tracks, frame, elapsed_ns / 1e9)
        gone, self._removed = self._removed, []
        living = {track.id for track in tracks}
        result = FrameResult(
            stamp_ns=frame.stamp_ns,
            index=tracker.frame_index - 1,
            height=frame.height,
            width=frame.width,
            tracks=tuple(sorted([*tracks, *(track for track in gone if track.id not in living)], key=lambda track: track.id)),
            detections=self._detections,
            prompted=tuple(sorted(set(self._prompted) & living)),
        )
        if self.history is not None:
            self._unremembered = (frame, result, features)
        self._last = replace(result, tracks=tuple(track for track in tracks if track.state is not TrackStatus.REMOVED))
        return result

    def remember(self) -> None:
        """Puts the latest frame into the history, where it is not there yet."""
        if self.history is not None and self._unremembered is not None:
            self.history.add(*self._unremembered)
        self._unremembered = None

    def backward(self, track_ids: Sequence[int] | None = None, past: Past | None = None, store: RecordFile | None = None) -> BackwardPass:
        """A backward pass over the history as it is now, to be run piece by piece while the stream goes on; see `backward`.

        Args:
            track_ids: the objects; None for all.
            past: what to sweep over in place of the history.
            store: where the pass keeps its records; None keeps them in memory.

        Raises:
            RefinementError: there is no history, or none of these tracks is in it.
        """
        self.remember()
        past = self.history if past is None else past
        if past is None:
            raise RefinementError("this session keeps no history: make it with history=FrameHistory(...)")
        tracker = self.tracker
        return BackwardPass(tracker.segmenter, tracker.policy, past, track_ids, tracker.min_part, self.life_cycle.lost_after_s, store=store)

    def refine_backward(
        self, track_ids: Sequence[int] | None = None, progress: Callable[[Progress], bool | None] | None = None
    ) -> Iterator[FrameResult]:
        """One reverse sweep over the history for these objects, or all, then their merged traces, a result for each frame in time order.

        `progress` is called for each frame of the sweep; when it returns False, the sweep ends and nothing is yielded.

        Raises:
            RefinementError: as `backward`.
        """
        return self.backward(track_ids).run(progress)

    @property
    def last(self) -> FrameResult | None:
        """The latest result, without removed tracks; None before the first frame."""
        return self._last

    def _doubt(self, opened: OpenFrame, frame: Frame) -> None:
        """Hides objects that have to be recognised and are not."""
        if self._cuts.update(frame.color):
            self.scene_cuts += 1
            self.registry.doubt_all(self.phrases)
            self._look_now = True
        if set(self.registry.doubted) & set(self.tracker.ids):
            opened.hide(self.registry.strangers(opened.tracks(), frame.color))

    def _live(self, tracks: list[Track], frame: Frame, elapsed_s: float) -> list[Track]:
        """The tracks with their states; those whose life is over are removed from the tracker."""
        over = {*self.registry.update(tracks, frame.color, elapsed_s), *self._false}
        self._false = []
        living = []
        for track in self.life_cycle.update(tracks, elapsed_s):
            if track.id in over or track.state is TrackStatus.REMOVED:
                track = self._as_removed(track)
                self.tracker.remove(track.id)
                self.registry.forget(track.id)
            elif not self.registry.is_confirmed(track.id):
                track = replace(track, state=TrackStatus.TENTATIVE)
            living.append(track)
        return living

    @staticmethod
    def _as_removed(track: Track) -> Track:
        return replace(track, state=TrackStatus.REMOVED, score=0.0, box=None, mask=np.zeros_like(track.mask))

    def _apply_waiting(self, opened: OpenFrame) -> None:
        waiting, self._waiting = self._waiting[:MAX_PER_FRAME], self._waiting[MAX_PER_FRAME:]
        for handle in waiting:
            if isinstance(handle.prompt, TextPrompt):
                self._handles.append(handle)
                continue
            try:
                track_id = opened.prompt(handle.prompt)
            except (PromptError, TrackerError) as error:
                handle.finish([], [], str(error))
            else:
                if handle.prompt.track_id is None:
                    self.registry.add(track_id, handle.prompt.label, found=False)
                self.registry.trust(track_id)
                self._prompted.append(track_id)
                handle.finish([track_id], [handle.prompt.label])

    def _look(self, opened: OpenFrame, frame: Frame, features: ImageFeatures) -> None:
        """Asks the detector when a prompt is new or the interval is over."""
        for number in self._looked:
            self._looked[number] += 1
        due = [
            number for number, text in self._texts.items() if self._look_now or self._looked[number] >= (text.every or self.detect_every)
        ]
        if self.detector is None or not (due or self._handles) or (self._worker is not None and not self._worker.idle):
            return
        asked: list[tuple[TextPrompt, PromptHandle | int]] = [(self._texts[number], number) for number in due]
        asked += [(handle.prompt, handle) for handle in self._handles if isinstance(handle.prompt, TextPrompt)]
        crowded = not self._readable([phrase for text, _ in asked for phrase in text.phrases])
        if crowded:  # new prompts come first, then what was not looked for the longest; the others' turn comes on the next look
            asked.sort(key=lambda item: float("-inf") if isinstance(item[1], PromptHandle) else -self._looked[item[1]])
        wanted: dict[str, float] = {}
        handles, numbers = [], []
        for text, asker in asked:
            if crowded and wanted and not self._readable([*wanted, *text.phrases]):
                continue
            threshold = self.detector.default_threshold if text.threshold is None else text.threshold
            for phrase in text.phrases:
                wanted[phrase] = min(threshold, wanted.get(phrase, 1.0))
            if isinstance(asker, PromptHandle):
                handles.append(asker)
            else:
                numbers.append(asker)
        request = DetectionRequest(self.tracker.frame_index, frame.color, tuple(wanted), tuple(wanted.values()))
        self._look_now = False
        self._handles = [handle for handle in self._handles if handle not in handles]
        self._looked |= dict.fromkeys([*numbers, *(handle.prompt_id for handle in handles if handle.prompt_id in self._texts)], 0)
        if self._worker is None:
            self._place(answer(self.detector, request), opened, opened.tracks(), handles)
            return
        self._in_flight = Question([], handles, [(self.tracker.frame_index, features, frame.height, frame.width)])
        self._worker.submit(request)

    def _readable(self, phrases: Sequence[str]) -> bool:
        """Whether the detector can look for all of these at once."""
        assert self.detector is not None
        try:
            self.detector.check(list(dict.fromkeys(phrases)))
        except PromptError:
            return False
        return True

    def _cache(self, features: ImageFeatures, frame: Frame) -> None:
        assert self._in_flight is not None
        cached = self._in_flight.features
        cached.append((self.tracker.frame_index, features, frame.height, frame.width))
        if len(cached) > MAX_CACHED_FRAMES:
            del cached[1:-1:2]

    def _catch_up(self) -> None:
        """Takes an answer about an earlier frame and brings its new objects to the present."""
        taken = self._worker.take() if self._worker is not None else None
        flight = self._in_flight
        if flight is None:
            return
        flight.answer = flight.answer or taken  # there already when this frame is done again
        if flight.answer is None:
            return
        self._in_flight = None
        fork = self.tracker.fork()
        start, *later = flight.features
        fork.frame_index, features, height, width = start
        opened = fork.begin(features, height, width)
        self._place(flight.answer, opened, flight.tracks, flight.handles)
        present = opened.commit()
        if not fork.ids:
            return
        for index, features, height, width in later:
            fork.frame_index = index
            present = fork.begin(features, height, width).commit()
        self._settle_with_present(fork, present)
        fork.frame_index = self.tracker.frame_index
        self.tracker.adopt(fork)

    def _settle_with_present(self, fork: StreamTracker, present: list[Track]) -> None:
        """What was prompted, found or seen again in the meantime may be the same object as one that was caught up."""
        for track in present:
            duplicate = find_duplicate(track.mask, self._last.tracks) if self._last is not None else None
            if duplicate is not None:
                fork.remove(track.id)
                if track.id not in self.tracker.ids:
                    self.registry.forget(track.id)
                elif duplicate == track.id:
                    self.registry.trust(track.id)
            elif track.id in self.tracker.ids:  # an old object, found where the tracker does not see it
                self.tracker.remove(track.id)
                self.registry.trust(track.id)

    def _place(self, given: DetectionAnswer, opened: OpenFrame, tracks: list[Track], handles: list[PromptHandle]) -> None:
        """Gives each detection the track it belongs to, or starts one on the open frame; settles the handles."""
        if given.error is not None:
            self.detector_errors += 1
            self.detector_error = f"detector: {type(given.error).__name__}: {given.error}"
            less = smaller_detector(self.detector) if is_out_of_memory(given.error) else None
            if less is not None:
                self.detector = less
                if self._worker is not None:
                    self._worker.use(less)
                self._told_less("the detector looks at smaller images")
            self._handles += [handle for handle in handles if less is not None or not handle.worn(given.error, "the detector")]
            return
        self._detections = len(given.detections)
        matched, new = associate(given.detections, tracks)
        labels = {track.id: track.label for track in tracks}
        found = {index: track_id for index, track_id in matched.items() if track_id in self.tracker.ids}
        full = ""
        newcomers: dict[int, Proposed] = {}
        looks: list[tuple[str, Appearance | None]] = []
        visible = [track for track in tracks if track.box is not None]
        for index in new:
            detection = given.detections[index]
            try:
                self.tracker.check_room(len(opened.added) + len(newcomers))  # not all of them are accepted yet
                proposed = opened.propose(BoxPrompt(detection.box, detection.label))
            except (PromptError, TrackerError) as error:
                full = str(error)
                continue
            mask = opened.mask_of(proposed)
            duplicate = find_duplicate(mask, visible)
            if duplicate is None:
                newcomers[index] = proposed
                looks.append((detection.label, appearance_of(given.request.color, mask)))
            else:
                found[index] = duplicate
        absent = [track.id for track in tracks if track.box is None and track.id in self.tracker.ids]
        again = self.registry.reunite(looks, absent)
        for position, (index, proposed) in enumerate(newcomers.items()):
            found[index] = self._seat(opened, proposed, given.detections[index], again.get(position))
        by_id = {track.id: track for track in visible}
        for index, track_id in matched.items():
            self._tighten(opened, given.detections[index], by_id[track_id])
        self._false += self.registry.looked(set(found.values()), tracks, given.request.phrases)
        for handle in handles:
            self._settle(handle, given.detections, found, labels, full)
            if isinstance(handle.prompt, TextPrompt) and handle.prompt.mode == "once":
                self.registry.confirm_once(handle.track_ids)

    def _seat(self, opened: OpenFrame, proposed: Proposed, detection: Detection, old_id: int | None) -> int:
        """Gives a newcomer a new track, or the absent one that it is."""
        if old_id is None:
            track_id = opened.accept(proposed, self.tracker.reserve_id())
            self.registry.add(track_id, detection.label, found=True)
            self._prompted.append(track_id)
            return track_id
        if opened.tracker is self.tracker:
            corrected = self._propose(opened, BoxPrompt(detection.box, "", old_id))
            if corrected is not None:
                opened.accept(corrected)
                self.registry.trust(old_id)
        else:
            opened.accept(proposed, old_id)  # the fork's copy replaces the old track when it has caught up
        return old_id

    def _tighten(self, opened: OpenFrame, detection: Detection, track: Track) -> None:
        """Sets a track that has drifted off its detection back onto it, keeping its id."""
        fits = float(box_iou(np.array([detection.box]), np.array([track.box]))[0, 0])
        if detection.label != track.label or not self.registry.slack(track.id, fits) or track.id not in self.tracker.ids:
            return
        if opened.tracker is self.tracker:
            self._drifted.append((track.id, detection))
        else:
            anew = self._propose(opened, BoxPrompt(detection.box, detection.label))
            if anew is not None:
                opened.accept(anew, track.id)

    def _propose(self, opened: OpenFrame, prompt: BoxPrompt) -> Proposed | None:
        """What a detection's box gives on a frame; None, counted, where the network makes nothing of it."""
        try:
            return opened.propose(prompt)
        except (PromptError, TrackerError):
            self.detections_refused += 1
            return None

    def _reseat(self, features: ImageFeatures, frame: Frame) -> StreamTracker | None:
        """Drifted tracks, begun anew on this frame's detections under their ids: what they remember has drifted with them."""
        drifted, self._drifted = self._drifted, []
        drifted = [item for item in drifted if item[0] in self.tracker.ids]
        if not drifted:
            return None
        fork = self.tracker.fork()
        opened = fork.begin(features, frame.height, frame.width)
        for track_id, detection in drifted:
            anew = self._propose(opened, BoxPrompt(detection.box, detection.label))
            if anew is not None:
                opened.accept(anew, track_id)
                self.registry.trust(track_id)
        opened.commit()
        return fork

    @staticmethod
    def _settle(handle: PromptHandle, detections: Sequence[Detection], found: dict[int, int], labels: dict[int, str], full: str) -> None:
        assert isinstance(handle.prompt, TextPrompt)
        mine = {found[index]: item.label for index, item in enumerate(detections) if item.label in handle.prompt.phrases and index in found}
        missing = [phrase for phrase in handle.prompt.phrases if phrase not in mine.values()]
        if missing:
            going_on = "; it is looked for on" if handle.prompt.mode == "continuous" else ""
            handle.notes.append(f"not found on this image: {', '.join(missing)}{going_on}")
        handle.finish(list(mine), [labels.get(track_id, label) for track_id, label in mine.items()], full if not mine else "")
