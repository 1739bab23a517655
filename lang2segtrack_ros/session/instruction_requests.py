# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The resolver of a session: its threads, its results and its failures."""

from __future__ import annotations

import logging
import threading
import time
from concurrent.futures import Future
from dataclasses import replace

from lang2segtrack_ros.detection.detector import Detection
from lang2segtrack_ros.detection.instruction_resolver import InstructionRequest, InstructionResolver, InstructionResult
from lang2segtrack_ros.detection.pending_detection import CachedFrame, PendingInstruction
from lang2segtrack_ros.runtime.metrics import Durations
from lang2segtrack_ros.session.options import SessionOptions
from lang2segtrack_ros.session.prompt_queue import MAX_ATTEMPTS
from lang2segtrack_ros.session.state import SessionState
from lang2segtrack_ros.types.checks import describe
from lang2segtrack_ros.types.events import EventKind
from lang2segtrack_ros.types.frame import Frame
from lang2segtrack_ros.types.instruction import InstructionPrompt
from lang2segtrack_ros.types.prompt_handle import PromptHandle, PromptOutcome, PromptStatus
from lang2segtrack_ros.types.prompts import PromptError
from lang2segtrack_ros.types.results import FrameResult

log = logging.getLogger(__name__)
_JOIN_S = 10.0


class InstructionRequests:
    """The resolver and its counters. A request runs on a thread of its own, or between two frames.

    Args:
        resolver: the resolver. None refuses instructions.
        background: True runs requests on threads.

    Attributes:
        resolver: the resolver.
        answered: number of answers.
        failed: number of requests without an answer.
        last_error: message of the latest failure that was no fault of the instruction. Empty without one.
        durations: times for the answers.
    """

    def __init__(self, resolver: InstructionResolver | None, background: bool) -> None:
        self.resolver = resolver
        self.answered = 0
        self.failed = 0
        self.last_error = ""
        self.durations = Durations()
        self._background = background
        self._thread: threading.Thread | None = None
        self._result: Future[InstructionResult] | None = None

    @property
    def is_idle(self) -> bool:
        """Return True if the resolver takes a request."""
        return self.resolver is not None and self._result is None

    @property
    def metrics(self) -> dict[str, object]:
        """Return the counters by name, for diagnostics. Empty without a resolver or a request."""
        if self.resolver is None or not (self.answered or self.failed or self._result is not None):
            return {}
        return {
            "instructions_answered": self.answered,
            "instructions_failed": self.failed,
            **self.durations.metrics("instruction"),
            **self.resolver.metrics(),
        }

    def close(self) -> None:
        """End the request in progress."""
        if self.resolver is not None:
            self.resolver.close()
        if self._thread is not None:
            self._thread.join(_JOIN_S)

    def submit(self, request: InstructionRequest | None) -> None:
        """Start a request, if there is one. The resolver must be idle."""
        if request is None:
            return
        assert self._result is None
        self._result = Future()
        if not self._background:
            self._run(request, self._result)
            return
        self._thread = threading.Thread(target=self._run, args=(request, self._result), name="lang2segtrack-instruction", daemon=True)
        self._thread.start()

    def receive(self, state: SessionState) -> SessionState:
        """Return the state with the result of the resolver, if one has arrived."""
        if self._result is None or not self._result.done():
            return state
        result, self._result = self._result.result(), None
        self.durations.add(result.seconds)
        pending = state.instructions.pending
        self.answered, self.failed = self.answered + (result.error is None), self.failed + (result.error is not None)
        if result.error is not None and not isinstance(result.error, PromptError):
            last_error = f"instructions: {_explain(result.error)}"
            if last_error != self.last_error:  # a server that always fails would fill the log
                log.warning(last_error)
            self.last_error = last_error
        if pending is None or pending.request is not result.request:  # the session has dropped it
            return state
        if result.error is None:
            return replace(state, instructions=replace(state.instructions, pending=replace(pending, result=result)))
        return without_answer(state, _explain(result.error))

    def count_failure(self, state: SessionState, error: Exception) -> SessionState:
        """Count a failed frame for the result, because it may be the cause.

        Args:
            state: the state before the frame.
            error: the exception.
        """
        pending = state.instructions.pending
        if pending is None or pending.result is None:
            return state
        if pending.failures + 1 >= MAX_ATTEMPTS:
            return without_answer(state, f"the answer could not be applied to {MAX_ATTEMPTS} images, the last time: {_explain(error)}")
        return replace(state, instructions=replace(state.instructions, pending=replace(pending, failures=pending.failures + 1)))

    def _run(self, request: InstructionRequest, future: Future[InstructionResult]) -> None:
        assert self.resolver is not None
        started = time.perf_counter()
        try:
            result = checked(self.resolver.resolve(request), request)
        except Exception as error:  # a failed instruction must leave the stream running; the session reports the error
            result = InstructionResult(request, error=error)
        future.set_result(replace(result, seconds=time.perf_counter() - started))


