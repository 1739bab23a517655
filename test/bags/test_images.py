# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Which of a bag's topics is tracked when none is named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from rosbags.rosbag2 import StoragePlugin, Writer

from lang2segtrack_ros.bag_types import BagError, BagMessages
from lang2segtrack_ros.bags.images import image_topic
from lang2segtrack_ros.bags.messages import Messages
from lang2segtrack_ros.bags.reading import BagInput
from lang2segtrack_ros.result_messages import IMAGE, ResultMessages
from test.bags.making import header

SHAPE = (12, 16)
ENCODINGS = {"rgb8": ((*SHAPE, 3), np.uint8), "mono8": (SHAPE, np.uint8), "16UC1": (SHAPE, np.uint16), "32FC1": (SHAPE, np.float32)}


def record(path: Path, topics: dict[str, str]) -> Path:
    """A bag of one image of each topic, in the given encodings."""
    library = BagMessages()
    make, store = ResultMessages(library), library.typestore
    rng = np.random.default_rng(0)
    with Writer(path, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        for topic, encoding in topics.items():
            shape, kind = ENCODINGS[encoding]
            message = make.image(rng.integers(1, 200, shape).astype(kind), encoding, header(store.types, 1))
            writer.write(writer.add_connection(topic, IMAGE, typestore=store), 1, bytes(store.serialize_cdr(message, IMAGE)))
    return path


@pytest.mark.parametrize(
    "topics",
    [
        {"/cam/infra1/image_rect_raw": "mono8", "/cam/infra2/image_rect_raw": "mono8", "/cam/color/image_raw": "rgb8", "/cam/z": "16UC1"},
        {"/a/depth": "rgb8", "/cam/color/image_raw": "rgb8"},  # depth that is painted in colours
        {"/thermal": "mono8", "/z": "32FC1"},
    ],
    ids=["RealSense", "painted depth", "a single grey camera"],
)
def test_the_one_with_colours_is_or_the_only_one(tmp_path: Path, topics: dict[str, str]) -> None:
    wanted = "/cam/color/image_raw" if "/cam/color/image_raw" in topics else "/thermal"
    with BagInput(record(tmp_path / "bag", topics)) as bag:
        assert image_topic(bag, "", Messages()) == (wanted, IMAGE)


def test_several_must_be_chosen_from(tmp_path: Path) -> None:
    """And only those are named that may be meant."""
    with (
        BagInput(record(tmp_path / "bag", {"/left": "rgb8", "/right": "rgb8", "/infra": "mono8", "/z": "16UC1"})) as bag,
        pytest.raises(BagError, match=r"several topics hold images; choose one with --topic: /left, /right$"),
    ):
        image_topic(bag, "", Messages())


def test_depth_alone_is_nothing_to_track_in(tmp_path: Path) -> None:
    with (
        BagInput(record(tmp_path / "bag", {"/z": "16UC1"})) as bag,
        pytest.raises(BagError, match="no topic begins with an image that can be tracked in; choose one with --topic: /z"),
    ):
        image_topic(bag, "", Messages())
