# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""`track_object` and `set_target`: an action that ends when an object is tracked, and the choice of the track of `target_pose`.

Each goal has a text prompt of its own. Goals run side by side, between the images of the stream.
"""

from __future__ import annotations

import concurrent.futures
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from geometry_msgs.msg import PoseStamped
from rclpy.action import ActionServer, CancelResponse, GoalResponse
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.node import Node

from lang2segtrack.action import TrackObject
from lang2segtrack.srv import SetTarget
from lang2segtrack_ros.io.image_messages import stamp_ns
from lang2segtrack_ros.ros.services.service_base import ServiceBase, ServiceNode, track_name
from lang2segtrack_ros.ros.support.interfaces import SET_TARGET, TARGET_POSE, TRACK_OBJECT
from lang2segtrack_ros.session.engine_thread import EngineThread
from lang2segtrack_ros.session.session import Session
from lang2segtrack_ros.types.prompt_handle import PromptHandle
from lang2segtrack_ros.types.prompts import PromptError, TextPrompt, plain_name
from lang2segtrack_ros.types.results import FrameResult, Track, TrackStatus

MAX_GOALS = 16
"""Further goals are rejected."""
POLL_S = 0.25
"""Without images, goals look this often for a cancel request and for their time limit. The node's watchdog rounds it up to 0.5 s."""
POSE_WAIT_S = 1.0
"""Maximum time in seconds from the confirmation of a track to its pose. Then the goal succeeds without a pose."""
FEEDBACK_S = 0.1
"""Minimum period of the feedback of a goal."""
Result = TrackObject.Result
SEARCHING, TENTATIVE, MEASURING = "searching", "tentative", "measuring"


class PoseOutputs(Protocol):
    """The attributes of the planner outputs that goals use; see `PlannerOutputs`."""

    target: int
    wanted: frozenset[int]
    poses: dict[int, PoseStamped]


class GoalOutputs(Protocol):
    """The attributes of a node's outputs that goals use."""

    @property
    def planner(self) -> PoseOutputs:
        """Planner outputs."""
        ...

    @property
    def has_depth(self) -> bool:
        """True if depth is subscribed."""
        ...


@dataclass
class _Goal:
    """A running goal.

    Attributes:
        request: the goal as it was sent.
        prompt: its text prompt.
        handle: the prompt in the session.
        started: time.monotonic at its start.
        first_result: number of the first result that counts for it.
        found: the confirmed track, None before.
        found_at: time.monotonic of the confirmation.
        found_ns: stamp of the image that showed the confirmed track.
        feedback_at: time.monotonic of the last feedback.
    """

    request: Any
    prompt: TextPrompt
    handle: PromptHandle
    first_result: int
    started: float = field(default_factory=time.monotonic)
    found: Track | None = None
    found_at: float = 0.0
    found_ns: int = 0
    feedback_at: float = 0.0


