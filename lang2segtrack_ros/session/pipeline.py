# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""One frame as a pipeline: catch up, encode, propagate, run the stages, encode memory. It computes everything and writes nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from lang2segtrack_ros.detection.detector import Detector
from lang2segtrack_ros.detection.exemplar import ExemplarFinder
from lang2segtrack_ros.detection.instruction_resolver import InstructionRequest
from lang2segtrack_ros.detection.pending_detection import CachedFrame, PendingDetection
from lang2segtrack_ros.detection.worker import DetectionRequest, DetectionResult, run_detection
from lang2segtrack_ros.history.frame_history import step_ns
from lang2segtrack_ros.identity.confirmation import unconfirmed_labels
from lang2segtrack_ros.segmentation.sam2 import ImageFeatures
from lang2segtrack_ros.session.actions import Action, Correct, Spawn, apply_actions
from lang2segtrack_ros.session.catch_up import CaughtUp
from lang2segtrack_ros.session.context import FrameContext
from lang2segtrack_ros.session.instruction_requests import is_due, next_request
from lang2segtrack_ros.session.options import SessionOptions
from lang2segtrack_ros.session.stages.apply_prompts import apply_prompts
from lang2segtrack_ros.session.stages.associate import associate
from lang2segtrack_ros.session.stages.finish import finish
from lang2segtrack_ros.session.stages.resolve_crossings import resolve_crossings
from lang2segtrack_ros.session.stages.sam3_association import associate_sam3
from lang2segtrack_ros.session.stages.sam3_overlaps import resolve_overlaps
from lang2segtrack_ros.session.stages.verify import verify
from lang2segtrack_ros.session.state import SessionState
from lang2segtrack_ros.tracking.open_frame import ImageInfo, OpenFrame
from lang2segtrack_ros.tracking.tracker import FrameUpdate, Tracker
from lang2segtrack_ros.types.frame import Frame
from lang2segtrack_ros.types.prompt_handle import PromptStatus
from lang2segtrack_ros.types.prompts import ExemplarPrompt, TextPrompt
from lang2segtrack_ros.types.results import FrameResult, Track

Stage = Callable[[SessionState, FrameContext], "tuple[SessionState, list[Action]]"]


@dataclass(frozen=True, eq=False)
class Engine:
    """The parts of a session that a frame only reads.

    Attributes:
        tracker: tracker with the memories of the objects.
        detector: detector for text prompts. None refuses them.
        options: options of the session.
        detects_inline: True runs the detector inside the frame, False only makes requests.
        detector_idle: True if the detector takes a request.
        allows_new: False if detections start no objects.
        finder: matcher for exemplar prompts. None refuses them.
        resolver_idle: True if the resolver of instructions takes a request.
    """

    tracker: Tracker
    detector: Detector | None
    options: SessionOptions
    detects_inline: bool
    detector_idle: bool
    allows_new: bool = True
    finder: ExemplarFinder | None = None
    resolver_idle: bool = False


@dataclass(frozen=True, eq=False)
class ComputedFrame:
    """A frame that is computed and not yet written.

    Attributes:
        state: state of the session after the frame.
        update: memories of the tracker after the frame.
        result: the result.
        features: the encoded image. None if no object, prompt or detection needed it.
        request: request for the detector thread. None if no detection is due.
        detection: result of a detection inside the frame. None without one.
        suspended: the tracks that the verification has hidden on this frame, with their masks.
        instruction: request for the resolver of instructions. None if none is due.
    """

    state: SessionState
    update: FrameUpdate
    result: FrameResult
    features: ImageFeatures | None
    request: DetectionRequest | None
    detection: DetectionResult | None
    suspended: tuple[Track, ...] = ()
    instruction: InstructionRequest | None = None


