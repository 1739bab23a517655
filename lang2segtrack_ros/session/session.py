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
from numpy.typing import NDArray

from lang2segtrack_ros.detection.detector import Detector, vocabulary_notes
from lang2segtrack_ros.detection.pending_detection import PendingDetection
from lang2segtrack_ros.detection.scheduler import DetectionScheduler
from lang2segtrack_ros.detection.worker import DetectionRequest, DetectionResult, DetectionWorker, run_detection
from lang2segtrack_ros.history.backward_pass import BackwardPass, Progress, RefinementError
from lang2segtrack_ros.history.frame_history import FrameHistory, Past, step_ns
from lang2segtrack_ros.history.records import RecordFile
from lang2segtrack_ros.identity.association import find_duplicate
from lang2segtrack_ros.identity.associator import Associator
from lang2segtrack_ros.identity.crossings import Crossings
from lang2segtrack_ros.identity.lifecycle import Lifecycle
from lang2segtrack_ros.identity.scene_cut import SceneCutDetector
from lang2segtrack_ros.identity.track_registry import TrackRegistry
from lang2segtrack_ros.runtime.metrics import Durations
from lang2segtrack_ros.runtime.snapshot import Snapshot
from lang2segtrack_ros.segmentation.sam2 import ImageFeatures, Sam2Segmenter
from lang2segtrack_ros.session.degradation import degrade, describe, is_out_of_memory, smaller_detector
from lang2segtrack_ros.session.options import SessionOptions
from lang2segtrack_ros.tracking.open_frame import OpenFrame, TrackerError
from lang2segtrack_ros.tracking.policies.base import Policy
from lang2segtrack_ros.tracking.stream_tracker import StreamTracker
from lang2segtrack_ros.types.frame import Frame
from lang2segtrack_ros.types.prompt_handle import MAX_ATTEMPTS, PromptHandle
from lang2segtrack_ros.types.prompts import BoxPrompt, ObjectPrompt, Prompt, PromptError, TextPrompt, plain_name
from lang2segtrack_ros.types.results import FrameResult, Track, TrackStatus

log = logging.getLogger(__name__)
MAX_CACHED_FRAMES = 32
"""Features kept for catching up; when there are more, every second is let go."""
OUT_OF_MEMORY_RETRY_S = 2.0
"""When nothing helped against too little memory, smaller settings are tried again only after so long."""
MAX_WAITING = 256
"""Prompts that may wait for a frame, or for the detector."""
SAME_MASK_IOU = 0.7
"""What a user points at is an object that is followed already when their masks overlap so much."""
MAX_PER_FRAME = 32
"""Boxes, points and masks that are applied on one frame; more wait for the next ones."""