def checked(result: object, request: InstructionRequest) -> InstructionResult:
    """Return the result of a resolver. Raise TypeError if it is no result for the request; a plug-in may return anything."""
    if not isinstance(result, InstructionResult) or result.request is not request:
        raise TypeError(f"the resolver returned {describe(result)}: it must return an InstructionResult for the request")
    if len(result.reasons) != len(result.detections) or not all(isinstance(item, Detection) for item in result.detections):
        raise TypeError("the resolver must return a list of Detection, and one reason for each")
    return result


def without_answer(state: SessionState, error: str) -> SessionState:
    """Return the state after a request without an answer. An instruction that is answered once has failed.

    Args:
        state: the state with the request.
        error: sentence for the user.
    """
    instructions = state.instructions
    pending, handle = instructions.pending, instructions.handle
    assert pending is not None
    prompt = pending.request.prompt
    if handle is not None:
        again = f"not answered, and asked again later: {error}"
        outcome = PromptOutcome(notes=(again,)) if prompt.mode == "continuous" else PromptOutcome(error=error)
        state = replace(state, prompts=state.prompts.applied({handle: outcome}))
    return replace(state, instructions=instructions.reporting(prompt, EventKind.FAILED, error).without_request())


def is_due(state: SessionState, verify_every_s: float) -> bool:
    """Return True if an instruction waits for its first request, or for its next check, and none is in progress.

    Args:
        state: the state.
        verify_every_s: time between two checks in seconds, for instructions without an interval of their own.
    """
    instructions = state.instructions
    return instructions.pending is None and (_waiting(state) is not None or instructions.due(verify_every_s) is not None)


def next_request(
    state: SessionState, frame: Frame, result: FrameResult, image: CachedFrame, options: SessionOptions
) -> tuple[SessionState, InstructionRequest]:
    """Return the instruction request that is due on a frame, and the state in which it is pending. New instructions come first.

    Args:
        state: the state after the frame, for which `is_due` holds.
        frame: the frame.
        result: its result.
        image: the encoded image.
        options: options of the session.
    """
    instructions = state.instructions
    handle, prompt_id = _waiting(state), instructions.due(options.verify_every_s)
    if handle is not None:
        prompt_id = handle.prompt_id
        state = replace(state, prompts=state.prompts.marked({handle}, PromptStatus.RESOLVING))
    assert prompt_id is not None
    active = instructions.active.get(prompt_id)
    if active is not None:
        instructions = instructions.updated(prompt_id, replace(active, unchecked_ns=0))
    prompt = handle.prompt if handle is not None else active.prompt if active is not None else None
    assert isinstance(prompt, InstructionPrompt)
    tracks = tuple(track for track in result.tracks if track.id in state.tracks)
    has_depth = frame.depth is not None and frame.depth.shape == frame.color.shape[:2]
    request = InstructionRequest(
        result.index,
        frame.color,
        prompt,
        tuple(track for track in tracks if track.box is not None),
        active.chosen & state.tracks.keys() if active is not None else frozenset(),
        frame.depth if has_depth else None,
        frame.camera,
        options.max_objects,
    )
    instructions = replace(instructions, pending=PendingInstruction(request, tracks, (image,)), handle=handle, prompt_id=prompt_id)
    return replace(state, instructions=instructions), request


def _waiting(state: SessionState) -> PromptHandle | None:
    """Return the instruction that has waited longest for its first answer."""
    queued = state.prompts.with_status(PromptStatus.QUEUED)
    return next((entry.handle for entry in queued if isinstance(entry.prompt, InstructionPrompt)), None)


def _explain(error: Exception) -> str:
    """Return the sentence of an error of this package or of the system, or type and message of another one."""
    has_sentence = type(error).__module__.startswith(__package__.split(".")[0]) or isinstance(error, OSError)
    return str(error) if has_sentence and str(error) else f"{type(error).__name__}: {error}"
