# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The action `track_object` on a real graph, as a behavior tree uses it: success, feedback, cancel, timeout, several goals, removal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from rclpy.action import ActionClient
from std_srvs.srv import Trigger

from lang2segtrack.action import TrackObject
from lang2segtrack.srv import AddBoxPrompt, ListTracks, RemoveTextPrompt
from lang2segtrack_ros.toyworld.graph import Processes, executable, isolated_environment
from lang2segtrack_ros.toyworld.scene import SceneFrame
from test.conftest import body_box
from test.ros.nodes.node_tester import TOY, NodeTester
from test.ros.outputs.planner_tester import PlannerTester
from test.ros.outputs.test_spatial_outputs import DISTANCE, truth

SUCCEEDED, CANCELED, ABORTED = 4, 5, 6
Result = TrackObject.Result


class GoalTester(PlannerTester):
    """Node tester with a client of the action."""

    def __init__(self, domain: int) -> None:
        super().__init__(domain)
        self.client = ActionClient(self.node, TrackObject, "track_object")
        self.feedback: list[Any] = []

    def send(self, text: str, **fields: Any) -> Any:
        """Send a goal, and return its handle."""
        assert self.spin(30.0, self.client.server_is_ready)
        goal = TrackObject.Goal(text=text, **fields)
        future = self.client.send_goal_async(goal, feedback_callback=lambda message: self.feedback.append(message.feedback))
        assert self.spin(20.0, future.done)
        assert future.result().accepted
        return future.result()

    def finish(self, goal: Any, frames: list[SceneFrame], with_depth: bool = False) -> Any:
        """Show images until a goal ends. Return its status and its result."""
        future = goal.get_result_async()
        for frame in frames:
            if future.done():
                break
            self.show(frame.color)
            if with_depth:
                self.show_depth(frame)
            self.spin(0.15, future.done)
        assert self.spin(15.0, future.done), "the goal did not end"
        return future.result().status, future.result().result

    def prompts(self) -> list[int]:
        return [item.prompt_id for item in self.call(ListTracks, "list_tracks").text_prompts]


@pytest.fixture(scope="module")
def tester(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GoalTester]:
    logs = tmp_path_factory.mktemp("logs")
    with isolated_environment() as environment, Processes(environment, logs) as processes:
        processes.start("track_node", [*executable("track_node"), "--ros-args", *TOY, "-p", "background_detector:=false"])
        tester = GoalTester(int(environment["ROS_DOMAIN_ID"]))
        tester.call(Trigger, "reset", timeout=120.0)
        yield tester
        tester.close()
        processes.check()
        assert "Traceback" not in processes.log("track_node")


@pytest.fixture(autouse=True)
def fresh(tester: GoalTester, frames: list[SceneFrame]) -> None:
    tester.call(Trigger, "reset")
    tester.step(frames[0])
    for messages in tester.received.values():
        messages.clear()
    tester.feedback.clear()


def test_goal_succeeds_when_its_object_is_confirmed(tester: GoalTester, frames: list[SceneFrame]) -> None:
    """Without a depth image the result has no pose, and says so. The prompt of the goal ends, its track stays."""
    status, result = tester.finish(tester.send("red circle."), frames * 2)
    assert (status, result.error_code, result.label, result.has_pose) == (SUCCEEDED, Result.NONE, "red circle", False)
    tracks = tester.step(frames[20]).tracks
    assert [track.label for track in tracks if track.id == result.track_id] == ["red circle"]
    assert tester.spin(5.0, lambda: tester.prompts() == [])
    order = [("searching", "tentative", "measuring").index(item.state) for item in tester.feedback]
    assert order == sorted(order)
    assert (tester.feedback[-1].state, tester.feedback[-1].track_id) == ("measuring", result.track_id)


def test_result_has_the_pose_and_target_pose_follows(tester: GoalTester, frames: list[SceneFrame]) -> None:
    """With depth, the goal ends with the pose of its object. With set_target, target_pose goes on from there."""
    status, result = tester.finish(tester.send("red circle.", set_target=True, keep_prompt=True), frames[:1] * 60, with_depth=True)
    assert (status, result.has_pose) == (SUCCEEDED, True)
    at = result.pose.pose.position
    center, _ = truth(frames[0], 1)
    assert np.linalg.norm(np.array([at.x, at.y, at.z]) - center) < 0.02 * DISTANCE[1]
    assert tester.prompts() == [result.prompt_id]
    tester.listen("target_pose")
    pose = tester.show_all(frames[0], "target_pose", with_transform=False)
    assert pose.pose.position.z == pytest.approx(at.z, abs=0.02)
    tester.ignore("target_pose")