class Session:
    """Follows named objects through a stream of frames.

    Args:
        segmenter: from `weights.load_segmenter`.
        detector: from `weights.load_detector`; None works without text prompts.
        policy: memory policy, "samurai", "sam2", "distractor" or one of your own.
        background: run the detector on its own thread instead of inside `step`.
        options: see `SessionOptions`.
        history: what is kept of past frames for `refine_backward`; None keeps nothing.
    """

    def __init__(
        self,
        segmenter: Sam2Segmenter,
        detector: Detector | None = None,
        policy: str | Policy = "samurai",
        *,
        background: bool = False,
        options: SessionOptions | None = None,
        history: FrameHistory | None = None,
    ) -> None:
        options = options or SessionOptions()
        self.tracker = StreamTracker(segmenter, policy, options.max_objects, options.min_region_ratio)
        self.detector = detector
        self.detect_every = options.detect_every
        self.lifecycle = Lifecycle(options.lost_after_s, options.remove_after_s)
        self.registry = TrackRegistry(options.identity)
        self.scene_cuts = 0
        self._scene_cut = SceneCutDetector(options.scene_cut_threshold)
        self._crossings = Crossings()
        self._associator = Associator(self.tracker, self.registry, self._crossings)
        self._worker = DetectionWorker(detector) if background and detector is not None else None
        self._waiting: list[PromptHandle] = []
        self._scheduler = DetectionScheduler()
        self._pending_detection: PendingDetection | None = None
        self._removed: list[Track] = []
        self._prompted: list[int] = []
        self._last: FrameResult | None = None
        self.history = history
        self._pending_update: tuple[Frame, FrameResult, ImageFeatures | None] | None = None
        self.appearance_update_failures = 0
        self._last_update_error = ""
        self._detections: int | None = None
        self.detection_runs = 0
        self.detection_durations = Durations()
        self.detector_errors = 0
        self.detector_error = ""
        self._out_of_memory_until = float("-inf")  # on the clock of time.monotonic
        self._out_of_memory_error = ""
        self.degradations = 0
        self.degraded_to = ""

    def prompt(self, prompt: Prompt, replace_prompt_id: int = 0) -> PromptHandle:
        """Takes a prompt for the next frame; the handle tells what became of it.

        Args:
            prompt: what to look for or follow.
            replaces: the number of a continuous text prompt whose place a continuous text prompt takes; what both name is followed
                on, and so are the objects of the old one that the new one does not name.

        Raises:
            PromptError: a text prompt without a detector, one the detector cannot read, or no prompt has that number.
        """
        handle = PromptHandle(prompt)
        if self.waiting >= MAX_WAITING:
            raise PromptError(f"{MAX_WAITING} prompts wait for an image already: ask again when they are answered")
        if replace_prompt_id and not (isinstance(prompt, TextPrompt) and prompt.mode == "continuous"):
            raise PromptError("only a continuous text prompt can take the place of another")
        if isinstance(prompt, TextPrompt):
            if self.detector is None:
                raise PromptError("there is no detector to look for names: load one, or use box, point and mask prompts and no text")
            handle.notes += vocabulary_notes(self.detector, prompt.phrases)
            if prompt.mode == "continuous":
                handle.prompt_id = self._scheduler.add(prompt, replace_prompt_id)
                self._end_prompt(handle.prompt_id, "another text prompt took its place before it was looked for")
        self._waiting.append(handle)
        return handle

    @property
    def counts(self) -> dict[str, int]:
        """What has happened to objects and detections since the session began, by name."""
        registry, crossings = self.registry, self._crossings
        return {
            "appearance_update_failures": self.appearance_update_failures,
            "scene_cuts": self.scene_cuts,
            "predictions_refused": self._associator.refused_predictions,
            "false_alarms": registry.false_alarms,
            "tracks_reidentified": registry.reidentified,
            "duplicates_merged": registry.merged,
            "suspected_id_switches": registry.suspected_id_switches,
            "crossings_resolved": crossings.resolved,
            "tracks_corrected_after_crossings": crossings.corrected,
        }

    @property
    def waiting(self) -> int:
        """Prompts that wait for a frame, or for the detector; may be read on any thread."""
        pending = self._pending_detection
        return len(self._waiting) + len(self._scheduler.handles) + (len(pending.handles) if pending is not None else 0)

    @property
    def worker_restarts(self) -> int:
        """How often the detector's thread had to be started again."""
        return self._worker.restarts if self._worker is not None else 0

    @property
    def texts(self) -> dict[int, TextPrompt]:
        """The continuous text prompts by number."""
        return self._scheduler.texts

    def remove_text(self, prompt_id: int) -> None:
        """Stops looking for what a text prompt names; its tracks go on, but for those not announced yet.

        Raises:
            PromptError: no prompt has this number.
        """
        self._scheduler.remove(prompt_id)
        self._end_prompt(prompt_id, "the text prompt was removed before it was looked for")

    def _end_prompt(self, prompt_id: int, why: str) -> None:
        """Answers those who wait for a first look for a text prompt that is no more."""
        pending = self._pending_detection
        for handles in (self._waiting, self._scheduler.handles, pending.handles if pending is not None else []):
            for handle in [item for item in handles if item.prompt_id == prompt_id]:
                handle.finish([], [], why)
                handles.remove(handle)

    @property
    def phrases(self) -> tuple[str, ...]:
        """What is looked for continuously."""
        return self._scheduler.phrases

    def remove(self, track_id: int) -> None:
        """Forgets an object. Raises TrackerError when there is no such track."""
        last = self._last.by_id.get(track_id) if self._last else None
        self._forget(track_id)
        if last is not None:
            self._removed.append(self._as_removed(last))

    def _forget(self, track_id: int) -> None:
        self.tracker.remove(track_id)
        self.registry.forget(track_id)
        self._crossings.forget(track_id)

    def reset(self) -> None:
        """Forgets all objects and prompts; ids go on."""
        for handle in [*self._waiting, *self._scheduler.handles, *(self._pending_detection.handles if self._pending_detection else [])]:
            handle.finish([], [], "the session was reset before the prompt was applied")
        self._waiting.clear()
        self._scheduler.reset()
        self._pending_detection = None  # the detector may still be at it; its answer will be nobody's
        self._removed = [self._as_removed(track) for track in self._last.tracks] if self._last else []
        self.tracker.reset()
        self.lifecycle.reset()
        self.registry.reset()
        self._crossings.reset()
        self._scene_cut.reset()
        self._associator.reset()
        self._pending_update = None
        if self.history is not None:
            self.history.clear()

    def close(self) -> None:
        """Ends the detector's thread and the history."""
        if self._worker is not None:
            self._worker.close()
        if self.history is not None:
            self.history.close()

    def step(self, frame: Frame, update_appearance: bool = True) -> FrameResult:
        """Works on one frame: follows every object, applies waiting prompts on this very frame, looks for names when due.

        What fails leaves the session as it was: objects keep their memories, and prompts wait for the next frame, `MAX_ATTEMPTS` times.
        Out of memory, it goes on with less (see `out_of_memory`) and still does this frame.

        With `remember=False` what the frame shows of the objects' looks is learnt, and the frame enters the history, at the next step, or
        when `remember` is called: a result need not wait the milliseconds that takes.

        Raises:
            torch.OutOfMemoryError: not even the smallest settings fit.
        """
        self.update_appearance()
        self._take_detection_result()
        at_first: Snapshot | None = None
        while True:
            before = self._snapshot()
            at_first = at_first or before
            try:
                result = self._step(frame)
            except Exception as error:
                before.restore()
                if not is_out_of_memory(error):
                    self._count_failures(error)
                    raise
            else:
                if update_appearance:
                    self.update_appearance()
                return result
            # Out here the exception is gone, and with it the tensors that its frames held.
            if time.monotonic() < self._out_of_memory_until or not self._degrade():
                device, least = self.tracker.segmenter.device, describe(self.tracker.segmenter)
                at_first.restore()  # less did not help, so when there is memory again nothing shall have been given up
                if time.monotonic() >= self._out_of_memory_until:
                    self._out_of_memory_until = time.monotonic() + OUT_OF_MEMORY_RETRY_S
                    self._out_of_memory_error = f"out of memory on {device}, even with {least}: remove objects, or give the device memory"
                raise torch.OutOfMemoryError(self._out_of_memory_error)

    def _snapshot(self) -> Snapshot:
        handles = [*self._waiting, *self._scheduler.handles, *(self._pending_detection.handles if self._pending_detection else [])]
        parts: list[tuple[object, tuple[str, ...]]] = [
            (self, ("_waiting", "_pending_detection", "_removed", "_prompted", "detector", "scene_cuts", "degradations", "degraded_to")),
            (self._scheduler, DetectionScheduler.STATE),
            (self._associator, Associator.STATE),
            (self.tracker, ("segmenter", "predictor")),
            (self.lifecycle, ("_unseen_s",)),
            (self._scene_cut, ("_last", "exposure")),
        ]
        parts += [(handle, ("done", "track_ids", "labels", "error", "notes", "failures")) for handle in handles]
        parts += [(self._pending_detection, ("tracks", "features"))] if self._pending_detection else []
        return Snapshot(parts).with_others(self.tracker.snapshot(), self.registry.snapshot(), self._crossings.snapshot())

    def _count_failures(self, error: Exception) -> None:
        """What was to be done on a frame that failed may be why: after some tries it is let go."""
        self._waiting = [handle for handle in self._waiting if not handle.retries_exhausted(error, "the image")]
        self._scheduler.handles = [handle for handle in self._scheduler.handles if not handle.retries_exhausted(error, "the image")]
        pending = self._pending_detection
        if pending is not None and pending.result is not None:
            pending.failures += 1
            if pending.failures == MAX_ATTEMPTS:
                self._abandon_pending_detection(pending, error)

    def _abandon_pending_detection(self, pending: PendingDetection, error: Exception) -> None:
        """Lets go of a question to the detector; prompts that asked it ask again."""
        self._pending_detection = None
        self._scheduler.handles += [handle for handle in pending.handles if not handle.retries_exhausted(error, "the detection")]

    def _degrade(self) -> bool:
        """Needs less memory from now on; False when it cannot."""
        tracker, pending = self.tracker, self._pending_detection
        newcomers = len(pending.result.detections) if pending is not None and pending.result is not None else 0
        if self.history is not None:
            self.history.drop_features()
        smaller = degrade(tracker.segmenter, max(len(tracker.ids), newcomers))
        if smaller is None:
            return False
        if smaller.feature_size != tracker.segmenter.feature_size:
            self._requeue_pending_detection()  # the images that an answer would be caught up with are of the old size
        tracker.use(smaller)
        self._report_degradation(describe(smaller))
        return True

    def _requeue_pending_detection(self) -> None:
        """Lets go of the question to the detector; prompts that wait for its answer ask again."""
        if self._pending_detection is not None:
            self._scheduler.handles += self._pending_detection.handles
            self._pending_detection = None

    def _report_degradation(self, what: str) -> None:
        self.degradations += 1
        self.degraded_to = what
        log.warning("out of memory: from now on %s", what)

    def _step(self, frame: Frame) -> FrameResult:
        tracker = self.tracker
        self._detections = None
        self._prompted.clear()
        self._associator.spawned.clear()
        self._catch_up()
        features = tracker.encode(frame)
        if self._pending_detection is not None:
            self._cache(features, frame)
        opened = tracker.begin(features, frame.height, frame.width)
        self._verify_identities(opened, frame)
        self._apply_waiting(opened)
        self._request_detection(opened, frame, features)
        tracks = self._correct_tracks(opened.commit(), frame, features)
        if self._pending_detection is not None and self._pending_detection.features[-1][0] == self._pending_detection.features[0][0]:
            self._pending_detection.tracks = tracks  # the question was asked on this frame
        elapsed_ns = step_ns(self._last.stamp_ns, frame.stamp_ns) if self._last else 0
        tracks = self._update_lifecycle(tracks, elapsed_ns / 1e9)
        gone, self._removed = self._removed, []
        living = {track.id for track in tracks}
        result = FrameResult(
            stamp_ns=frame.stamp_ns,
            index=tracker.frame_index - 1,
            height=frame.height,
            width=frame.width,
            tracks=tuple(sorted([*tracks, *(track for track in gone if track.id not in living)], key=lambda track: track.id)),
            detections=self._detections,
            prompted=tuple(sorted({*self._prompted, *self._associator.spawned} & living)),
        )
        self._pending_update = (frame, result, features if self.history is not None else None)
        self._last = replace(result, tracks=tuple(track for track in tracks if track.state is not TrackStatus.REMOVED))
        return result

    def update_appearance(self) -> None:
        """Learns from the latest frame what objects look like, and puts it into the history, where that has not been done yet.

        What fails here is logged and counted, and costs nothing else: the frame's result has been given already.
        """
        latest, self._pending_update = self._pending_update, None
        if latest is None:
            return
        try:
            self._update_appearance(*latest)
        except Exception as error:
            self.appearance_update_failures += 1
            words = f"{type(error).__name__}: {error}"
            if words != self._last_update_error:
                log.exception("an image could not be learnt from")
            self._last_update_error = words

    def _update_appearance(self, frame: Frame, result: FrameResult, features: ImageFeatures | None) -> None:
        tracks = [track for track in result.tracks if track.id in self.tracker.ids]
        if self.registry.options.resolve_crossings:
            self._crossings.update_appearance(tracks, frame.color, self._scene_cut.exposure)
        self.registry.update_appearance(tracks, frame.color)
        if self.history is not None:
            self.history.add(frame, result, features)

    def backward(self, track_ids: Sequence[int] | None = None, past: Past | None = None, store: RecordFile | None = None) -> BackwardPass:
        """A backward pass over the history as it is now, to be run piece by piece while the stream goes on; see `backward`.

        Args:
            track_ids: the objects; None for all.
            past: what to sweep over in place of the history.
            store: where the pass keeps its records; None keeps them in memory.

        Raises:
            RefinementError: there is no history, or none of these tracks is in it.
        """
        self.update_appearance()
        past = self.history if past is None else past
        if past is None:
            raise RefinementError("this session keeps no history: make it with history=FrameHistory(...)")
        tracker = self.tracker
        return BackwardPass(
            tracker.segmenter, tracker.policy, past, track_ids, tracker.min_region_ratio, self.lifecycle.lost_after_s, store=store
        )

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

    def _verify_identities(self, opened: OpenFrame, frame: Frame) -> None:
        """Hides objects that have to be recognised and are not; shares out the pixels of those that overlap."""
        if self._last is not None and (frame.height, frame.width) != (self._last.height, self._last.width):
            self._crossings.reset()  # it, and the sizes the detector has seen, count in pixels
            self.registry.clear_detected_areas()
        if self._scene_cut.update(frame.color):
            self.scene_cuts += 1
            self._requeue_pending_detection()  # what was found before the cut says nothing of what is seen now
            self.registry.require_reid(self.phrases)
            self._crossings.reset()
            self._scheduler.detect_now = True
        if set(self.registry.needs_reid) & set(self.tracker.ids):
            opened.hide(self.registry.failed_reid(opened.tracks(), frame.color))
        if self._crossings.pairs:
            for pair, ownership in self._crossings.split_overlap(opened.tracks(), frame.color, self._scene_cut.exposure):
                opened.split_overlap(pair, ownership)

    def _correct_tracks(self, tracks: list[Track], frame: Frame, features: ImageFeatures) -> list[Track]:
        """The tracks of a finished frame, after those that have slipped onto another object, or off their own, were set right."""
        labels = {track.id: track.label for track in tracks}
        boxes = self._crossings.update(tracks, frame.color) if self.registry.options.resolve_crossings else {}
        reseated = self._associator.reinitialize(features, frame, {key: BoxPrompt(box, labels[key]) for key, box in boxes.items()})
        by_id = {track.id: track for track in reseated}
        return [by_id.get(track.id, track) for track in tracks]

    def _update_lifecycle(self, tracks: list[Track], elapsed_s: float) -> list[Track]:
        """The tracks with their states; those whose life is over are removed from the tracker."""
        over = {
            *self.registry.update(tracks, elapsed_s, self.phrases),
            *self._associator.false_alarms,
            *self.registry.unconfirmable(self.phrases),
        }
        over -= set(self._prompted)  # what a user has just pointed at is there
        self._associator.false_alarms.clear()
        living = []
        for track in self.lifecycle.update(tracks, elapsed_s):
            if track.id in over or track.state is TrackStatus.REMOVED:
                track = self._as_removed(track)
                self._forget(track.id)
            elif not self.registry.is_confirmed(track.id):
                track = replace(track, state=TrackStatus.TENTATIVE)
            living.append(track)
        return living

    @staticmethod
    def _as_removed(track: Track) -> Track:
        return replace(track, state=TrackStatus.REMOVED, score=0.0, box=None, mask=np.zeros_like(track.mask))

    def _apply_waiting(self, opened: OpenFrame) -> None:
        waiting, self._waiting = self._waiting[:MAX_PER_FRAME], self._waiting[MAX_PER_FRAME:]
        later: list[PromptHandle] = []
        added: dict[int, tuple[str, NDArray[np.bool_]]] = {}
        for handle in waiting:
            if isinstance(handle.prompt, TextPrompt):
                self._scheduler.handles.append(handle)
                continue
            if handle.prompt.track_id in opened.prompted:  # a second correction of one object builds on the first one's mask
                later.append(handle)
                continue
            try:
                track_id, name, known = self._find_target(opened, handle.prompt, added)
            except (PromptError, TrackerError) as error:
                handle.finish([], [], str(error))
            else:
                if not known:
                    self.registry.add(track_id, handle.prompt.label, found=False)
                label = self.registry.confirm_by_user(track_id, name)
                self._crossings.forget(track_id)  # the user says where it is: whatever it was before, it is this now
                self._prompted.append(track_id)
                handle.finish([track_id], [label])
        self._waiting = later + self._waiting

    def _find_target(
        self, opened: OpenFrame, prompt: ObjectPrompt, added: dict[int, tuple[str, NDArray[np.bool_]]]
    ) -> tuple[int, str, bool]:
        """Id and name of the object that a user points at, and whether it was known, in which case this is a correction of it.

        Who clicks at an object that is followed already does not mean another one, unless by another name: then the track may be on the
        wrong object. `added` are names and masks of this frame's new objects.
        """
        if prompt.track_id is not None:
            return opened.prompt(prompt), prompt.label, True
        predicted = opened.predict(prompt, check_room=False)
        mask = opened.mask_of(predicted)
        shown = {track.id: (track.label, track.mask) for track in opened.tracks() if track.box is not None} | added
        likely = {key: seen for key, (name, seen) in shown.items() if _same_name(name, prompt.label)}
        same = find_duplicate(mask, likely, SAME_MASK_IOU)
        if same is None:
            self.tracker.check_room(len(opened.added))
            track_id = opened.accept(predicted)
            added[track_id] = prompt.label, mask
            return track_id, prompt.label, False
        name, earlier = shown[same][0] or prompt.label, opened.prompted.get(same)
        if earlier is None:
            opened.prompt(replace(prompt, track_id=same, label=name))
        elif not earlier.prompt.label:  # the second prompt of one object on this frame brings but its name
            opened.prompted[same] = replace(earlier, prompt=replace(earlier.prompt, label=name))
        if same in added:
            added[same] = name, added[same][1]
        return same, name, True

    def _cache(self, features: ImageFeatures, frame: Frame) -> None:
        assert self._pending_detection is not None
        cached = self._pending_detection.features
        cached.append((self.tracker.frame_index, features, frame.height, frame.width))
        if len(cached) > MAX_CACHED_FRAMES:
            del cached[1:-1:2]

    def _take_detection_result(self) -> None:
        """Takes what the worker has to say, once a frame however often the frame is tried: it says everything once."""
        taken = self._worker.take() if self._worker is not None else None
        if taken is None:
            return
        self._count_detection(taken)
        pending = self._pending_detection
        if pending is None or pending.result is not None:
            return  # to a question that is nobody's any more
        if taken.error is None:
            pending.result = taken
        else:
            self._pending_detection = None
            self._on_detection_failure(taken.error, pending.handles)

    def _catch_up(self) -> None:
        """Places an answer about an earlier frame."""
        pending = self._pending_detection
        if pending is None or pending.result is None:
            return
        self._pending_detection = None
        self._detections = len(pending.result.detections)
        last = [track for track in self._last.tracks if track.id in self.tracker.ids] if self._last is not None else []
        self._associator.catch_up(pending, pending.result, last)

    def _request_detection(self, opened: OpenFrame, frame: Frame, features: ImageFeatures) -> None:
        """Asks the detector when a prompt is new or the interval is over."""
        self._scheduler.tick()
        if self.detector is None or (self._worker is not None and not self._worker.idle):
            return
        query = self._scheduler.next_query(self.detector, self.detect_every, self.registry.unconfirmed_labels)
        if query is None:
            return
        request = DetectionRequest(self.tracker.frame_index, frame.color, tuple(query.thresholds), tuple(query.thresholds.values()))
        if self._worker is None:
            given = run_detection(self.detector, request)
            self._count_detection(given)
            if given.error is None:
                self._detections = len(given.detections)
                self._associator.associate(given, opened, opened.tracks(), query.handles)
            else:
                self._on_detection_failure(given.error, query.handles)
            return
        self._pending_detection = PendingDetection([], query.handles, [(self.tracker.frame_index, features, frame.height, frame.width)])
        self._worker.submit(request)

    def _count_detection(self, given: DetectionResult) -> None:
        self.detection_runs += 1
        self.detection_durations.add(given.seconds)
        if given.error is not None:
            self.detector_errors += 1
            self.detector_error = f"detector: {type(given.error).__name__}: {given.error}"

    def _on_detection_failure(self, error: Exception, handles: list[PromptHandle]) -> None:
        """The detector has failed: prompts ask again; out of memory, it looks at smaller images."""
        less = smaller_detector(self.detector) if is_out_of_memory(error) else None
        if less is not None:
            self.detector = less
            if self._worker is not None:
                self._worker.use(less)
            self._report_degradation("the detector looks at smaller images")
        self._scheduler.handles += [handle for handle in handles if less is not None or not handle.retries_exhausted(error, "the detector")]


def _same_name(one: str, other: str) -> bool:
    """Whether two names may be one object's: alike, or one is missing."""
    first, second = plain_name(one), plain_name(other)
    return not first or not second or first == second
