# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Messages of track_node's services on a real ROS graph: what was found, what was not, and what happens next."""

from __future__ import annotations

import re
from collections.abc import Iterator

import cv2
import numpy as np
import pytest
from std_msgs.msg import Header
from std_srvs.srv import Trigger
from vision_msgs.msg import Point2D

from lang2segtrack.msg import InstructionEvent
from lang2segtrack.srv import (
    AddBoxPrompt,
    AddExemplarPrompt,
    AddInstruction,
    AddPointPrompt,
    AddTextPrompt,
    ListTracks,
    RemoveTextPrompt,
    RemoveTrack,
    SegmentImage,
)
from lang2segtrack_ros.ros.support.conversions import MESSAGES
from lang2segtrack_ros.toyworld.graph import Processes, executable, isolated_environment
from lang2segtrack_ros.toyworld.scene import SceneFrame
from lang2segtrack_ros.types.rle import Rle
from test.conftest import body_box, iou
from test.ros.nodes.node_tester import TOY, NodeTester


@pytest.fixture(scope="module")
def processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[NodeTester, Processes]]:
    """Start one node whose clock never runs, because nobody publishes /clock."""
    with isolated_environment() as environment, Processes(environment, tmp_path_factory.mktemp("logs")) as processes:
        arguments = [*TOY, "-p", "background_detector:=false", "-p", "use_sim_time:=true"]
        processes.start("track_node", [*executable("track_node"), "--ros-args", *arguments])
        tester = NodeTester(int(environment["ROS_DOMAIN_ID"]))
        tester.call(Trigger, "reset", timeout=120.0)  # responds after the networks are loaded
        yield tester, processes
        tester.close()
        processes.check()


@pytest.fixture
def tester(processes: tuple[NodeTester, Processes]) -> NodeTester:
    processes[0].call(Trigger, "reset")
    return processes[0]


def sides(frame: SceneFrame, body: int) -> dict[str, float]:
    """Return the box of a body as fields of a request."""
    return dict(zip(("x_min", "y_min", "x_max", "y_max"), body_box(frame, body)))


def test_single_image_without_any_image_is_refused(tester: NodeTester) -> None:
    """Must run first. The message of the conversion would blame an encoding that the user never sent."""
    answer = tester.call(SegmentImage, "segment_image", text="red circle")
    assert not answer.success
    assert "the request has no image, and the node has none yet (no image has arrived yet" in answer.message


def test_exemplar_without_any_image_is_refused(tester: NodeTester) -> None:
    """Must run before the first image, too. The box of the request is on no image."""
    answer = tester.call(AddExemplarPrompt, "add_exemplar_prompt", x_max=9.0, y_max=9.0, label="mug")
    assert not answer.success
    assert "the request has no image, and the node has none yet" in answer.message


def test_empty_single_image_means_the_last_image(tester: NodeTester, frames: list[SceneFrame]) -> None:
    """A user of a shell cannot type an image."""
    tester.step(frames[3])
    answer = tester.call(SegmentImage, "segment_image", text="red circle")
    assert answer.success, answer.message
    (mask,) = answer.masks
    assert iou(Rle(mask.height, mask.width, mask.counts).decode(), frames[3].instances == 1) > 0.6


def test_response_tells_what_was_found(tester: NodeTester, frames: list[SceneFrame]) -> None:
    """A success without a message hides a wrong object, a missing one, and the id to correct it by."""
    tester.step(frames[0])
    boxed = tester.while_showing(frames[:1] * 20, AddBoxPrompt, "add_box_prompt", **sides(frames[0], 1), label="cup")
    assert re.fullmatch(rf"track {boxed.track_ids[0]} \(cup\), score 0\.\d\d", boxed.message)
    text = tester.while_showing(frames[:1] * 20, AddTextPrompt, "add_text_prompt", text="blue star. green square.", interval=7)
    missing = "not found on this image: green square; the detector looks again every 7 images"
    assert text.message == f"1 object: {text.track_ids[0]} blue star; {missing}"


