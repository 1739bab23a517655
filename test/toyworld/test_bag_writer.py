# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The bag writer needs no ROS, and its bags contain the messages of the camera node in both storage formats."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from rosbags.interfaces import QosDurability, QosReliability
from rosbags.rosbag2 import Reader

from lang2segtrack_ros.io.image_messages import compressed_to_rgb, depth_to_meters, image_to_rgb, stamp_ns
from lang2segtrack_ros.recordings.bag_types import BagError, BagMessages
from lang2segtrack_ros.toyworld.bag_writer import BEGIN_NS, DEMO_FRAMES, write_bag
from lang2segtrack_ros.toyworld.camera_messages import (
    COLOR,
    COMPRESSED,
    DEPTH,
    DETECTIONS,
    DETECTIONS_3D,
    FRAME_TOPICS,
    INFO,
    INSTANCES,
    LABEL_INFO,
)
from lang2segtrack_ros.toyworld.stream import StreamOptions

SMALL = {"width": 96, "height": 72}


def read(path: Path) -> dict[str, list[tuple[int, Any]]]:
    """Return time of reception and message of each topic."""
    store = BagMessages().typestore
    messages = defaultdict(list)
    with Reader(path) as reader:
        for connection, received, data in reader.messages():
            messages[connection.topic].append((received, store.deserialize_cdr(data, connection.msgtype)))
    return dict(messages)


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_bag_contains_the_clip_and_its_ground_truth(tmp_path: Path, storage: str) -> None:
    options = StreamOptions("occlusion", 2, fps=20.0, **SMALL)
    assert write_bag(tmp_path / "bag", options, frames=30, storage=storage) == 30
    messages_by_topic = read(tmp_path / "bag")
    topics = [topic for topic in FRAME_TOPICS if topic is not COMPRESSED]
    assert Counter({topic: len(messages) for topic, messages in messages_by_topic.items()}) == {t.path: 30 for t in topics} | {
        LABEL_INFO.path: 1
    }
    scene = options.scene()
    hidden = 0
    for index in range(30):
        frame = scene.render(index)
        messages = {topic: messages_by_topic[topic.path][index] for topic in topics}
        for received, message in messages.values():
            assert received == stamp_ns(message.header.stamp) == BEGIN_NS + index * 50_000_000
            assert message.header.frame_id == "camera_color_optical_frame"
        assert np.array_equal(image_to_rgb(messages[COLOR][1]), frame.color)
        assert np.array_equal(messages[DEPTH][1].data.view("<u2").reshape(72, 96), frame.depth_mm)
        assert np.array_equal(messages[INSTANCES][1].data.view("<u2").reshape(72, 96), frame.instances)
        assert {int(item.id): item.results[0].hypothesis.class_id for item in messages[DETECTIONS_3D][1].detections} == {
            number: body.label for number, body in frame.bodies.items()
        }
        visible = {number: body for number, body in frame.bodies.items() if body.box is not None}
        hidden += len(frame.bodies) - len(visible)
        for item in messages[DETECTIONS][1].detections:
            box, body = item.bbox, visible.pop(int(item.id))
            x, y, w, h = box.center.position.x, box.center.position.y, box.size_x, box.size_y
            assert (x - w / 2, y - h / 2, x + w / 2, y + h / 2) == body.box
            assert item.results[0].hypothesis.score == body.fraction
        assert not visible
        for item in messages[DETECTIONS_3D][1].detections:
            center, size = item.bbox.center.position, item.bbox.size
            assert (center.x, center.y, center.z) == frame.bodies[int(item.id)].center
            assert (size.x, size.y, size.z) == frame.bodies[int(item.id)].extent
    assert hidden > 0, "the clip must contain hidden bodies"
    info = messages_by_topic[INFO.path][0][1]
    camera = scene.camera
    assert (info.width, info.height, info.k[0], info.k[4], info.k[2], info.k[5]) == (96, 72, camera.fx, camera.fy, camera.cx, camera.cy)
    assert info.p.reshape(3, 4)[:, :3].ravel().tolist() == info.k.tolist()
    labels = {item.class_id: item.class_name for item in messages_by_topic[LABEL_INFO.path][0][1].class_map}
    assert labels == {number: body.label for number, body in enumerate(scene.bodies, start=1) if body.label}


def test_qos_profiles_equal_those_of_the_camera_node(tmp_path: Path) -> None:
    write_bag(tmp_path / "bag", StreamOptions(**SMALL), frames=1)
    with Reader(tmp_path / "bag") as reader:
        profiles = {connection.topic: connection.ext.offered_qos_profiles[0] for connection in reader.connections}
    for topic in (COLOR, INSTANCES, LABEL_INFO):
        qos = profiles[topic.path]
        assert qos.depth == topic.depth
        assert qos.reliability is QosReliability.RELIABLE
        assert qos.durability is (QosDurability.TRANSIENT_LOCAL if topic.latched else QosDurability.VOLATILE)


def test_compressed_option_replaces_raw_color(tmp_path: Path) -> None:
    options = StreamOptions("easy", **SMALL)
    write_bag(tmp_path / "bag", options, frames=2, compressed=True)
    messages_by_topic = read(tmp_path / "bag")
    assert COLOR.path not in messages_by_topic
    message = messages_by_topic[COMPRESSED.path][1][1]
    assert "jpeg" in message.format
    color = options.scene().render(1).color
    _, jpeg = cv2.imencode(".jpg", cv2.cvtColor(color, cv2.COLOR_RGB2BGR))
    assert bytes(message.data) == jpeg.tobytes()
    smooth = cv2.GaussianBlur(compressed_to_rgb(message), (0, 0), 3).astype(int)
    assert np.abs(smooth - cv2.GaussianBlur(color, (0, 0), 3)).mean() < 4, "red and blue must not be swapped"


