# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""track_node in its own process on a real ROS graph: prompts, outputs, bad input, lifecycle."""

from __future__ import annotations

import array
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rcl_interfaces.msg import Parameter as ParameterMsg
from rcl_interfaces.msg import ParameterType, ParameterValue
from rcl_interfaces.srv import SetParameters
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from std_srvs.srv import Trigger
from vision_msgs.msg import Point2D

from lang2segtrack.srv import (
    AddBoxPrompt,
    AddMaskPrompt,
    AddPointPrompt,
    AddTextPrompt,
    ListTracks,
    RemoveTextPrompt,
    RemoveTrack,
    SegmentImage,
)
from lang2segtrack_ros.io.image_messages import stamp_ns
from lang2segtrack_ros.ros.support.conversions import MESSAGES
from lang2segtrack_ros.ros.support.interfaces import ANNOTATIONS
from lang2segtrack_ros.toyworld.graph import Processes, executable, isolated_environment
from lang2segtrack_ros.toyworld.scene import SceneFrame, demo_scene
from lang2segtrack_ros.types.results import TrackStatus
from lang2segtrack_ros.types.rle import Rle
from test.conftest import body_box, iou
from test.ros.nodes.node_tester import TOY, NodeTester


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("logs")


@pytest.fixture(scope="module")
def tester(logs: Path) -> Iterator[NodeTester]:
    """Start one node for the whole module. Each test begins with a reset."""
    with isolated_environment() as environment, Processes(environment, logs) as processes:
        processes.start("track_node", [*executable("track_node"), "--ros-args", *TOY, "-p", "background_detector:=false"])
        tester = NodeTester(int(environment["ROS_DOMAIN_ID"]))
        tester.call(Trigger, "reset", timeout=120.0)  # responds after the networks are loaded
        yield tester
        tester.close()
        processes.check()


@pytest.fixture(autouse=True)
def reset(tester: NodeTester) -> None:
    tester.call(Trigger, "reset")
    for messages in tester.received.values():
        messages.clear()


def test_prompt_before_first_image_is_kept(tester: NodeTester, frames: list[SceneFrame]) -> None:
    """Must run first. The service responds at once with the reason, and the first image applies the prompt."""
    x1, y1, x2, y2 = body_box(frames[0], 1)
    answer = tester.call(AddBoxPrompt, "add_box_prompt", x_min=x1, y_min=y1, x_max=x2, y_max=y2, label="early", timeout=2.0)
    assert answer.success
    assert "kept, and applied to the next image (no image has arrived yet" in answer.message
    assert "/color/image_raw" in answer.message
    assert [track.label for track in tester.step(frames[0]).tracks] == ["early"]


def test_text_prompt_reaches_all_outputs(tester: NodeTester, frames: list[SceneFrame]) -> None:
    tester.step(frames[0])
    answer = tester.while_showing(frames, AddTextPrompt, "add_text_prompt", text="red circle. blue star.")
    assert answer.success, answer.message
    ids = dict(zip(answer.labels, answer.track_ids))
    assert set(ids) == {"red circle", "blue star"}
    for index in range(12, 20):  # the detector runs on every fifth image; its second detection confirms the objects
        tester.step(frames[index])
    tracks = tester.step(frames[20])
    truth = {ids["red circle"]: 1, ids["blue star"]: 2}
    for track in tracks.tracks:
        mask = Rle(track.mask.height, track.mask.width, track.mask.counts).decode()
        assert iou(mask, frames[20].instances == truth[track.id]) > 0.6
        assert track.state == TrackStatus.TRACKED
    assert tester.spin(3.0, lambda: bool(tester.received["overlay"]))

    def latest(topic: str) -> Any:
        assert tester.spin(3.0, lambda: stamp_ns(tester.received[topic][-1].header.stamp) == tester.stamp), topic
        assert tester.received[topic][-1].header.frame_id == "camera_color_optical_frame"
        return tester.received[topic][-1]

    if ANNOTATIONS.message_class is not None:
        annotations = tester.received["annotations"]
        assert tester.spin(3.0, lambda: stamp_ns(annotations[-1].texts[0].timestamp) == tester.stamp)
        captions = [text.text.rpartition(" ")[0] for text in annotations[-1].texts]
        assert sorted(captions) == sorted(f"{number} {label}" for label, number in ids.items())
    detections = latest("detections").detections
    assert sorted((item.id, item.results[0].hypothesis.class_id) for item in detections) == sorted((str(v), k) for k, v in ids.items())
    masks = latest("instance_masks")
    pixels = np.frombuffer(masks.data, np.uint16).reshape(masks.height, masks.width)
    assert masks.encoding == "mono16"
    assert set(np.unique(pixels)) == {0, *ids.values()}
    overlay = latest("overlay")
    assert overlay.encoding == "rgb8"
    assert (np.frombuffer(overlay.data, np.uint8).reshape(240, 320, 3) != frames[20].color).any()
    info = {item.class_id: item.class_name for item in tester.received["label_info"][-1].class_map}
    assert info == {number: label for label, number in ids.items()}