def test_tracked_object_succeeds_at_once(tester: GoalTester, frames: list[SceneFrame]) -> None:
    """A behavior tree may ask again for an object that is tracked already: the answer is the same track, not a second one."""
    x1, y1, x2, y2 = body_box(frames[0], 1)
    answer = tester.while_showing(frames[:1] * 9, AddBoxPrompt, "add_box_prompt", x_min=x1, y_min=y1, x_max=x2, y_max=y2, label="my circle")
    status, result = tester.finish(tester.send("My  circle."), frames[:1] * 20)
    assert (status, result.track_id) == (SUCCEEDED, answer.track_ids[0])


def test_absent_object_ends_in_time(tester: GoalTester, frames: list[SceneFrame]) -> None:
    """There is no green square. The goal aborts after its time limit, with images and also without."""
    status, result = tester.finish(tester.send("green square.", timeout_s=1.5), frames[:1] * 60)
    assert (status, result.error_code, result.track_id) == (ABORTED, Result.TIMEOUT, 0)
    assert {(item.state, item.track_id) for item in tester.feedback} == {("searching", 0)}
    assert 'no track of "green square." was confirmed within 1.5 s' in result.error_msg
    status, result = tester.finish(tester.send("red circle.", timeout_s=1.0), [])
    assert (status, result.error_code) == (ABORTED, Result.TIMEOUT)


def test_goal_can_be_canceled(tester: GoalTester, frames: list[SceneFrame]) -> None:
    """A halted branch of a behavior tree cancels its goal, also while no image arrives. Its prompt is removed."""
    goal = tester.send("green square.")
    tester.step(frames[0])
    assert tester.prompts()
    canceled = goal.cancel_goal_async()
    assert tester.spin(10.0, canceled.done)
    status, _ = tester.finish(goal, [])
    assert status == CANCELED
    assert tester.spin(5.0, lambda: tester.prompts() == [])


def test_goals_run_side_by_side(tester: GoalTester, frames: list[SceneFrame]) -> None:
    """One goal that waits for an absent object must not stop another."""
    waiting = tester.send("green square.")
    goals = [tester.send("red circle."), tester.send("blue star.")]
    results = [tester.finish(goal, frames * 2) for goal in goals]
    assert [(status, result.label) for status, result in results] == [(SUCCEEDED, "red circle"), (SUCCEEDED, "blue star")]
    assert results[0][1].track_id != results[1][1].track_id
    waiting.cancel_goal_async()
    assert tester.finish(waiting, frames)[0] == CANCELED


@pytest.mark.parametrize("by", ["reset", "remove_text_prompt"])
def test_removal_ends_the_goal(tester: GoalTester, frames: list[SceneFrame], by: str) -> None:
    """Nobody looks for the object any more, so waiting for it would last for ever."""
    goal = tester.send("green square.")
    tester.step(frames[0])
    if by == "reset":
        tester.call(Trigger, "reset")
    else:
        (number,) = tester.prompts()
        assert tester.call(RemoveTextPrompt, "remove_text_prompt", prompt_id=number).success
    status, result = tester.finish(goal, frames[:1] * 20)
    assert (status, result.error_code) == (ABORTED, Result.PROMPT_REMOVED)
    assert "send the goal again" in result.error_msg


@pytest.mark.parametrize(
    ("fields", "words"),
    [({"text": "..."}, "names no object"), ({"text": "mug.", "threshold": 2.0}, "threshold is")],
    ids=["text", "threshold"],
)
def test_bad_goal_is_refused(tester: GoalTester, fields: dict[str, Any], words: str) -> None:
    status, result = tester.finish(tester.send(**fields), [])
    assert (status, result.error_code) == (ABORTED, Result.REFUSED)
    assert words in result.error_msg


def test_ended_goals_are_counted(tester: NodeTester) -> None:
    """Must run last. Diagnostics show how many goals run, and how they ended."""
    assert tester.diagnostics("goals_running") == "0"
    assert int(tester.diagnostics("goals_succeeded")) >= 5
    assert int(tester.diagnostics("goals_canceled")) >= 2
    assert int(tester.diagnostics("goals_aborted")) >= 4
