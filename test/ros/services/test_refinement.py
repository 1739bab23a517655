# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""`refine_backward` on the real graph: an object named late gets its whole trace, while the stream goes on."""

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
from test.ros.nodes.test_track_node import TOY, Outsider

SUCCEEDED, ABORTED, CANCELED = 4, 6, 5
LATE = 25
"""The image on which the object is named."""


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("saved")


@pytest.fixture(scope="module")
def outside(saved: Path) -> Iterator[Outsider]:
    with isolated_environment() as environment, Processes(environment, saved / "logs") as processes:
        options = ["-p", "detector:=''", "-p", f"save_folder:={saved}", "-p", "history_s:=20.0"]
        processes.start("track_node", [*executable("track_node"), "--ros-args", *TOY, *options])
        outsider = Outsider(int(environment["ROS_DOMAIN_ID"]))
        outsider.heard["tracks_refined"] = []
        outsider.node.create_subscription(TrackArray, "tracks_refined", outsider.heard["tracks_refined"].append, QoSProfile(depth=1000))
        try:
            yield outsider
        finally:
            outsider.close()


@pytest.fixture
def shown(outside: Outsider, frames: list[SceneFrame]) -> dict[int, SceneFrame]:
    """Thirty images of which the circle is named on the 26th; which frame each stamp was."""
    outside.call(Trigger, "reset")
    for messages in outside.heard.values():
        messages.clear()
    by_stamp: dict[int, SceneFrame] = {}
    for index in range(30):
        if index == LATE:
            x1, y1, x2, y2 = body_box(frames[index], 1)
            assert outside.while_showing(
                [frames[index]], AddBoxPrompt, "add_box_prompt", x_min=x1, y_min=y1, x_max=x2, y_max=y2, label="late"
            ).success
            by_stamp[outside.stamp] = frames[index]
        else:
            outside.step(frames[index])
            by_stamp[outside.stamp] = frames[index]
    return by_stamp


def overlaps(outside: Outsider, shown: dict[int, SceneFrame], body: int) -> list[float]:
    """IoU of the only track with a body, image by image in the order of publishing."""
    messages = outside.heard["tracks_refined"]
    stamps = [stamp_ns(message.header.stamp) for message in messages]
    assert stamps == sorted(stamps)
    assert all(message.header.frame_id == "camera_color_optical_frame" for message in messages)
    rows = []
    for stamp, message in zip(stamps, messages):
        for track in message.tracks:
            mask = Rle(track.mask.height, track.mask.width, track.mask.counts).decode()
            rows.append(iou(mask, shown[stamp].instances == body))
    return rows


def test_a_late_object_gets_its_trace_from_the_beginning(
    outside: Outsider, shown: dict[int, SceneFrame], frames: list[SceneFrame], saved: Path
) -> None:
    """Original stamps in time order, right masks before the naming, files on request, and the stream goes on meanwhile."""
    before = len(outside.heard["tracks"])
    answer = outside.while_showing(frames[30:60] * 5, RefineBackward, "refine_backward", save=True)
    assert answer.success, answer.message
    assert outside.spin(5.0, lambda: len(outside.heard["tracks_refined"]) == answer.frames)
    early = [item for item in outside.heard["tracks_refined"] if stamp_ns(item.header.stamp) in shown]
    outside.heard["tracks_refined"][:] = early
    ious = overlaps(outside, shown, 1)
    assert len(ious) >= 29  # one image may have been lost while DDS connected
    assert np.mean(ious[: LATE - 1]) > 0.8
    assert len(outside.heard["tracks"]) > before
    folder = Path(answer.folder)
    assert folder.parent == saved
    lines = [json.loads(line) for line in (folder / "tracks.jsonl").read_text().splitlines()]
    assert len(lines) == answer.frames
    video = cv2.VideoCapture(str(folder / "overlay.mp4"))
    assert video.get(cv2.CAP_PROP_FRAME_COUNT) == answer.frames
    video.release()


def test_only_the_last_seconds(outside: Outsider, shown: dict[int, SceneFrame]) -> None:
    """One second of images 66 ms apart."""
    answer = outside.call(RefineBackward, "refine_backward", seconds=1.0)
    assert answer.success, answer.message
    assert answer.frames == 16
    assert answer.folder == ""


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"track_ids": [77]}, "track 77 is seen on frames"),
        ({"seconds": -1.0}, "seconds is -1"),
        ({"seconds": float("nan")}, "seconds is nan"),
    ],
)
def test_refusals_say_why(outside: Outsider, shown: dict[int, SceneFrame], fields: dict[str, Any], words: str) -> None:
    answer = outside.call(RefineBackward, "refine_backward", **fields)
    assert not answer.success
    assert words in answer.message


def test_the_action_tells_how_far_it_is_and_can_be_cancelled(outside: Outsider, shown: dict[int, SceneFrame]) -> None:
    client = ActionClient(outside.node, RefineBackwardAction, "refine_backward")
    assert outside.spin(20.0, client.server_is_ready)
    heard: list[Any] = []

    def send(**fields: Any) -> Any:
        future = client.send_goal_async(RefineBackwardAction.Goal(**fields), feedback_callback=lambda item: heard.append(item.feedback))
        assert outside.spin(10.0, future.done)
        return future.result()

    def ended(goal: Any) -> Any:
        future = goal.get_result_async()
        assert outside.spin(60.0, future.done)
        return future.result()

    whole = ended(send())
    assert whole.status == SUCCEEDED
    assert whole.result.frames == 30
    assert heard
    assert heard[-1].total == 30
    goal = send()
    second = outside.call(RefineBackward, "refine_backward")
    assert not second.success
    assert "running already" in second.message
    cancelling = goal.cancel_goal_async()
    assert outside.spin(10.0, cancelling.done)
    stopped = ended(goal)
    assert stopped.status == CANCELED
    assert "cancelled after" in stopped.result.message
    refused = ended(send(track_ids=[99]))
    assert refused.status == ABORTED
    assert "track 99" in refused.result.message
    client.destroy()


def test_nothing_half_written_is_left(outside: Outsider, shown: dict[int, SceneFrame], saved: Path) -> None:
    """A cancelled save leaves no folder, not even a partial one."""
    before = set(saved.iterdir())
    client = ActionClient(outside.node, RefineBackwardAction, "refine_backward")
    assert outside.spin(20.0, client.server_is_ready)
    sending = client.send_goal_async(RefineBackwardAction.Goal(save=True))
    assert outside.spin(10.0, sending.done)
    outside.spin(0.3)
    cancelling = sending.result().cancel_goal_async()
    assert outside.spin(10.0, cancelling.done)
    ending = sending.result().get_result_async()
    assert outside.spin(30.0, ending.done)
    client.destroy()
    assert set(saved.iterdir()) == before or ending.result().status == SUCCEEDED
