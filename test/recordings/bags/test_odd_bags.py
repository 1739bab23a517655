# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""SQLite bags with odd topics, and images that use fewer than 16 bits."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rosbags.rosbag2 import StoragePlugin, Writer

from lang2segtrack_ros.io.result_messages import IMAGE, ResultMessages
from lang2segtrack_ros.recordings.bag_types import BagMessages
from lang2segtrack_ros.recordings.bags.reading import BagInput
from lang2segtrack_ros.recordings.forward import Scheduled
from lang2segtrack_ros.recordings.runs import OfflineError
from lang2segtrack_ros.segmentation.sam2 import Sam2Segmenter
from lang2segtrack_ros.toyworld.scene import Scene, SceneFrame
from lang2segtrack_ros.types.prompts import BoxPrompt
from test.conftest import body_box
from test.recordings.bags.making import PERIOD_NS, START_NS, TOPIC, contents, header, record
from test.recordings.bags.test_job import job


def test_database_with_a_latin_1_definition_is_not_damaged(tmp_path: Path, scene: Scene) -> None:
    """One byte in a comment of another topic must not hide the definitions of all topics."""
    source = record(tmp_path / "in", scene, 3, StoragePlugin.SQLITE3)
    messages = list(contents(source))
    with contextlib.closing(sqlite3.connect(source / "in.db3")) as base, base:
        text = "string data  # °C".encode("latin-1")
        base.execute(
            "UPDATE message_definitions SET encoded_message_definition = CAST(? AS TEXT) WHERE topic_type LIKE 'std_msgs%'", (text,)
        )
    with BagInput(source) as bag:
        assert [(item.topic, stamp, data) for item, stamp, data in bag.messages()] == messages
        assert {item.topic: item.msgdef.data for item in bag.connections}["/chatter"] == "string data  # °C"
        assert bag.damage == []


def test_topic_of_a_database_that_is_not_in_cdr_is_left_out(tmp_path: Path, scene: Scene) -> None:
    """No reader of ROS 2 opens a bag with such a topic, so the new bag must not declare it."""
    source = record(tmp_path / "in", scene, 3, StoragePlugin.SQLITE3)
    with contextlib.closing(sqlite3.connect(source / "in.db3")) as base, base:
        base.execute("UPDATE topics SET serialization_format = 'json' WHERE name = '/chatter'")
    with BagInput(source / "in.db3") as bag:
        assert {item.topic for item, _, _ in bag.messages()} == {TOPIC}
        assert bag.damage == ["topics that are not of ROS 2 are left out: /chatter with messages in json"]


def test_dark_16_bit_images_are_named_and_scaled_by_option(
    tmp_path: Path, segmenter: Sam2Segmenter, scene: Scene, frames: list[SceneFrame]
) -> None:
    """Cameras store 12 bits in 16. The error must tell, because nothing is found on nearly black images."""
    library = BagMessages()
    make, store = ResultMessages(library), library.typestore
    with Writer(tmp_path / "in", version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        connection = writer.add_connection("/deep", IMAGE, typestore=store)
        for number in range(3):
            message = make.image(frames[number].color.astype(np.uint16) << 4, "rgb16", header(store.types, START_NS + number * PERIOD_NS))
            writer.write(connection, START_NS + number * PERIOD_NS, bytes(store.serialize_cdr(message, IMAGE)))
    prompts = [Scheduled(0, BoxPrompt(body_box(frames[0], 1)))]
    with pytest.raises(OfflineError, match=r"nothing stands out there .*; the image is nearly black: .* set image_bits to 12"):
        job(tmp_path / "in", tmp_path / "dark", segmenter, frames, prompts=prompts, backward=False)
    options: dict[str, Any] = {"prompts": prompts, "backward": False, "overlay": True, "image_bits": 12}
    assert job(tmp_path / "in", tmp_path / "bright", segmenter, frames, **options).damage == []
    shown = next(store.deserialize_cdr(data, IMAGE) for topic, _, data in contents(tmp_path / "bright") if topic == "/overlay")
    pixels = np.asarray(shown.data).reshape(scene.height, scene.width, 3)
    assert np.count_nonzero((pixels == frames[0].color).all(axis=2)) > 0.7 * scene.width * scene.height