def test_click_on_background_is_refused_with_its_score(tester: NodeTester, frames: list[SceneFrame]) -> None:
    """It would start a track without an object. Three clicks on an object start one track."""
    tester.step(frames[0])
    distance = cv2.distanceTransform((frames[0].instances == 0).astype(np.uint8), cv2.DIST_L2, 3)
    row, column = np.unravel_index(int(distance.argmax()), distance.shape)
    point = Point2D(x=float(column), y=float(row))
    for _ in range(3):
        refused = tester.while_showing(frames[:1] * 20, AddPointPrompt, "add_point_prompt", points=[point])
        assert not refused.success
        assert re.match(r"nothing stands out there \(score 0\.\d\d\): ", refused.message)
    assert tester.step(frames[0]).tracks == []
    x1, y1, x2, y2 = body_box(frames[0], 2)
    points = [Point2D(x=(x1 + x2) / 2, y=(y1 + y2) / 2)]
    answers = [tester.while_showing(frames[:1] * 20, AddPointPrompt, "add_point_prompt", points=points) for _ in range(3)]
    assert len({tuple(answer.track_ids) for answer in answers}) == 1


def test_removed_track_of_a_text_prompt_is_announced_to_return(tester: NodeTester, frames: list[SceneFrame]) -> None:
    """The user would take the return for a fault. The track of a box does not return."""
    tester.step(frames[0])
    boxed = tester.while_showing(frames[:1] * 20, AddBoxPrompt, "add_box_prompt", **sides(frames[0], 2))
    assert tester.call(RemoveTrack, "remove_track", track_id=boxed.track_ids[0]).message == f"track {boxed.track_ids[0]} is removed"
    text = tester.while_showing(frames[:1] * 20, AddTextPrompt, "add_text_prompt", text="red circle.")
    removed = tester.call(RemoveTrack, "remove_track", track_id=text.track_ids[0])
    assert removed.success
    assert removed.message == (
        f"track {text.track_ids[0]} (red circle) is removed, but text prompt {text.prompt_id} names it: the next detection starts it again "
        f"as a new track. Call remove_text_prompt with prompt_id {text.prompt_id}, or reset, to stop that"
    )


def test_refusal_of_a_kept_prompt_is_logged(processes: tuple[NodeTester, Processes], tester: NodeTester, frames: list[SceneFrame]) -> None:
    """The response that the prompt is kept has left already."""
    tester.step(frames[0])
    assert tester.call(AddBoxPrompt, "add_box_prompt", x_min=900.0, x_max=950.0, y_max=50.0, timeout=6.0).success
    assert tester.step(frames[1]).tracks == []
    processes[1].wait_for("track_node", "a prompt that was kept is refused: the box (900, 0, 950, 50) lies outside", 5.0)


def test_latency_without_a_clock_is_unknown(processes: tuple[NodeTester, Processes], tester: NodeTester, frames: list[SceneFrame]) -> None:
    """It would read minus decades. One warning is enough for a stream."""
    tester.step(frames[0])
    assert tester.diagnostics("latency_ms_last") == "unknown"
    assert processes[1].log("track_node").count("use_sim_time is true, but no clock arrives on /clock") == 1


def test_exemplar_on_the_last_image_finds_its_objects(tester: NodeTester, frames: list[SceneFrame]) -> None:
    """The user draws a box in a viewer and names what is in it. The prompt is listed and removed as a text prompt is."""
    tester.step(frames[0])
    answer = tester.while_showing(frames, AddExemplarPrompt, "add_exemplar_prompt", label="My Mug", **sides(frames[0], 1))
    assert (answer.success, list(answer.labels)) == (True, ["My Mug"]), answer.message
    assert answer.message == f"1 object: {answer.track_ids[0]} My Mug"
    (listed,) = tester.call(ListTracks, "list_tracks").text_prompts
    assert (listed.prompt_id, list(listed.phrases)) == (answer.prompt_id, ["My Mug"])
    removed = tester.call(RemoveTrack, "remove_track", track_id=answer.track_ids[0])
    assert f"but text prompt {answer.prompt_id} names it" in removed.message
    assert tester.call(RemoveTextPrompt, "remove_text_prompt", prompt_id=answer.prompt_id).success
    assert tester.call(ListTracks, "list_tracks").text_prompts == []