def test_point_and_mask_prompts_and_correction(tester: NodeTester, frames: list[SceneFrame]) -> None:
    tester.step(frames[0])
    x1, y1, x2, y2 = body_box(frames[0], 1)
    point = Point2D(x=(x1 + x2) / 2, y=(y1 + y2) / 2)
    pointed = tester.while_showing(frames[:1] * 20, AddPointPrompt, "add_point_prompt", points=[point], label="pointed")
    assert pointed.success
    mask = MESSAGES.image(((frames[0].instances == 2) * 255).astype(np.uint8), "mono8", Header())
    masked = tester.while_showing(frames[:1] * 20, AddMaskPrompt, "add_mask_prompt", mask=mask, label="masked")
    assert masked.success
    corrected = tester.while_showing(frames[:1] * 20, AddPointPrompt, "add_point_prompt", points=[point], track_id=pointed.track_ids[0])
    assert list(corrected.track_ids) == list(pointed.track_ids)
    tracks = {track.label: track for track in tester.step(frames[0]).tracks}
    for label, body in (("pointed", 1), ("masked", 2)):
        rle = tracks[label].mask
        assert iou(Rle(rle.height, rle.width, rle.counts).decode(), frames[0].instances == body) > 0.7


def test_remove_and_list(tester: NodeTester, frames: list[SceneFrame]) -> None:
    tester.step(frames[0])
    answer = tester.while_showing(frames, AddTextPrompt, "add_text_prompt", text="red circle. blue star.")
    listed = tester.call(ListTracks, "list_tracks")
    assert sorted(track.id for track in listed.tracks) == sorted(answer.track_ids)
    (text,) = listed.text_prompts
    assert (text.prompt_id, sorted(text.phrases)) == (answer.prompt_id, ["blue star", "red circle"])
    tester.call(Trigger, "reset")
    x1, y1, x2, y2 = body_box(frames[0], 3)
    box = tester.while_showing(frames[:1] * 9, AddBoxPrompt, "add_box_prompt", x_min=x1, y_min=y1, x_max=x2, y_max=y2)
    removed = box.track_ids[0]
    assert tester.call(RemoveTrack, "remove_track", track_id=removed).success
    assert [(track.id, track.state) for track in tester.step(frames[1]).tracks] == [(removed, TrackStatus.REMOVED)]
    assert tester.step(frames[2]).tracks == []
    second = tester.call(RemoveTrack, "remove_track", track_id=removed)
    assert not second.success
    assert f"there is no track {removed}" in second.message


def test_text_prompts_are_replaced_and_removed_independently(tester: NodeTester, frames: list[SceneFrame]) -> None:
    """Replacing or removing one text prompt must not change the objects of the other. The detector uses the current phrases."""
    tester.step(frames[0])
    circle = tester.while_showing(frames, AddTextPrompt, "add_text_prompt", text="red circle.", interval=2)
    star = tester.while_showing(frames, AddTextPrompt, "add_text_prompt", text="blue star.", interval=2, threshold=0.2)
    assert circle.prompt_id != star.prompt_id
    assert [*circle.labels, *star.labels] == ["red circle", "blue star"]

    def active_phrases() -> dict[int, list[str]]:
        return {text.prompt_id: list(text.phrases) for text in tester.call(ListTracks, "list_tracks").text_prompts}

    assert active_phrases() == {circle.prompt_id: ["red circle"], star.prompt_id: ["blue star"]}
    for _ in range(6):  # two detections confirm both
        tester.step(frames[12])
    changed = tester.while_showing(
        frames[12:13] * 20, AddTextPrompt, "add_text_prompt", text="green square.", replace_prompt_id=star.prompt_id
    )
    assert changed.prompt_id == star.prompt_id
    assert active_phrases() == {circle.prompt_id: ["red circle"], star.prompt_id: ["green square"]}
    tracks = {track.id: track for track in tester.step(frames[12]).tracks}
    assert {track.label for track in tracks.values()} >= {"red circle", "blue star"}
    assert tracks[circle.track_ids[0]].state == TrackStatus.TRACKED
    assert tester.call(RemoveTextPrompt, "remove_text_prompt", prompt_id=star.prompt_id).success
    assert active_phrases() == {circle.prompt_id: ["red circle"]}
    assert circle.track_ids[0] in {track.id for track in tester.step(frames[12]).tracks}
    second = tester.call(RemoveTextPrompt, "remove_text_prompt", prompt_id=star.prompt_id)
    assert not second.success
    assert f"no text prompt {star.prompt_id}: use the id of an active text or exemplar prompt ({circle.prompt_id})" in second.message


