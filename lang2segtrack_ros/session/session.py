# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The engine: a session processes each frame with detection, tracking and identity in a fixed order.

    session = Session(load_segmenter("toy"), load_detector("toy"))
    session.prompt(TextPrompt("red circle. blue star."))
    for image, stamp_ns in images:
        result = session.step(Frame(image, stamp_ns))

One thread uses a session. The detector may run on its own thread (`background=True`); see `catch_up` for its late results.

A value of a wrong type is refused where it is given, with a ValueError that says what to give. An argument of a session raises
ArgumentError. Elsewhere the class that stands for wrong values stands for wrong types too, such as PromptError or FrameError.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import replace
from functools import partial

from lang2segtrack_ros.detection.detector import AcceleratedDetector, Detector
from lang2segtrack_ros.detection.instruction_resolver import InstructionResolver
from lang2segtrack_ros.history.backward_pass import BackwardPass, Progress, RefinementError
from lang2segtrack_ros.history.frame_history import FrameHistory, Past
from lang2segtrack_ros.history.records import RecordFile
from lang2segtrack_ros.segmentation.sam2 import Sam2Segmenter
from lang2segtrack_ros.session.appearance_updates import AppearanceUpdates, FinishedFrame
from lang2segtrack_ros.session.arguments import check_parts, checked_id, checked_ids
from lang2segtrack_ros.session.degradation import Degradation, is_out_of_memory, release_cached_memory
from lang2segtrack_ros.session.detections import Detections
from lang2segtrack_ros.session.instruction_requests import InstructionRequests, is_due
from lang2segtrack_ros.session.matching import matcher_of
from lang2segtrack_ros.session.options import SessionOptions
from lang2segtrack_ros.session.pipeline import ComputedFrame, Engine, compute_frame
from lang2segtrack_ros.session.prompting import Networks, with_prompt, without_text
from lang2segtrack_ros.session.reverse import ReverseSession
from lang2segtrack_ros.session.state import SessionState
from lang2segtrack_ros.tracking.open_frame import TrackerError, unknown_id_message
from lang2segtrack_ros.tracking.policies.base import Policy
from lang2segtrack_ros.tracking.tracker import Tracker
from lang2segtrack_ros.types.checks import describe
from lang2segtrack_ros.types.frame import Frame, FrameError
from lang2segtrack_ros.types.instruction import AnyPrompt, InstructionPrompt
from lang2segtrack_ros.types.prompt_handle import PromptHandle, PromptOutcome
from lang2segtrack_ros.types.prompts import DetectionPrompt, PromptError
from lang2segtrack_ros.types.results import FrameResult

log = logging.getLogger(__name__)
USUAL_IMAGES = ((480, 640), (720, 1280))
"""Heights and widths in pixels of images of 4 : 3 and 16 : 9. Detectors scale images, so one size stands for all of its shape."""