def test_exemplar_on_a_given_image_is_found_again(tester: NodeTester, frames: list[SceneFrame]) -> None:
    """The picture comes from another recording, with its own pixels. Each refusal names its fault."""
    tester.step(frames[0])
    image = MESSAGES.image(frames[50].color, "rgb8", Header())
    fields = {"image": image, "label": "star", "mode": "once", **sides(frames[50], 2)}
    answer = tester.while_showing(frames[:9], AddExemplarPrompt, "add_exemplar_prompt", **fields)
    assert (answer.success, list(answer.labels), answer.prompt_id) == (True, ["star"], 0), answer.message
    tracks = {track.id: track for track in tester.step(frames[9]).tracks}
    rle = tracks[answer.track_ids[0]].mask
    assert iou(Rle(rle.height, rle.width, rle.counts).decode(), frames[9].instances == 2) > 0.7
    for change, words in (
        ({"label": ""}, "the exemplar has no label"),
        ({"mode": "twice"}, "continuous"),
        ({"x_min": 900.0, "x_max": 950.0}, "outside the 320 x 240 image"),
        ({"threshold": 7.0}, "between 0 and 1"),
        ({"replace_prompt_id": 99, "mode": "continuous"}, "no text prompt 99"),
    ):
        refused = tester.call(AddExemplarPrompt, "add_exemplar_prompt", **{**fields, **change})
        assert not refused.success
        assert words in refused.message


def test_instruction_is_answered_with_plan_and_reasons(tester: NodeTester, frames: list[SceneFrame]) -> None:
    """The caller sees what was looked for, why each object was chosen, and what was not found."""
    tester.step(frames[0])
    text = "the red circle left of the blue star, and the green square"
    answer = tester.while_showing(frames[:1] * 20, AddInstruction, "add_instruction", text=text)
    assert answer.success, answer.message
    assert list(answer.labels) == ["red circle"]
    assert list(answer.plan) == ['target 1: the only "red circle" left of the only "blue star"', 'target 2: the only "green square"']
    assert "left of #" in answer.reasons[0]
    assert "green square" in answer.not_found[0]
    assert answer.message.startswith(f"1 object: {answer.track_ids[0]} red circle; ")
    assert answer.prompt_id == 0


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"text": ""}, "the instruction is empty"),
        ({"text": "x" * 10_000}, "the maximum is 1000"),
        ({"text": "die Tasse links vom Teller"}, "it reads English only"),
        ({"text": "the circle left of itself"}, "itself"),
        ({"text": "the mug left of the plate"}, "does not know: mug, plate"),
        ({"text": "the red circle", "mode": "often"}, 'it must be "once" or "continuous"'),
        ({"text": "the red circle", "mode": "continuous", "verify_every_s": -1.0}, "verify_every_s"),
        ({"text": "the red circle", "threshold": float("nan")}, "threshold"),
    ],
)
def test_instruction_that_cannot_be_read_is_refused(tester: NodeTester, fields: dict[str, object], words: str) -> None:
    """The sentence names the word or the field, before any image, and nothing stays behind."""
    answer = tester.call(AddInstruction, "add_instruction", **fields)
    assert not answer.success
    assert words in answer.message
    assert tester.call(ListTracks, "list_tracks").instructions == []


def test_continuous_instruction_reports_changes(tester: NodeTester, frames: list[SceneFrame]) -> None:
    """It is listed with its objects, its changes are events, and remove_text_prompt ends it."""
    events: list[InstructionEvent] = []
    subscription = tester.node.create_subscription(InstructionEvent, "events", events.append, 10)
    assert tester.spin(20.0, lambda: tester.node.count_publishers("events") > 0)
    tester.step(frames[0])
    text = "the red circle left of the blue star"
    fields = {"text": text, "mode": "continuous", "verify_every_s": 0.1}
    answer = tester.while_showing(frames[:1] * 20, AddInstruction, "add_instruction", **fields)
    assert answer.success, answer.message
    (track_id,) = answer.track_ids
    (listed,) = tester.call(ListTracks, "list_tracks").instructions
    assert (listed.prompt_id, listed.text, list(listed.track_ids)) == (answer.prompt_id, text, [track_id])
    mirrored = frames[0].color[:, ::-1].copy()  # now the circle is right of the star
    for _ in range(12):
        tester.show(mirrored)
        tester.spin(0.3)
    assert [event.kind for event in events] == ["chosen", "missing", "released"]
    assert (list(events[-1].track_ids), events[-1].instruction, events[-1].prompt_id) == ([track_id], text, answer.prompt_id)
    assert "no longer fits" in events[-1].message
    assert tester.call(RemoveTextPrompt, "remove_text_prompt", prompt_id=answer.prompt_id).success
    assert tester.call(ListTracks, "list_tracks").instructions == []
    assert int(tester.diagnostics("instructions_answered")) >= 3
    tester.node.destroy_subscription(subscription)
