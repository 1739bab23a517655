# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""`refine_backward` on a real ROS graph: an object that is prompted late gets its whole trace while the stream continues."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from rclpy.action import ActionClient
from rclpy.qos import QoSProfile
from std_srvs.srv import Trigger

from lang2segtrack.action import RefineBackward as RefineBackwardAction
from lang2segtrack.msg import TrackArray
from lang2segtrack.srv import AddBoxPrompt, RefineBackward
from lang2segtrack_ros.io.image_messages import stamp_ns
from lang2segtrack_ros.toyworld.graph import Processes, executable, isolated_environment
from lang2segtrack_ros.toyworld.scene import SceneFrame
from lang2segtrack_ros.types.rle import Rle
from test.conftest import body_box, iou
from test.ros.nodes.node_tester import TOY, NodeTester

SUCCEEDED, ABORTED, CANCELED = 4, 6, 5
LATE = 25
"""Index of the image with the prompt."""


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("saved")


@pytest.fixture(scope="module")
def tester(saved: Path) -> Iterator[NodeTester]:
    with isolated_environment() as environment, Processes(environment, saved / "logs") as processes:
        options = ["-p", "detector:=''", "-p", f"save_folder:={saved}", "-p", "history_s:=20.0", "-p", "history_while_idle:=true"]
        processes.start("track_node", [*executable("track_node"), "--ros-args", *TOY, *options])
        tester = NodeTester(int(environment["ROS_DOMAIN_ID"]))
        tester.received["tracks_refined"] = []
        tester.node.create_subscription(TrackArray, "tracks_refined", tester.received["tracks_refined"].append, QoSProfile(depth=1000))
        try:
            yield tester
        finally:
            tester.close()


@pytest.fixture
def shown(tester: NodeTester, frames: list[SceneFrame]) -> dict[int, SceneFrame]:
    """Show 30 images with a prompt for the circle on the 26th. Return the frames by stamp."""
    tester.call(Trigger, "reset")
    for messages in tester.received.values():
        messages.clear()
    by_stamp: dict[int, SceneFrame] = {}
    for index in range(30):
        if index == LATE:
            x1, y1, x2, y2 = body_box(frames[index], 1)
            assert tester.while_showing(
                [frames[index]], AddBoxPrompt, "add_box_prompt", x_min=x1, y_min=y1, x_max=x2, y_max=y2, label="late"
            ).success
            by_stamp[tester.stamp] = frames[index]
        else:
            tester.step(frames[index])
            by_stamp[tester.stamp] = frames[index]
    return by_stamp


def overlaps(tester: NodeTester, shown: dict[int, SceneFrame], body: int) -> list[float]:
    """Return the IoU of the only track with a body for each image in the order of publishing."""
    messages = tester.received["tracks_refined"]
    stamps = [stamp_ns(message.header.stamp) for message in messages]
    assert stamps == sorted(stamps)
    assert all(message.header.frame_id == "camera_color_optical_frame" for message in messages)
    ious = []
    for stamp, message in zip(stamps, messages):
        for track in message.tracks:
            mask = Rle(track.mask.height, track.mask.width, track.mask.counts).decode()
            ious.append(iou(mask, shown[stamp].instances == body))
    return ious


def test_late_object_gets_whole_trace(tester: NodeTester, shown: dict[int, SceneFrame], frames: list[SceneFrame], saved: Path) -> None:
    """Results have original stamps in order of time and correct masks before the prompt. Files are saved, and the stream continues."""
    before = len(tester.received["tracks"])
    answer = tester.while_showing(frames[30:60] * 5, RefineBackward, "refine_backward", save=True)
    assert answer.success, answer.message
    assert tester.spin(5.0, lambda: len(tester.received["tracks_refined"]) == answer.frames)
    early = [item for item in tester.received["tracks_refined"] if stamp_ns(item.header.stamp) in shown]
    tester.received["tracks_refined"][:] = early
    ious = overlaps(tester, shown, 1)
    assert len(ious) >= 29  # DDS may lose one image while it connects
    assert np.mean(ious[: LATE - 1]) > 0.8
    assert len(tester.received["tracks"]) > before
    folder = Path(answer.folder)
    assert folder.parent == saved
    lines = [json.loads(line) for line in (folder / "tracks.jsonl").read_text().splitlines()]
    assert len(lines) == answer.frames
    video = cv2.VideoCapture(str(folder / "overlay.webm"))
    assert video.get(cv2.CAP_PROP_FRAME_COUNT) == answer.frames
    video.release()


def test_seconds_limit_the_refined_part(tester: NodeTester, shown: dict[int, SceneFrame]) -> None:
    """One second holds 16 images with a period of 66 ms."""
    answer = tester.call(RefineBackward, "refine_backward", seconds=1.0)
    assert answer.success, answer.message
    assert answer.frames == 16
    assert answer.folder == ""


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"track_ids": [77]}, "there is no track 77 on frames"),
        ({"seconds": -1.0}, "seconds is -1"),
        ({"seconds": float("nan")}, "seconds is nan"),
    ],
)
def test_bad_request_is_refused_with_reason(tester: NodeTester, shown: dict[int, SceneFrame], fields: dict[str, Any], words: str) -> None:
    answer = tester.call(RefineBackward, "refine_backward", **fields)
    assert not answer.success
    assert words in answer.message


def test_action_reports_progress_and_can_be_canceled(tester: NodeTester, shown: dict[int, SceneFrame]) -> None:
    client = ActionClient(tester.node, RefineBackwardAction, "refine_backward")
    assert tester.spin(20.0, client.server_is_ready)
    received: list[Any] = []

    def send(**fields: Any) -> Any:
        future = client.send_goal_async(RefineBackwardAction.Goal(**fields), feedback_callback=lambda item: received.append(item.feedback))
        assert tester.spin(10.0, future.done)
        return future.result()

    def result_of(goal: Any) -> Any:
        future = goal.get_result_async()
        assert tester.spin(60.0, future.done)
        return future.result()

    whole = result_of(send())
    assert whole.status == SUCCEEDED
    assert whole.result.frames == 30
    assert received
    assert received[-1].total == 30
    goal = send()
    second = tester.call(RefineBackward, "refine_backward")
    assert not second.success
    assert "already running" in second.message
    canceling = goal.cancel_goal_async()
    assert tester.spin(10.0, canceling.done)
    stopped = result_of(goal)
    assert stopped.status == CANCELED
    assert "canceled after" in stopped.result.message
    refused = result_of(send(track_ids=[99]))
    assert refused.status == ABORTED
    assert "track 99" in refused.result.message
    client.destroy()


def test_canceled_save_leaves_no_files(tester: NodeTester, shown: dict[int, SceneFrame], saved: Path) -> None:
    """A canceled save must leave no folder, not even a partial one."""
    before = set(saved.iterdir())
    client = ActionClient(tester.node, RefineBackwardAction, "refine_backward")
    assert tester.spin(20.0, client.server_is_ready)
    sending = client.send_goal_async(RefineBackwardAction.Goal(save=True))
    assert tester.spin(10.0, sending.done)
    tester.spin(0.3)
    canceling = sending.result().cancel_goal_async()
    assert tester.spin(10.0, canceling.done)
    ending = sending.result().get_result_async()
    assert tester.spin(30.0, ending.done)
    client.destroy()
    assert set(saved.iterdir()) == before or ending.result().status == SUCCEEDED
