# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The engine: a session processes each frame with detection, tracking and identity in a fixed order.

    session = Session(load_segmenter("toy"), load_detector("toy"))
    session.prompt(TextPrompt("red circle. blue star."))
    for image, stamp_ns in images:
        result = session.step(Frame(image, stamp_ns))

One thread uses a session. The detector may run on its own thread (`background=True`). Its result for frame t then arrives at frame
t + k. The session associates this result with the tracks of frame t, and propagates new objects through the features of t .. t + k.
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
from lang2segtrack_ros.tracking.stream_tracker import FrameCommit, StreamTracker
from lang2segtrack_ros.types.frame import Frame
from lang2segtrack_ros.types.prompt_handle import MAX_ATTEMPTS, PromptHandle
from lang2segtrack_ros.types.prompts import BoxPrompt, ObjectPrompt, Prompt, PromptError, TextPrompt, plain_name
from lang2segtrack_ros.types.results import FrameResult, Track, TrackStatus

log = logging.getLogger(__name__)
MAX_CACHED_FRAMES = 32
"""Maximum number of frames whose features are cached for catching up. Above it, every second frame is dropped."""
OUT_OF_MEMORY_RETRY_S = 2.0
"""Time in seconds after which the session tries smaller settings again, if the smallest settings did not fit."""
MAX_WAITING = 256
"""Maximum number of prompts that wait for a frame or for the detector."""
SAME_MASK_IOU = 0.7
"""IoU above which the mask of a new prompt counts as a mask of an object that is already tracked."""
MAX_PROMPTS_PER_FRAME = 32
"""Maximum number of prompts that one frame applies. More prompts wait for the next frames."""