def test_depth_encodings_hold_the_same_distances(tmp_path: Path) -> None:
    """Both encodings have the same distances and the same holes."""
    depths = []
    for encoding in ("16UC1", "32FC1"):
        options = StreamOptions("easy", depth_encoding=encoding, **SMALL)
        write_bag(tmp_path / encoding, options, frames=1)
        message = read(tmp_path / encoding)[DEPTH.path][0][1]
        assert message.encoding == encoding
        depths.append(depth_to_meters(message))
    assert np.isnan(depths[0]).any()
    np.testing.assert_allclose(*depths)


def test_dropped_frames_are_missing_and_jitter_delays_reception(tmp_path: Path) -> None:
    options = StreamOptions("easy", drop=0.4, jitter_ms=30.0, **SMALL)
    published = [index for index in range(20) if options.is_published(index)]
    assert 0 < len(published) < 20
    assert write_bag(tmp_path / "bag", options, frames=20) == len(published)
    messages_by_topic = read(tmp_path / "bag")[COLOR.path]
    assert [(stamp_ns(message.header.stamp) - BEGIN_NS) // options.period_ns for _, message in messages_by_topic] == published
    received = [time for time, _ in messages_by_topic]
    assert received == sorted(received)
    assert all(
        time >= stamp_ns(message.header.stamp) + options.delay_ns(index) for index, (time, message) in zip(published, messages_by_topic)
    )


def test_default_length_is_that_of_demo_or_clip(tmp_path: Path) -> None:
    size = {"width": 32, "height": 32}
    assert write_bag(tmp_path / "demo", StreamOptions(**size)) == DEMO_FRAMES
    assert write_bag(tmp_path / "cut", StreamOptions("scene_cut", **size)) == 80


def test_failed_write_reports_the_reason_and_leaves_no_bag(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = StreamOptions(**SMALL)
    (tmp_path / "here").mkdir()
    with pytest.raises(BagError, match="here already exists: choose another name"):
        write_bag(tmp_path / "here", options)
    with pytest.raises(BagError, match='storage "zip" is unknown; choose one of: sqlite3, mcap'):
        write_bag(tmp_path / "new", options, storage="zip")
    with pytest.raises(BagError, match="frames is 0; a bag needs at least one frame"):
        write_bag(tmp_path / "new", options, frames=0)
    (tmp_path / "file").touch()
    with pytest.raises(BagError, match="cannot be written: Not a directory"):
        write_bag(tmp_path / "file" / "bag", options)
    monkeypatch.setattr("lang2segtrack_ros.toyworld.scene.Scene.render", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        write_bag(tmp_path / "new", options, frames=3)
    assert not (tmp_path / "new").exists(), "a partial bag is not readable"


WITHOUT_ROS = """
import sys
for name in ("rclpy", "builtin_interfaces", "std_msgs", "sensor_msgs", "geometry_msgs", "vision_msgs", "lang2segtrack"):
    sys.modules[name] = None  # import raises ModuleNotFoundError
from lang2segtrack_ros.cli.main import main
sys.exit(main(sys.argv[1:]))
"""


def run_toy_bag(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a process without ROS and with random hash seeds."""
    command = [sys.executable, "-c", WITHOUT_ROS, "toy-bag", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=240, env={**os.environ, "PYTHONHASHSEED": "random"})


def test_command_works_without_ros_and_is_deterministic(tmp_path: Path) -> None:
    digests = []
    for name in ("first", "second"):
        process = run_toy_bag("crowd", str(tmp_path / name / "bag"), "--seed=7", "--frames=3", "--size=96x72", "--fps=10", "--storage=mcap")
        assert process.returncode == 0, process.stderr
        assert "3 frames of crowd, seed 7, 96 x 72" in process.stdout
        digests.append([hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted((tmp_path / name / "bag").iterdir())])
    assert digests[0] == digests[1]
    messages_by_topic = read(tmp_path / "first" / "bag")[COLOR.path]
    scene = StreamOptions("crowd", 7, 96, 72).scene()
    assert all(np.array_equal(image_to_rgb(message), scene.render(index).color) for index, (_, message) in enumerate(messages_by_topic))


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (("crosing",), 1, 'suite is "crosing"; it must be one of: demo, room, easy'),
        (("easy", "--size=64by48"), 2, '"64by48" is not a size; write it as 640x480'),
        (("easy", "--size=64x640"), 1, "the width must be 1 to 2.5 times the height"),
        (("easy", "--storage=zip"), 1, "one of: sqlite3, mcap"),
        (("easy", "--fps=0"), 1, "fps is 0.0; it must lie between"),
    ],
)
def test_command_rejects_invalid_arguments(tmp_path: Path, arguments: tuple[str, ...], code: int, sentence: str) -> None:
    process = run_toy_bag(arguments[0], str(tmp_path / "bag"), *arguments[1:])
    assert process.returncode == code
    assert sentence in process.stderr
    assert "Traceback" not in process.stderr
    assert not (tmp_path / "bag").exists()