@pytest.mark.parametrize(
    ("kind", "name", "fields", "words"),
    [
        (AddTextPrompt, "add_text_prompt", {"text": "cup", "threshold": 7.0}, "between 0 and 1"),
        (AddTextPrompt, "add_text_prompt", {"text": "cup", "replace_prompt_id": 99}, "no text prompt 99"),
        (AddTextPrompt, "add_text_prompt", {"text": "cup", "mode": "once", "replace_prompt_id": 1}, "only a continuous text prompt"),
        (AddTextPrompt, "add_text_prompt", {"text": ""}, "names no object"),
        (AddTextPrompt, "add_text_prompt", {"text": "x" * 10_240}, "10240 characters"),
        (AddTextPrompt, "add_text_prompt", {"text": "cup", "mode": "twice"}, "continuous"),
        (AddBoxPrompt, "add_box_prompt", {"x_min": 9.0, "y_min": 9.0, "x_max": 5.0, "y_max": 20.0}, "inverted"),
        (AddBoxPrompt, "add_box_prompt", {"x_min": 900.0, "y_min": 9.0, "x_max": 950.0, "y_max": 20.0}, "outside the 320 x 240 image"),
        (AddBoxPrompt, "add_box_prompt", {"x_max": 50.0, "y_max": 20.0, "track_id": 4711}, "there is no track 4711"),
        (AddPointPrompt, "add_point_prompt", {"points": []}, "1 to 64 points"),
        (AddPointPrompt, "add_point_prompt", {"points": [Point2D(x=-9.0, y=1.0)]}, "off the 320 x 240 image"),
        (AddPointPrompt, "add_point_prompt", {"points": [Point2D(x=1.0, y=1.0)], "labels": [7]}, "labels of points"),
        (AddMaskPrompt, "add_mask_prompt", {"mask": MESSAGES.image(np.ones((9, 9), np.uint8), "mono8", Header())}, "the mask is 9 x 9"),
        (AddMaskPrompt, "add_mask_prompt", {"mask": MESSAGES.image(np.ones((9, 9, 3), np.uint8), "rgb8", Header())}, "send mono8"),
        (AddMaskPrompt, "add_mask_prompt", {"mask": Image(encoding="mono8")}, "no pixels"),
        (RemoveTrack, "remove_track", {"track_id": 0}, "there is no track 0"),
    ],
)
def test_bad_request_is_refused_with_reason(
    tester: NodeTester, frames: list[SceneFrame], kind: Any, name: str, fields: dict[str, Any], words: str
) -> None:
    tester.step(frames[0])
    answer = tester.while_showing(frames[:1] * 20, kind, name, **fields)
    assert not answer.success
    assert words in answer.message


def test_bad_images_are_counted_and_the_node_continues(tester: NodeTester, frames: list[SceneFrame]) -> None:
    tester.step(frames[0])
    color = frames[0].color
    bad = {
        "unknown_encoding": {"encoding": "klingon"},
        "wrong_step": {"step": 3},
        "short_data": {"data": array.array("B", b"12345")},
        "no_pixels": {"height": 0},
    }
    for changes in bad.values():
        tester.show(color, **changes)
        tester.spin(0.2)
    for reason in bad:
        assert tester.spin(5.0, lambda reason=reason: tester.diagnostics(f"skipped_{reason}") == "1"), reason  # type: ignore[misc]
    assert tester.step(frames[1]).header.frame_id == "camera_color_optical_frame"