class Session:
    """A tracker of named objects in a stream of frames.

    Args:
        segmenter: from `models.loading.load_segmenter`.
        detector: from `models.loading.load_detector`. None disables text prompts.
        policy: memory policy: "samurai", "sam2", "distractor", "depth", the name of a plug-in, or a policy object.
        background: True runs the detector on its own thread instead of inside `step`.
        options: see `SessionOptions`.
        history: storage of past frames for `refine_backward`. None stores nothing.
        resolver: resolver of instructions, such as `instructions.grammar_resolver.GrammarResolver(detector)`. None refuses instructions.

    Raises:
        ArgumentError: an argument has a wrong type.
        DetectorError: the detector lacks a part.
        PluginError: the policy is unknown or lacks a part.

    Attributes:
        state: all that the session knows, except the memories of the tracker. A frame that fails leaves it unchanged.
        tracker: the tracker with the memories of the objects.
        options: the options. Options with `dynamic` may be replaced between two frames.
        detections: the detector and its counters.
        instructions: the resolver of instructions and its counters.
        degradation: the reduced memory settings.
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
        resolver: InstructionResolver | None = None,
    ) -> None:
        check_parts(segmenter, detector, background, options, history)
        self.options = SessionOptions() if options is None else options
        self.tracker = Tracker(segmenter, policy, self.options.min_region_ratio)
        self.state = SessionState()
        self.degradation = Degradation()
        matcher = matcher_of(self.options.exemplar, detector, segmenter)
        self.detections = Detections(detector, matcher, background, self.degradation)
        self.instructions = InstructionRequests(resolver, background)
        self.history = history
        self._appearance = AppearanceUpdates()

    def prepare(
        self, max_seconds: float = 60.0, report: Callable[[str], None] = log.info, images: Sequence[tuple[int, int]] = USUAL_IMAGES
    ) -> None:
        """Do before the first frame what would make a later frame wait: capture CUDA graphs. Without them, the method does nothing.

        The networks decide; see `acceleration` of `models.loading.load_segmenter`.

        Args:
            max_seconds: time in seconds after which the preparation ends. What is not prepared runs as usual, which is slower.
            report: called with sentences on the progress.
            images: heights and widths of the images in pixels, for the detector. A detector on its own thread prepares other sizes later.
        """
        began = time.monotonic()
        if self.tracker.segmenter.acceleration in ("graphs", "max"):
            static = self.tracker.prepare(self.options.max_objects, max_seconds, report)
            if not static.failure:
                report(f"CUDA graphs are ready for up to {self.options.max_objects} objects after {static.seconds:.1f} s")
        if isinstance(self.detector, AcceleratedDetector):
            self.detector.prepare(images, max_seconds - (time.monotonic() - began), report)
        if self.tracker.static is not None:
            release_cached_memory()  # the captures needed more than the graphs keep

    @property
    def acceleration(self) -> dict[str, object]:
        """Return the acceleration of the networks and, with CUDA graphs, the number of frames and detections that used them."""
        static, name = self.tracker.static, self.tracker.segmenter.acceleration
        metrics: dict[str, object] = {"acceleration": name}
        if static is not None:
            metrics = {
                "acceleration": f"off, because {static.failure}" if static.failure else name,
                "frames_static": static.frames["static"],
                "frames_not_static": static.frames["usual"],
            }
        detector = self.detector
        return metrics | (detector.acceleration_metrics() if isinstance(detector, AcceleratedDetector) else {})

    @property
    def detector(self) -> Detector | None:
        """Return the detector. None without text prompts."""
        return self.detections.detector

    @property
    def last(self) -> FrameResult | None:
        """Return the latest result without removed tracks. None before the first frame."""
        return self.state.last

    @property
    def is_idle(self) -> bool:
        """Return True if the next frame is needed for nothing, not even for the history. Any thread may read it."""
        return self.state.is_idle and not (self.history is not None and self.history.while_idle)

    @property
    def continuous_prompts(self) -> dict[int, DetectionPrompt]:
        """Return the continuous text and exemplar prompts by id."""
        return dict(self.state.schedule.prompts)

    @property
    def continuous_instructions(self) -> dict[int, InstructionPrompt]:
        """Return the continuous instructions by id."""
        return {key: item.prompt for key, item in self.state.instructions.active.items()}

    @property
    def needs_depth(self) -> bool:
        """Return True if an instruction is answered on the next frame, for which depth is of use. Any thread may read it."""
        return is_due(self.state, self.options.verify_every_s)

    @property
    def last_errors(self) -> list[str]:
        """Return the latest error of the detector and that of the resolver, each only if there was one. Any thread may read them."""
        return list(filter(None, (self.detections.last_error, self.instructions.last_error)))

    @property
    def waiting(self) -> int:
        """Return the number of prompts that wait for a frame or for the detector. Any thread may read it."""
        return len(self.state.prompts)

    @property
    def counts(self) -> dict[str, int]:
        """Return the counters of identity events and failures since the start of the session, by name."""
        return {"appearance_update_failures": self._appearance.failures, **self.state.counters.by_name()}

    def prompt(self, prompt: AnyPrompt, replace_prompt_id: int = 0, log_outcome: bool = True) -> PromptHandle:
        """Queue a prompt for the next frame, and return the handle of its outcome.

        Args:
            prompt: the prompt.
            replace_prompt_id: id of a continuous text or exemplar prompt that this continuous one replaces. Confirmed objects of the
                old prompt stay tracked. Tentative objects stay only if a continuous prompt still names them. 0 replaces none.
            log_outcome: True logs the notes or the refusal of the prompt as warnings, once. False leaves them to the caller.

        Raises:
            PromptError: `prompt` is no prompt, too many prompts wait, there is no detector for a text prompt or no matcher for an exemplar
                prompt, the detector cannot process the text, there is no resolver for an instruction or it cannot answer it on any image,
                or `replace_prompt_id` is invalid.
        """
        networks = Networks(self.detector, self.detections.matcher, self.instructions.resolver)
        state, handle = with_prompt(self.state, prompt, replace_prompt_id, networks)
        if log_outcome:
            handle.future.add_done_callback(partial(_log_outcome, prompt))
        self._set_state(state)
        return handle

    def remove_text(self, prompt_id: int) -> None:
        """Remove a continuous text or exemplar prompt, or a continuous instruction.

        Its confirmed tracks stay, and its tentative tracks are removed.

        Args:
            prompt_id: id of the prompt; see `PromptHandle.prompt_id`.

        Raises:
            PromptError: no prompt has this id.
        """
        self._set_state(without_text(self.state, checked_id("prompt_id", prompt_id, PromptError)))

    def remove(self, track_id: int) -> None:
        """Remove an object. Raise TrackerError if no track has this id."""
        track_id = checked_id("track_id", track_id, TrackerError)
        if track_id not in self.state.tracks:
            raise TrackerError(unknown_id_message(track_id, self.state.tracks))
        self.tracker.remove_objects([track_id])
        self._set_state(self.state.with_removal(track_id))

    def reset(self) -> None:
        """Remove all objects and prompts. Later objects and prompts get new ids."""
        self.tracker.clear()
        self._appearance.due = None
        self._set_state(self.state.reset())
        if self.history is not None:
            self.history.clear()

    def close(self, reason: str = "the session was closed before the prompt was applied") -> None:
        """End the threads of detector and resolver, close the history, and refuse all waiting prompts.

        Args:
            reason: reason for the refusal of the prompts.
        """
        self.detections.close()
        self.instructions.close()
        if self.history is not None:
            self.history.close()
        self._set_state(replace(self.state, prompts=self.state.prompts.refused(reason)))

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
            FrameError: `frame` is no frame.
            torch.OutOfMemoryError: even the smallest settings do not fit into memory.
        """
        if not isinstance(frame, Frame):
            raise FrameError(f"frame is {describe(frame)}: give a Frame, such as Frame(image, stamp_ns)")
        self.update_appearance()
        self.state = self.instructions.receive(self.detections.receive(self.state))
        self._resolve_prompts()
        release = self.history.drop_features if self.history is not None else None
        try:
            computed, tracker, steps = self.degradation.run(partial(self._compute, frame), self.tracker, self.state, release)
        except Exception as error:
            if not is_out_of_memory(error):
                self._set_state(self.instructions.count_failure(self.detections.count_failure(self.state, error), error))
            raise
        due = FinishedFrame(frame, computed.result, computed.features, tracker.pool, self.state.is_idle)
        state = self.detections.submit(computed)
        self.instructions.submit(computed.instruction)
        tracker.apply(computed.update)  # the last call that may fail, and it writes last
        self.tracker, self.state, self._appearance.due = tracker, state, due
        try:
            self.degradation.report(steps)
            self._resolve_prompts()
            if update_appearance:
                self.update_appearance()
        except Exception:  # the frame is finished, and the next frame repeats what is missing
            log.exception("the work after a finished image failed")
        return computed.result

    def _compute(self, frame: Frame, tracker: Tracker, state: SessionState) -> ComputedFrame:
        runs_here, idle = not self.detections.background, self.detections.idle
        finder, resolver_idle = self.detections.finder, self.instructions.is_idle
        engine = Engine(tracker, self.detector, self.options.in_effect, runs_here, idle, finder=finder, resolver_idle=resolver_idle)
        return compute_frame(state, engine, frame)

    def _set_state(self, state: SessionState) -> None:
        self.state = state
        self._resolve_prompts()

    def _resolve_prompts(self) -> None:
        """Resolve the futures of the finished prompts. Their callbacks run on this thread and may use the session."""
        finished = self.state.prompts.finished
        for entry in self.state.prompts:
            entry.handle.status = entry.status
        for handle, outcome in finished.items():
            handle.resolve(outcome)
        if finished:
            self.state = replace(self.state, prompts=self.state.prompts.without(finished))

    def update_appearance(self) -> None:
        """Update the appearance models of the objects from the latest frame, and add that frame to the history.

        The method does nothing if `step` has already done both. A failure is logged and counted in `appearance_update_failures`. The
        result of the frame stays valid.
        """
        self.state = self._appearance.run(self.state, self.options.in_effect, self.history)
        self.tracker.prepare_due()

    def backward(
        self,
        track_ids: Sequence[int] | None = None,
        past: Past | None = None,
        store: RecordFile | None = None,
        prepare: bool = False,
    ) -> BackwardPass:
        """Return a backward pass over the current history. The caller can run it piece by piece while the stream continues.

        Args:
            track_ids: ids of the objects. None selects all.
            past: frames for the pass. None uses the history.
            store: file for the records of the pass. None keeps the records in memory.
            prepare: True prepares CUDA graphs for the pass first, if the stream has them. That takes seconds, so no stream should wait.

        Raises:
            RefinementError: there is no history, or it contains none of these tracks.
        """
        self.update_appearance()
        past = self.history if past is None else past
        if past is None:
            raise RefinementError("this session has no history: create it with history=FrameHistory(...)")
        if track_ids is not None:
            track_ids = checked_ids("track_ids", track_ids, RefinementError)
        tracker = self.tracker.fork()
        if prepare and self.tracker.static is not None:
            tracker.prepare(self.options.max_objects)
        reverse = ReverseSession(tracker, self.detector, self.options, self.state, self.detections.finder)
        return BackwardPass(reverse, past, track_ids, self.options.lost_after_s, store)

    def refine_backward(
        self, track_ids: Sequence[int] | None = None, progress: Callable[[Progress], bool | None] | None = None
    ) -> Iterator[FrameResult]:
        """Run a backward pass over the history, and yield the merged results of all frames in time order. See `backward` for the errors.

        Args:
            track_ids: ids of the objects. None selects all.
            progress: callback for each frame of the backward pass. If it returns False, the pass ends and yields no result.
        """
        return self.backward(track_ids, prepare=True).run(progress)


def _log_outcome(prompt: AnyPrompt, future: Future[PromptOutcome]) -> None:
    """Log the notes of a prompt, or its refusal."""
    outcome = future.result()
    if outcome.error:
        log.warning("the session refused a %s: %s", type(prompt).__name__, outcome.error)
    for note in outcome.notes:
        log.warning(note)