class TrackingGoals:
    """The action `track_object` and the service `set_target`.

    Args:
        node: node that owns them.
        host: the same node, as the services see it.
        services: services of the node.
        outputs: returns the outputs of the configured node, otherwise None.

    Attributes:
        ended: number of ended goals by outcome, for diagnostics.
    """

    def __init__(self, node: Node, host: ServiceNode, services: ServiceBase, outputs: Callable[[], GoalOutputs | None]) -> None:
        self._host, self._services, self._outputs = host, services, outputs
        self._log = node.get_logger()
        self._last: FrameResult | None = None
        self._results = 0
        self._changed: concurrent.futures.Future[None] = concurrent.futures.Future()
        self._running: list[_Goal] = []
        self._accepted = 0
        self.ended: dict[str, int] = {}
        services.offer(SET_TARGET, self._set_target)
        self._action: Any = ActionServer(
            node,
            TRACK_OBJECT.kind,
            TRACK_OBJECT.name,
            self._execute,
            callback_group=ReentrantCallbackGroup(),
            goal_callback=self._on_goal,
            cancel_callback=lambda _: CancelResponse.ACCEPT,
        )

    @property
    def metrics(self) -> dict[str, object]:
        """Number of running and ended goals, for diagnostics."""
        return {"goals_running": self._accepted, **{f"goals_{outcome}": count for outcome, count in sorted(self.ended.items())}}

    def update(self, result: FrameResult) -> None:
        """Show a result to the running goals. May be called from any thread."""
        if self._accepted:
            self._last, self._results = result, self._results + 1
            changed, self._changed = self._changed, concurrent.futures.Future()
            changed.set_result(None)

    def close(self) -> None:
        """Destroy the action server."""
        self._action.destroy()

    # set_target

    async def _set_target(self, request: SetTarget.Request, response: SetTarget.Response) -> Any:
        track_id = int(request.track_id)

        def choose(session: Session) -> str:
            track = session.state.tracks.get(track_id)
            if track_id and track is None:
                known = ", ".join(str(number) for number in session.state.tracks) or "none"
                raise PromptError(f"there is no track {track_id}: choose one of list_tracks (now {known})")
            self._choose(track_id)
            return f"{TARGET_POSE.name} follows {track_name(track_id, track.label)}" if track is not None else "there is no target now"

        return await self._services.call(response, choose)

    def _choose(self, track_id: int) -> None:
        outputs = self._outputs()
        if outputs is not None:
            outputs.planner.target = track_id

    # track_object

    def _on_goal(self, _: Any) -> GoalResponse:
        if self._accepted >= MAX_GOALS:
            self._log.warning(f"{TRACK_OBJECT.name}: rejected a goal, because {MAX_GOALS} goals are running: cancel one, or wait")
            self._count("rejected")
            return GoalResponse.REJECT
        self._accepted += 1
        return GoalResponse.ACCEPT

    def _count(self, outcome: str) -> None:
        self.ended[outcome] = self.ended.get(outcome, 0) + 1

    async def _execute(self, server_goal: Any) -> Any:
        result = Result()
        try:
            result = await self._run(server_goal)
            if result is None:
                result = Result(error_msg="canceled")
                server_goal.canceled()
                self._count("canceled")
            elif result.error_code == Result.NONE:
                server_goal.succeed()
                self._count("succeeded")
            else:
                server_goal.abort()
                self._count("aborted")
        finally:
            self._accepted -= 1
        self._log.info(
            f'{TRACK_OBJECT.name} "{server_goal.request.text}": {result.error_msg or f"track {result.track_id} ({result.label})"}'
        )
        return result

    async def _run(self, server_goal: Any) -> Any:
        """Return the result of a goal. None if it was canceled."""
        engine, request = self._host.engine, server_goal.request
        if engine is None:
            return Result(error_code=Result.NOT_READY, error_msg=self._host.explain_no_engine())
        try:
            prompt = TextPrompt(request.text, "continuous", float(request.threshold) or self._host.detection_threshold or None)
            accepted = engine.call(lambda session: session.prompt(prompt, log_outcome=False))
            await self._services.finished(accepted, float("inf"))
            handle = accepted.result()
        except (PromptError, RuntimeError) as error:
            return Result(error_code=Result.REFUSED, error_msg=str(error))
        goal = _Goal(request, prompt, handle, self._results + 1)
        self._running.append(goal)
        keeps_prompt = False
        try:
            result = await self._seek(goal, server_goal, engine)
            keeps_prompt = result is not None and result.error_code == Result.NONE and bool(request.keep_prompt)
            if keeps_prompt:
                result.prompt_id = handle.prompt_id
            return result
        finally:
            self._running.remove(goal)
            self._measure_found()
            if not keeps_prompt:
                engine.call(lambda session: _remove_prompt(session, goal))

    async def _seek(self, goal: _Goal, server_goal: Any, engine: EngineThread[Any]) -> Any:
        while True:
            changed = self._changed  # before the result is read, so that no result is missed
            if server_goal.is_cancel_requested:
                return None
            problem = await self._problem(goal, engine)
            if problem is not None:
                return problem
            candidate = self._candidate(goal)
            if goal.found is None and candidate is not None and _is_confirmed(candidate) and self._last is not None:
                goal.found, goal.found_at, goal.found_ns = candidate, time.monotonic(), self._last.stamp_ns
                self._measure_found()
            pose = self._pose(goal)
            if goal.found is not None and (pose is not None or not self._may_get_pose(goal)):
                if goal.request.set_target:
                    self._choose(goal.found.id)
                return _success(goal.found, pose)
            elapsed_s = time.monotonic() - goal.started
            if 0 < goal.request.timeout_s < elapsed_s:
                sentence = f'no track of "{goal.request.text}" was confirmed within {goal.request.timeout_s:g} s'
                return Result(
                    error_code=Result.TIMEOUT, error_msg=f"{sentence}: {self._host.explain_waiting()}" if not self._last else sentence
                )
            self._feed_back(goal, server_goal, candidate, elapsed_s)
            await self._services.finished(changed, POLL_S)

    async def _problem(self, goal: _Goal, engine: EngineThread[Any]) -> Any:
        """Return the result of a goal that cannot succeed any more, otherwise None."""
        if self._host.engine is not engine:
            return Result(error_code=Result.NOT_READY, error_msg=self._host.explain_no_engine())
        if goal.handle.done and goal.handle.error:
            return Result(error_code=Result.REFUSED, error_msg=goal.handle.error)
        check = engine.call(
            lambda session: (
                session.continuous_prompts.get(goal.handle.prompt_id) is goal.prompt,
                goal.found is None or goal.found.id in session.state.tracks,
            )
        )
        await self._services.finished(check, float("inf"))
        if check.exception() is not None:
            return Result(error_code=Result.NOT_READY, error_msg=str(check.exception()))
        has_prompt, has_track = check.result()
        if not has_track and goal.found is not None:
            name = track_name(goal.found.id, goal.found.label)
            return Result(error_code=Result.TRACK_REMOVED, error_msg=f"{name} was removed: send the goal again")
        if not has_prompt:
            sentence = "remove_text_prompt or reset removed the text prompt of this goal: send the goal again"
            return Result(error_code=Result.PROMPT_REMOVED, error_msg=sentence)
        return None

    def _candidate(self, goal: _Goal) -> Track | None:
        """Return the track of the last image that fits a goal best: a confirmed one before others, then the one with the highest score."""
        result = self._last
        if result is None or self._results < goal.first_result:
            return None
        names, ids = {plain_name(phrase) for phrase in goal.prompt.phrases}, set(goal.handle.track_ids)
        if goal.found is not None:
            names, ids = set(), {goal.found.id}
        fitting = [track for track in result.tracks if track.id in ids or plain_name(track.label) in names]
        present = [track for track in fitting if track.state is not TrackStatus.REMOVED]
        return max(present, key=lambda track: (_is_confirmed(track), track.score), default=None)

    def _measure_found(self) -> None:
        """Let the outputs measure the poses of the confirmed tracks of all goals."""
        outputs = self._outputs()
        if outputs is not None:
            outputs.planner.wanted = frozenset(goal.found.id for goal in self._running if goal.found is not None)

    def _may_get_pose(self, goal: _Goal) -> bool:
        outputs = self._outputs()
        return outputs is not None and outputs.has_depth and time.monotonic() - goal.found_at < POSE_WAIT_S

    def _pose(self, goal: _Goal) -> PoseStamped | None:
        """Return the pose of the confirmed track, on the image of its confirmation or later."""
        outputs = self._outputs()
        if goal.found is None or outputs is None:
            return None
        pose = outputs.planner.poses.get(goal.found.id)
        return pose if pose is not None and stamp_ns(pose.header.stamp) >= goal.found_ns else None

    def _feed_back(self, goal: _Goal, server_goal: Any, candidate: Track | None, elapsed_s: float) -> None:
        if time.monotonic() - goal.feedback_at < FEEDBACK_S:
            return
        goal.feedback_at = time.monotonic()
        state = MEASURING if goal.found is not None else TENTATIVE if candidate is not None else SEARCHING
        feedback = TrackObject.Feedback(state=state, elapsed_s=elapsed_s)
        if candidate is not None:
            feedback.track_id, feedback.label = candidate.id, candidate.label
            outputs = self._outputs()
            pose = outputs.planner.poses.get(candidate.id) if outputs is not None else None
            if pose is not None:
                feedback.has_pose, feedback.pose = True, pose
        server_goal.publish_feedback(feedback)


def _is_confirmed(track: Track) -> bool:
    return track.state is TrackStatus.TRACKED and track.box is not None


def _success(track: Track, pose: PoseStamped | None) -> Any:
    result = Result(track_id=track.id, label=track.label, score=track.score, has_pose=pose is not None)
    if pose is not None:
        result.pose = pose
    return result


def _remove_prompt(session: Session, goal: _Goal) -> None:
    if session.continuous_prompts.get(goal.handle.prompt_id) is goal.prompt:  # a reset may have given its id to another prompt
        session.remove_text(goal.handle.prompt_id)