def test_objects_survive_clock_jump_and_new_resolution(tester: NodeTester, frames: list[SceneFrame]) -> None:
    x1, y1, x2, y2 = body_box(frames[0], 1)
    tester.step(frames[0])
    answer = tester.while_showing(frames[:1] * 9, AddBoxPrompt, "add_box_prompt", x_min=x1, y_min=y1, x_max=x2, y_max=y2)
    tester.stamp -= 500_000_000
    assert [track.id for track in tester.step(frames[1]).tracks] == list(answer.track_ids)
    tester.show(np.ascontiguousarray(frames[2].color[::2, ::2]))
    assert tester.spin(5.0, lambda: stamp_ns(tester.received["tracks"][-1].header.stamp) == tester.stamp)
    assert tester.received["tracks"][-1].tracks[0].mask.width == 160
    assert int(tester.diagnostics("skipped_clock_went_back_kept")) >= 1
    assert int(tester.diagnostics("skipped_size_changed_kept")) >= 1
    tester.step(frames[3])


def test_diagnostics_report_rates_durations_queues_and_memory(tester: NodeTester, frames: list[SceneFrame]) -> None:
    """The values must come from real work. A duration of an unused stage, or a queue that never fills, would go unnoticed."""
    tester.step(frames[0])
    client = tester.node.create_client(AddTextPrompt, "add_text_prompt")
    assert tester.spin(20.0, client.service_is_ready)
    answer = client.call_async(AddTextPrompt.Request(text="red circle."))
    tester.received["/diagnostics"].clear()
    waiting = {"prompts_pending": "1", "services_pending": "1"}
    assert tester.spin(3.0, lambda: any(waiting.items() <= report.items() for report in tester.reports)), (
        "no report showed the waiting prompt"
    )
    while not answer.done():
        tester.step(frames[1])
    tester.node.destroy_client(client)
    tester.received["/diagnostics"].clear()
    began = time.monotonic()
    while time.monotonic() - began < 2.5:  # at least two reports while images continue
        tester.step(frames[2])
    assert 0.5 < max(float(report["images_processed_rate_hz"]) for report in tester.reports) < 100
    assert [tester.reports[-1][key] for key in waiting] == ["0", "0"]
    stages = ("engine_wait", "step", "detection", "publish_wait", "publish")
    for stage in stages:
        report = tester.reports[-1]
        assert 0 <= float(report[f"{stage}_ms_mean"]) <= float(report[f"{stage}_ms_max"]), stage
    assert float(tester.diagnostics("step_ms_mean")) > 1.0, "a network needs more than a millisecond"
    assert int(tester.diagnostics("detections_run")) > 0
    assert re.fullmatch(r"frames \d+ to \d+ are available \([\d.]+ s, [\d.]+ MB\).*", tester.diagnostics("history"))
    assert 100 < float(tester.diagnostics("memory_process_mb")) < 4000


def set_parameter(tester: NodeTester, name: str, value: ParameterValue) -> Any:
    request = [ParameterMsg(name=name, value=value)]
    return tester.call(SetParameters, "track_node/set_parameters", parameters=request).results[0]


def test_only_dynamic_parameters_change_at_run_time(tester: NodeTester) -> None:
    integer, text = ParameterType.PARAMETER_INTEGER, ParameterType.PARAMETER_STRING
    assert set_parameter(tester, "detect_every", ParameterValue(type=integer, integer_value=7)).successful
    refused = set_parameter(tester, "detect_every", ParameterValue(type=integer, integer_value=0))
    assert not refused.successful
    fixed = set_parameter(tester, "segmenter", ParameterValue(type=text, string_value="toy"))
    assert not fixed.successful
    assert "fixed while the node is configured" in fixed.reason


def test_node_receives_from_best_effort_publisher(tester: NodeTester, frames: list[SceneFrame]) -> None:
    """The node matches the publisher's QoS. A reliable subscription would receive nothing."""
    tester.step(frames[0])
    reliable = tester.camera
    tester.node.destroy_publisher(reliable)
    tester.camera = tester.node.create_publisher(Image, "color/image_raw", QoSProfile(depth=2, reliability=ReliabilityPolicy.BEST_EFFORT))
    try:
        tester.spin(1.5)
        tester.step(frames[1])
    finally:
        tester.node.destroy_publisher(tester.camera)
        tester.camera = tester.node.create_publisher(Image, "color/image_raw", QoSProfile(depth=2))
        tester.spin(1.5)


def test_diagnostics_explain_missing_images(tester: NodeTester, frames: list[SceneFrame]) -> None:
    tester.step(frames[0])

    def is_reported() -> bool:
        return any("color/image_raw" in status.message for item in tester.received["/diagnostics"] for status in item.status)

    assert tester.spin(6.0, is_reported)
    tester.step(frames[1])