class Session:
    """A tracker of named objects in a stream of frames.

    Args:
        segmenter: from `models.loading.load_segmenter`.
        detector: from `models.loading.load_detector`. None disables text prompts.
        policy: memory policy: "samurai", "sam2", "distractor", "depth", the name of a plug-in, or a policy object.
        background: True runs the detector on its own thread instead of inside `step`.
        options: see `SessionOptions`.
        history: storage of past frames for `refine_backward`. None stores nothing.
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
        """Queue a prompt for the next frame, and return the handle of its outcome.

        Args:
            prompt: the prompt.
            replace_prompt_id: id of a continuous text prompt that this continuous text prompt replaces. Confirmed objects of the old
                prompt stay tracked. Tentative objects stay only if a continuous text prompt still names them. 0 replaces none.

        Raises:
            PromptError: too many prompts wait, there is no detector for a text prompt, the detector cannot process the text, or
                `replace_prompt_id` is invalid.
        """
        handle = PromptHandle(prompt)
        if self.waiting >= MAX_WAITING:
            raise PromptError(f"{MAX_WAITING} prompts already wait for an image: try again after the next images")
        if replace_prompt_id and not (isinstance(prompt, TextPrompt) and prompt.mode == "continuous"):
            raise PromptError("only a continuous text prompt can replace another one: use mode continuous, or add the prompt as a new one")
        if isinstance(prompt, TextPrompt):
            if self.detector is None:
                raise PromptError("there is no detector for text prompts: load a detector, or use box, point or mask prompts")
            handle.notes += vocabulary_notes(self.detector, prompt.phrases)
            if prompt.mode == "continuous":
                handle.prompt_id = self._scheduler.add(prompt, replace_prompt_id)
                self._refuse_handles(handle.prompt_id, "another text prompt replaced this one before its first detection")
        self._waiting.append(handle)
        return handle

    @property
    def counts(self) -> dict[str, int]:
        """Return the counters of identity events and failures since the start of the session, by name."""
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
        """Return the number of prompts that wait for a frame or for the detector. Any thread may read it."""
        pending = self._pending_detection
        return len(self._waiting) + len(self._scheduler.handles) + (len(pending.handles) if pending is not None else 0)

    @property
    def worker_restarts(self) -> int:
        """Return how many times the detector thread had to restart its loop."""
        return self._worker.restarts if self._worker is not None else 0

    @property
    def texts(self) -> dict[int, TextPrompt]:
        """Return the continuous text prompts by id."""
        return self._scheduler.texts

    def remove_text(self, prompt_id: int) -> None:
        """Remove a continuous text prompt. Its confirmed tracks stay, and its tentative tracks are removed.

        Args:
            prompt_id: id of the prompt; see `PromptHandle.prompt_id`.

        Raises:
            PromptError: no prompt has this id.
        """
        self._scheduler.remove(prompt_id)
        self._refuse_handles(prompt_id, "the text prompt was removed before its first detection")

    def _refuse_handles(self, prompt_id: int, reason: str) -> None:
        """Refuse all handles that wait for the first detection of a removed or replaced text prompt."""
        pending = self._pending_detection
        for handles in (self._waiting, self._scheduler.handles, pending.handles if pending is not None else []):
            for handle in [item for item in handles if item.prompt_id == prompt_id]:
                handle.finish([], [], reason)
                handles.remove(handle)

    @property
    def phrases(self) -> tuple[str, ...]:
        """Return the phrases of all continuous text prompts, without repeats."""
        return self._scheduler.phrases

    def remove(self, track_id: int) -> None:
        """Remove an object. Raise TrackerError if no track has this id."""
        last = self._last.by_id.get(track_id) if self._last else None
        self._forget(track_id)
        if last is not None:
            self._removed.append(self._as_removed(last))

    def _forget(self, track_id: int) -> None:
        self.tracker.remove(track_id)
        self.registry.forget(track_id)
        self._crossings.forget(track_id)

    def reset(self) -> None:
        """Remove all objects and prompts. Later objects and prompts get new ids."""
        for handle in [*self._waiting, *self._scheduler.handles, *(self._pending_detection.handles if self._pending_detection else [])]:
            handle.finish([], [], "the session was reset before the prompt was applied: send the prompt again")
        self._waiting.clear()
        self._scheduler.reset()
        self._pending_detection = None  # the detector may still run; the session ignores its result
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
        """End the detector thread and close the history."""
        if self._worker is not None:
            self._worker.close()
        if self.history is not None:
            self.history.close()

    def step(self, frame: Frame, update_appearance: bool = True) -> FrameResult:
        """Process one frame: track every object, apply waiting prompts on this frame, and request a detection if it is due.

        A frame that fails leaves the session unchanged. Objects keep their memories, and prompts wait for the next frame. A prompt is
        refused after `MAX_ATTEMPTS` failed frames. If the device runs out of memory, the session reduces its settings and processes
        the same frame again; see `session.degradation`.

        Args:
            frame: the frame.
            update_appearance: True updates the appearance models of the objects and adds the frame to the history before the method
                returns. False postpones both to the next `step` or to a call of `update_appearance`. The result is then available some
                milliseconds earlier. Results are identical in both cases.

        Raises:
            torch.OutOfMemoryError: even the smallest settings do not fit into memory.
        """
        self.update_appearance()
        self._take_detection_result()
        initial: Snapshot | None = None
        while True:
            before = self._snapshot()
            initial = initial or before
            try:
                result = self._step(frame)
            except BaseException as error:  # an interrupt leaves the session unchanged, too
                before.restore()
                if not isinstance(error, Exception):
                    raise
                if not is_out_of_memory(error):
                    self._count_failures(error)
                    raise
            else:
                if update_appearance:
                    self.update_appearance()
                return result
            # Outside of the except block, Python has released the exception and the tensors in its frames.
            if time.monotonic() < self._out_of_memory_until or not self._degrade():
                device, settings = self.tracker.segmenter.device, describe(self.tracker.segmenter)
                initial.restore()  # smaller settings did not help, so the session keeps its full settings for later
                if time.monotonic() >= self._out_of_memory_until:
                    self._out_of_memory_until = time.monotonic() + OUT_OF_MEMORY_RETRY_S
                    self._out_of_memory_error = (
                        f"out of memory on {device}, even with {settings}: remove objects, or free memory on the device"
                    )
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
        """Count a failed frame for all waiting prompts and for the pending result, because one of them may be the cause."""
        self._waiting = [handle for handle in self._waiting if not handle.retries_exhausted(error, "the image")]
        self._scheduler.handles = [handle for handle in self._scheduler.handles if not handle.retries_exhausted(error, "the image")]
        pending = self._pending_detection
        if pending is not None and pending.result is not None:
            pending.failures += 1
            if pending.failures == MAX_ATTEMPTS:
                self._abandon_pending_detection(pending, error)

    def _abandon_pending_detection(self, pending: PendingDetection, error: Exception) -> None:
        """Drop a pending detection, and queue its prompts again until their retries are exhausted."""
        self._pending_detection = None
        self._scheduler.handles += [handle for handle in pending.handles if not handle.retries_exhausted(error, "the detection")]

    def _degrade(self) -> bool:
        """Switch to settings with a lower memory use. Return False at the lowest settings."""
        tracker, pending = self.tracker, self._pending_detection
        new_objects = len(pending.result.detections) if pending is not None and pending.result is not None else 0
        if self.history is not None:
            self.history.drop_features()
        smaller = degrade(tracker.segmenter, max(len(tracker.ids), new_objects))
        if smaller is None:
            return False
        if smaller.feature_size != tracker.segmenter.feature_size:
            self._requeue_pending_detection()  # its cached features have the old size
        tracker.use(smaller)
        self._report_degradation(describe(smaller))
        return True

    def _requeue_pending_detection(self) -> None:
        """Drop the pending detection, and queue its prompts again."""
        if self._pending_detection is not None:
            self._scheduler.handles += self._pending_detection.handles
            self._pending_detection = None

    def _report_degradation(self, settings: str) -> None:
        self.degradations += 1
        self.degraded_to = settings
        log.warning("out of memory: from now on %s", settings)

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
        self._apply_prompts(opened)
        self._request_detection(opened, frame, features)
        commit = tracker.compute(opened)
        tracks = self._correct_tracks(commit, frame, features)
        if self._pending_detection is not None and self._pending_detection.features[-1][0] == self._pending_detection.features[0][0]:
            self._pending_detection.tracks = tracks  # this frame submitted the request
        elapsed_ns = step_ns(self._last.stamp_ns, frame.stamp_ns) if self._last else 0
        tracks = self._update_lifecycle(commit, tracks, elapsed_ns / 1e9)
        removed, self._removed = self._removed, []
        ids = {track.id for track in tracks}
        result = FrameResult(
            stamp_ns=frame.stamp_ns,
            index=tracker.frame_index,
            height=frame.height,
            width=frame.width,
            tracks=tuple(sorted([*tracks, *(track for track in removed if track.id not in ids)], key=lambda track: track.id)),
            detections=self._detections,
            prompted=tuple(sorted({*self._prompted, *self._associator.spawned} & ids)),
        )
        last = replace(result, tracks=tuple(track for track in tracks if track.state is not TrackStatus.REMOVED))
        tracker.apply(commit)  # the last step that may fail, and it writes last
        self._pending_update = (frame, result, features if self.history is not None else None)
        self._last = last
        return result

    def update_appearance(self) -> None:
        """Update the appearance models of the objects from the latest frame, and add that frame to the history.

        The method does nothing if `step` has already done both. A failure is logged and counted in `appearance_update_failures`. The
        result of the frame stays valid.
        """
        pending, self._pending_update = self._pending_update, None
        if pending is None:
            return
        try:
            self._update_appearance(*pending)
        except Exception as error:
            self.appearance_update_failures += 1
            message = f"{type(error).__name__}: {error}"
            if message != self._last_update_error:
                log.exception("the update of the appearance models or of the history failed")
            self._last_update_error = message

    def _update_appearance(self, frame: Frame, result: FrameResult, features: ImageFeatures | None) -> None:
        tracks = [track for track in result.tracks if track.id in self.tracker.ids]
        if self.registry.options.resolve_crossings:
            self._crossings.update_appearance(tracks, frame.color, self._scene_cut.exposure)
        self.registry.update_appearance(tracks, frame.color)
        if self.history is not None:
            self.history.add(frame, result, features)

    def backward(self, track_ids: Sequence[int] | None = None, past: Past | None = None, store: RecordFile | None = None) -> BackwardPass:
        """Return a backward pass over the current history. The caller can run it piece by piece while the stream continues.

        Args:
            track_ids: ids of the objects. None selects all.
            past: frames for the pass. None uses the history.
            store: file for the records of the pass. None keeps the records in memory.

        Raises:
            RefinementError: there is no history, or it contains none of these tracks.
        """
        self.update_appearance()
        past = self.history if past is None else past
        if past is None:
            raise RefinementError("this session has no history: create it with history=FrameHistory(...)")
        tracker = self.tracker
        return BackwardPass(
            tracker.segmenter, tracker.policy, past, track_ids, tracker.min_region_ratio, self.lifecycle.lost_after_s, store=store
        )

    def refine_backward(
        self, track_ids: Sequence[int] | None = None, progress: Callable[[Progress], bool | None] | None = None
    ) -> Iterator[FrameResult]:
        """Run a backward pass over the history, and yield the merged results of all frames in time order.

        Args:
            track_ids: ids of the objects. None selects all.
            progress: callback for each frame of the backward pass. If it returns False, the pass ends and yields no result.

        Raises:
            RefinementError: see `backward`.
        """
        return self.backward(track_ids).run(progress)

    @property
    def last(self) -> FrameResult | None:
        """Return the latest result without removed tracks. None before the first frame."""
        return self._last

    def _verify_identities(self, opened: OpenFrame, frame: Frame) -> None:
        """Hide objects that failed their re-identification, and split the overlap of crossing objects by color."""
        if self._last is not None and (frame.height, frame.width) != (self._last.height, self._last.width):
            self._crossings.reset()  # crossings and detected areas are in pixels of the old image size
            self.registry.clear_detected_areas()
        if self._scene_cut.update(frame.color):
            self.scene_cuts += 1
            self._requeue_pending_detection()  # a result from before the cut does not describe the new scene
            self.registry.require_reid(self.phrases)
            self._crossings.reset()
            self._scheduler.detect_now = True
        if set(self.registry.needs_reid) & set(self.tracker.ids):
            opened.hide(self.registry.failed_reid(opened.tracks(), frame.color))
        if self._crossings.pairs:
            for pair, ownership in self._crossings.split_overlap(opened.tracks(), frame.color, self._scene_cut.exposure):
                opened.split_overlap(pair, ownership)

    def _correct_tracks(self, commit: FrameCommit, frame: Frame, features: ImageFeatures) -> list[Track]:
        """Reinitialize the tracks whose crossing shows an id switch, and return all tracks of the frame."""
        tracks = commit.tracks
        labels = {track.id: track.label for track in tracks}
        boxes = self._crossings.update(tracks, frame.color) if self.registry.options.resolve_crossings else {}
        corrected, commit.fork = self._associator.reinitialize(
            features, frame, {key: BoxPrompt(box, labels[key]) for key, box in boxes.items()}
        )
        by_id = {track.id: track for track in corrected}
        return [by_id.get(track.id, track) for track in tracks]

    def _update_lifecycle(self, commit: FrameCommit, tracks: list[Track], elapsed_s: float) -> list[Track]:
        """Set the states of the tracks, and mark tracks that have ended for removal."""
        ended = {
            *self.registry.update(tracks, elapsed_s, self.phrases),
            *self._associator.false_alarms,
            *self.registry.unconfirmable(self.phrases),
        }
        ended -= set(self._prompted)  # a prompt on this frame proves that the object exists
        self._associator.false_alarms.clear()
        updated = []
        for track in self.lifecycle.update(tracks, elapsed_s):
            if track.id in ended or track.state is TrackStatus.REMOVED:
                track = self._as_removed(track)
                commit.removed.append(track.id)
                self.registry.forget(track.id)
                self._crossings.forget(track.id)
            elif not self.registry.is_confirmed(track.id):
                track = replace(track, state=TrackStatus.TENTATIVE)
            updated.append(track)
        return updated

    @staticmethod
    def _as_removed(track: Track) -> Track:
        return replace(track, state=TrackStatus.REMOVED, score=0.0, box=None, mask=np.zeros_like(track.mask))

    def _apply_prompts(self, opened: OpenFrame) -> None:
        waiting, self._waiting = self._waiting[:MAX_PROMPTS_PER_FRAME], self._waiting[MAX_PROMPTS_PER_FRAME:]
        postponed: list[PromptHandle] = []
        added: dict[int, tuple[str, NDArray[np.bool_]]] = {}
        for handle in waiting:
            if isinstance(handle.prompt, TextPrompt):
                self._scheduler.handles.append(handle)
                continue
            if handle.prompt.track_id in opened.prompted:  # a second correction builds on the mask of the first
                postponed.append(handle)
                continue
            try:
                track_id, name, exists = self._find_target(opened, handle.prompt, added)
            except (PromptError, TrackerError) as error:
                handle.finish([], [], str(error))
            else:
                if not exists:
                    self.registry.add(track_id, handle.prompt.label, from_detector=False)
                label = self.registry.confirm_by_user(track_id, name)
                self._crossings.forget(track_id)  # the prompt of the user overrides the color and motion models of the track
                self._prompted.append(track_id)
                handle.finish([track_id], [label])
        self._waiting = postponed + self._waiting

    def _find_target(
        self, opened: OpenFrame, prompt: ObjectPrompt, added: dict[int, tuple[str, NDArray[np.bool_]]]
    ) -> tuple[int, str, bool]:
        """Start or correct the object of a prompt.

        A prompt on a tracked object corrects that object. A prompt with another name starts a new object, because the track may be on
        the wrong object.

        Args:
            opened: the open frame.
            prompt: a box, point or mask prompt.
            added: names and masks of the objects that prompts have started on this frame, by id. New objects are added to it.

        Returns:
            The id and the name of the object, and True if the object existed before this prompt.
        """
        if prompt.track_id is not None:
            return opened.prompt(prompt), prompt.label, True
        predicted = opened.predict(prompt, check_capacity=False)
        mask = opened.mask_of(predicted)
        visible = {track.id: (track.label, track.mask) for track in opened.tracks() if track.box is not None} | added
        candidates = {key: other for key, (name, other) in visible.items() if _names_match(name, prompt.label)}
        duplicate = find_duplicate(mask, candidates, SAME_MASK_IOU)
        if duplicate is None:
            self.tracker.check_capacity(len(opened.added))
            track_id = opened.accept(predicted)
            added[track_id] = prompt.label, mask
            return track_id, prompt.label, False
        name, earlier = visible[duplicate][0] or prompt.label, opened.prompted.get(duplicate)
        if earlier is None:
            opened.prompt(replace(prompt, track_id=duplicate, label=name))
        elif not earlier.prompt.label:  # the second prompt for one object on this frame only adds the name
            opened.prompted[duplicate] = replace(earlier, prompt=replace(earlier.prompt, label=name))
        if duplicate in added:
            added[duplicate] = name, added[duplicate][1]
        return duplicate, name, True

    def _cache(self, features: ImageFeatures, frame: Frame) -> None:
        assert self._pending_detection is not None
        cached = self._pending_detection.features
        cached.append((self.tracker.frame_index, features, frame.height, frame.width))
        if len(cached) > MAX_CACHED_FRAMES:
            del cached[1:-1:2]

    def _take_detection_result(self) -> None:
        """Take the result of the worker. `step` calls this once per frame, because the worker returns each result only once."""
        result = self._worker.take() if self._worker is not None else None
        if result is None:
            return
        self._count_detection(result)
        pending = self._pending_detection
        if pending is None or pending.result is not None:
            return  # the session has dropped this request
        if result.error is None:
            pending.result = result
        else:
            self._pending_detection = None
            self._on_detection_failure(result.error, pending.handles)

    def _catch_up(self) -> None:
        """Associate the result for an earlier frame, and propagate new objects to the present."""
        pending = self._pending_detection
        if pending is None or pending.result is None:
            return
        self._pending_detection = None
        self._detections = len(pending.result.detections)
        last = [track for track in self._last.tracks if track.id in self.tracker.ids] if self._last is not None else []
        self._associator.catch_up(pending, pending.result, last)

    def _request_detection(self, opened: OpenFrame, frame: Frame, features: ImageFeatures) -> None:
        """Run or submit a detection if a prompt is new or its interval has passed."""
        self._scheduler.tick()
        if self.detector is None or (self._worker is not None and not self._worker.idle):
            return
        query = self._scheduler.next_query(self.detector, self.detect_every, self.registry.unconfirmed_labels)
        if query is None:
            return
        request = DetectionRequest(self.tracker.frame_index, frame.color, tuple(query.thresholds), tuple(query.thresholds.values()))
        if self._worker is None:
            result = run_detection(self.detector, request)
            self._count_detection(result)
            if result.error is None:
                self._detections = len(result.detections)
                self._associator.associate(result, opened, opened.tracks(), query.handles)
            else:
                self._on_detection_failure(result.error, query.handles)
            return
        self._pending_detection = PendingDetection([], query.handles, [(self.tracker.frame_index, features, frame.height, frame.width)])
        self._worker.submit(request)

    def _count_detection(self, result: DetectionResult) -> None:
        self.detection_runs += 1
        self.detection_durations.add(result.seconds)
        if result.error is not None:
            self.detector_errors += 1
            self.detector_error = f"detector: {type(result.error).__name__}: {result.error}"

    def _on_detection_failure(self, error: Exception, handles: list[PromptHandle]) -> None:
        """Queue the prompts of a failed detection again. If the detector ran out of memory, switch to smaller images."""
        smaller = smaller_detector(self.detector) if is_out_of_memory(error) else None
        if smaller is not None:
            self.detector = smaller
            if self._worker is not None:
                self._worker.use(smaller)
            self._report_degradation("the detector uses smaller images")
        self._scheduler.handles += [
            handle for handle in handles if smaller is not None or not handle.retries_exhausted(error, "the detector")
        ]


def _names_match(one: str, other: str) -> bool:
    """Return True if two names can belong to one object: the names are equal, or one of them is empty."""
    first, second = plain_name(one), plain_name(other)
    return not first or not second or first == second