def compute_frame(
    state: SessionState, engine: Engine, frame: Frame, features: ImageFeatures | None = None, start: Stage | None = None
) -> ComputedFrame:
    """Compute a frame. Nothing changes except in the returned value.

    Args:
        state: state of the session before the frame.
        engine: tracker, detector and options.
        frame: the frame.
        features: the encoded image. None encodes it, if an object, a prompt or a detection needs it.
        start: a further stage that starts objects before the prompts. None for none.
    """
    tracker, index = engine.tracker, state.frame_index
    is_asked = engine.resolver_idle and is_due(state, engine.options.verify_every_s)
    late = CaughtUp(state, tracker, engine.options)
    state = late.state
    image = ImageInfo(lambda: tracker.encode(frame) if features is None else features, frame.height, frame.width, index)
    if state.last is None:
        _ = image.features  # the first run of a network is slow, and the first prompt must not wait for it
    opened = tracker.open(image, late.rows)
    if state.pending is not None:
        state = replace(state, pending=state.pending.with_frame(_cached(image)))
    if (resolving := state.instructions.pending) is not None:
        state = replace(state, instructions=replace(state.instructions, pending=resolving.with_frame(_cached(image))))
    elapsed_ns = step_ns(state.last.stamp_ns, frame.stamp_ns) if state.last is not None else 0
    tracks = tuple(opened.tracks(state.labels))
    context = FrameContext(index, frame.color, elapsed_ns, tracks, engine.options, opened, allows_new=engine.allows_new)
    run = _Stages(state, context, opened, set(late.removed), set(late.started))
    run.stage(verify)
    suspended = tuple(context.visible[key] for key in sorted({*context.visible} - {*run.context.visible}))
    if start is not None:
        run.stage(start)
    run.stage(apply_prompts)
    run.state, request = _next_request(run.state, engine, frame)
    detection = run_detection(engine.detector, request, engine.finder) if request is not None and engine.detects_inline else None
    if detection is not None and detection.error is None:
        run.context = replace(run.context, detection=detection)
    run.identify()
    arrived = len(detection.detections) if detection is not None and detection.error is None else late.detections
    state, result = finish(run.state, run.context, run.removed, run.started, frame.stamp_ns, arrived)
    update = tracker.compute(opened, {*opened.ids} - {*state.tracks})
    if request is not None and detection is None:
        tracks = tuple(track for track in result.tracks if track.id in opened.ids)
        state = replace(state, pending=PendingDetection(request, tracks, (_cached(image),)))
    request = request if detection is None else None
    state = replace(state, instructions=state.instructions.after_frame(elapsed_ns))
    instruction = None
    if is_asked:
        state, instruction = next_request(state, frame, result, _cached(image), engine.options)
    return ComputedFrame(state, update, result, image.features_in_use, request, detection, suspended, instruction)


def _cached(image: ImageInfo) -> CachedFrame:
    return CachedFrame(image.index, image.features.retained(), image.height, image.width)


@dataclass
class _Stages:
    """The stages of one frame, up to the present one.

    Attributes:
        state: the state after the stages.
        context: view of the frame after the stages.
        opened: the open frame, on which the actions are carried out.
        removed: ids of objects that an action ends.
        started: ids of objects that a detection started.
    """

    state: SessionState
    context: FrameContext
    opened: OpenFrame
    removed: set[int]
    started: set[int]

    def stage(self, stage: Stage) -> None:
        """Run one stage and carry out its actions."""
        self.state, actions = stage(self.state, self.context)
        if not actions:
            return
        self.removed |= apply_actions(self.opened, actions)
        changed = {action.track_id for action in actions if isinstance(action, (Spawn, Correct))}
        if stage not in (associate, associate_sam3, resolve_crossings):
            self.context = replace(self.context, prompted=self.context.prompted | changed)
        else:
            self.started |= {action.track_id for action in actions if isinstance(action, Spawn)}
        self.context = replace(self.context, tracks=tuple(self.opened.tracks(self.state.labels)))

    def identify(self) -> None:
        """Run the stages of association and overlaps with the rules of the option `association`."""
        if self.context.options.association == "standard":
            self.stage(associate)
            self.stage(resolve_crossings)
            return
        self.stage(associate_sam3)
        self.state, tracks = resolve_overlaps(self.state, self.context.tracks, self.opened, self.removed)
        self.context = replace(self.context, tracks=tracks)


def _next_request(state: SessionState, engine: Engine, frame: Frame) -> tuple[SessionState, DetectionRequest | None]:
    """Return the detection request that is due on this frame, and the state in which its prompts are DETECTING."""
    schedule = state.schedule.after_frame()
    state = replace(state, schedule=schedule)
    detector, matcher = engine.detector, engine.finder.matcher if engine.finder is not None else None
    if not engine.detector_idle or state.pending is not None:
        return state, None
    queued = {entry.handle: entry.prompt for entry in state.prompts.with_status(PromptStatus.QUEUED)}
    waiting = {handle: prompt for handle, prompt in queued.items() if isinstance(prompt, (TextPrompt, ExemplarPrompt))}
    interval, unconfirmed = engine.options.detect_every, unconfirmed_labels(state.tracks)
    schedule, query = schedule.next_query(detector, waiting, interval, unconfirmed, matcher)
    if query is None:
        return state, None
    prompts = state.prompts.marked(query.handles, PromptStatus.DETECTING)
    request = DetectionRequest(
        state.frame_index,
        frame.color,
        tuple(query.thresholds),
        tuple(query.thresholds.values()),
        detector.default_threshold if detector is not None else 1.0,
        tuple(query.exemplars),
        tuple(query.exemplars.values()),
        matcher.default_exemplar_threshold if matcher is not None else 1.0,
    )
    return replace(state, schedule=schedule, prompts=prompts), request