def test_prompt_without_images_is_kept(tester: NodeTester, frames: list[SceneFrame]) -> None:
    tester.step(frames[0])
    x1, y1, x2, y2 = body_box(frames[1], 1)
    answer = tester.call(AddBoxPrompt, "add_box_prompt", x_min=x1, y_min=y1, x_max=x2, y_max=y2, timeout=6.0)
    assert answer.success
    assert "the last image arrived" in answer.message
    assert len(tester.step(frames[1]).tracks) == 1


def test_single_image_does_not_change_tracks(tester: NodeTester, frames: list[SceneFrame]) -> None:
    """The image differs from the stream in content, size and encoding. The tracks must stay the same."""
    x1, y1, x2, y2 = body_box(frames[0], 3)
    tester.while_showing(frames[:1] * 9, AddBoxPrompt, "add_box_prompt", x_min=x1, y_min=y1, x_max=x2, y_max=y2, label="mine")
    before = [(track.id, track.label) for track in tester.step(frames[1]).tracks]
    other = demo_scene(480, 360).render(30)
    image = MESSAGES.image(other.color[..., ::-1], "bgr8", Header())
    answer = tester.call(SegmentImage, "segment_image", timeout=120.0, image=image, text="red circle. blue star.")
    assert answer.success, answer.message
    assert sorted(answer.labels) == ["blue star", "red circle"]
    for label, score, box, mask in zip(answer.labels, answer.scores, answer.boxes, answer.masks):
        pixels = Rle(mask.height, mask.width, mask.counts).decode()
        assert iou(pixels, other.instances == (1 if label == "red circle" else 2)) > 0.6
        assert 0 < score <= 1
        assert box.size_x == np.ptp(np.nonzero(pixels)[1]) + 1
    assert [(track.id, track.label) for track in tester.step(frames[2]).tracks] == before
    unknown = tester.call(SegmentImage, "segment_image", timeout=120.0, image=image, text="blarg")
    assert unknown.success
    assert "does not know: blarg" in unknown.message


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"text": " . "}, "the text names no object"),
        ({"threshold": 7.0}, "threshold is 7.0"),
        ({"image": Image(width=9, height=9, step=9)}, 'encoding "" is not known'),
        ({"image": Image(encoding="rgb8")}, "it has no pixels"),
        ({"image": Image(encoding="rgb8", width=9, height=9, step=27)}, "data has 0 bytes"),
    ],
)
def test_bad_single_image_is_refused_with_reason(tester: NodeTester, frames: list[SceneFrame], changes: dict[str, Any], words: str) -> None:
    fields = {"image": MESSAGES.image(frames[0].color, "rgb8", Header()), "text": "red circle", **changes}
    answer = tester.call(SegmentImage, "segment_image", **fields)
    assert not answer.success
    assert words in answer.message


def test_lifecycle_transitions(tester: NodeTester, frames: list[SceneFrame]) -> None:
    def change(transition: int) -> bool:
        return bool(tester.call(ChangeState, "track_node/change_state", transition=Transition(id=transition)).success)

    x1, y1, x2, y2 = body_box(frames[0], 1)
    tester.step(frames[0])
    tester.while_showing(frames[:1] * 9, AddBoxPrompt, "add_box_prompt", x_min=x1, y_min=y1, x_max=x2, y_max=y2)
    assert change(Transition.TRANSITION_DEACTIVATE)
    tester.spin(2.0)  # the result of an image in progress may still arrive
    count = len(tester.received["tracks"])
    tester.show(frames[0].color)
    tester.spin(1.0)
    assert len(tester.received["tracks"]) == count, "a paused node must not publish"
    assert change(Transition.TRANSITION_ACTIVATE)
    assert len(tester.step(frames[1]).tracks) == 1, "objects survive a pause"
    assert change(Transition.TRANSITION_DEACTIVATE)
    assert change(Transition.TRANSITION_CLEANUP)
    refused = tester.call(AddTextPrompt, "add_text_prompt", text="red circle")
    assert not refused.success
    assert "not configured" in refused.message
    assert change(Transition.TRANSITION_CONFIGURE)
    assert change(Transition.TRANSITION_ACTIVATE)
    assert tester.step(frames[2]).tracks == []


def test_log_has_no_traceback(tester: NodeTester, logs: Path) -> None:
    """Must run after the tests above: no bad input may cause an unexpected exception."""
    assert "Traceback" not in (logs / "track_node.log").read_text()
