# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Choice of the image topic of a bag, and reading of its images in reverse order."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from rosbags.rosbag2 import StoragePlugin, Writer

from lang2segtrack_ros.io.result_messages import IMAGE, ResultMessages
from lang2segtrack_ros.recordings.bag_types import BagError, BagMessages
from lang2segtrack_ros.recordings.bags.images import BagImages, image_topic
from lang2segtrack_ros.recordings.bags.messages import MessageCodec
from lang2segtrack_ros.recordings.bags.reading import BagInput
from test.recordings.bags.making import header

SHAPE = (12, 16)
ENCODINGS = {"rgb8": ((*SHAPE, 3), np.uint8), "mono8": (SHAPE, np.uint8), "16UC1": (SHAPE, np.uint16), "32FC1": (SHAPE, np.float32)}


def record(path: Path, topics: dict[str, str]) -> Path:
    """Write a bag with one image for each topic, in the given encodings."""
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
        {"/a/depth": "rgb8", "/cam/color/image_raw": "rgb8"},  # depth shown in false colors
        {"/thermal": "mono8", "/z": "32FC1"},
    ],
    ids=["RealSense", "depth in false colors", "a single gray camera"],
)
def test_only_color_topic_or_only_camera_is_chosen(tmp_path: Path, topics: dict[str, str]) -> None:
    """Most bags have one camera with several topics, and users should not need an option for them."""
    expected = "/cam/color/image_raw" if "/cam/color/image_raw" in topics else "/thermal"
    with BagInput(record(tmp_path / "bag", topics)) as bag:
        chosen = image_topic(bag, "", MessageCodec())
        assert (chosen.name, chosen.kind) == (expected, IMAGE)
        assert chosen.reason.startswith(f"the only topic of {len(topics)} with")


def test_several_color_topics_need_a_choice(tmp_path: Path) -> None:
    """The error must list only the candidates, not infrared and depth topics."""
    with (
        BagInput(record(tmp_path / "bag", {"/left": "rgb8", "/right": "rgb8", "/infra": "mono8", "/z": "16UC1"})) as bag,
        pytest.raises(BagError, match=r"several topics have images; choose one with --topic: /left, /right$"),
    ):
        image_topic(bag, "", MessageCodec())


def test_bag_with_depth_only_is_refused(tmp_path: Path) -> None:
    """The networks need color images."""
    with (
        BagInput(record(tmp_path / "bag", {"/z": "16UC1"})) as bag,
        pytest.raises(BagError, match="no topic has an image in its first 10 that can be used for tracking; choose one with --topic: /z"),
    ):
        image_topic(bag, "", MessageCodec())


@pytest.mark.parametrize("first", ["dark", "broken"])
def test_first_images_that_are_dark_or_broken_do_not_decide(tmp_path: Path, first: str) -> None:
    """Cameras start with dark images. The gray topic beside it would be tracked otherwise, without a word."""
    library = BagMessages()
    make, store = ResultMessages(library), library.typestore
    color = np.random.default_rng(0).integers(1, 200, (*SHAPE, 3)).astype(np.uint8)
    with Writer(tmp_path / "bag", version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        topics = {topic: writer.add_connection(topic, IMAGE, typestore=store) for topic in ("/color", "/infra")}
        for stamp in range(1, 6):
            pixels = color if stamp > 3 else np.zeros_like(color)
            data = bytes(store.serialize_cdr(make.image(pixels, "rgb8", header(store.types, stamp)), IMAGE))
            writer.write(topics["/color"], stamp, data[:30] if first == "broken" and stamp <= 3 else data)
            gray = make.image(np.ascontiguousarray(color[..., 0]), "mono8", header(store.types, stamp))
            writer.write(topics["/infra"], stamp, bytes(store.serialize_cdr(gray, IMAGE)))
    with BagInput(tmp_path / "bag") as bag:
        assert image_topic(bag, "", MessageCodec()).name == "/color"


def test_bag_of_ros_1_is_named(tmp_path: Path) -> None:
    (tmp_path / "old.bag").write_bytes(b"#ROSBAG V2.0\n" + bytes(100))
    with pytest.raises(BagError, match=r"is a bag of ROS 1: convert it first, with rosbags-convert --src .*old\.bag --dst .*old$"):
        BagInput(tmp_path / "old.bag")


@pytest.mark.parametrize("step_back_s", [0.01, 0.3, 5.0])
@pytest.mark.parametrize("chunk_images", [1, 3, 64])
def test_reverse_reading_gives_equal_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step_back_s: float, chunk_images: int) -> None:
    """The backward pass reads the images again.

    In this bag the clock was set back between two files, so log times fall and the time ranges of the files overlap.
    """
    library = BagMessages()
    make, store = ResultMessages(library), library.typestore
    (tmp_path / "bag").mkdir()
    for part in range(2):
        with Writer(tmp_path / f"part{part}", version=9, storage_plugin=StoragePlugin.MCAP) as writer:
            connection = writer.add_connection("/color", IMAGE, typestore=store)
            for number in range(10 * part, 10 * part + 10):
                time = round(1e18 + number * 66e6 - part * step_back_s * 1e9)
                stamped = header(store.types, number + 1)
                message = make.image(np.full((*SHAPE, 3), (number, 0, 99), np.uint8), "rgb8", stamped)
                writer.write(connection, time, bytes(store.serialize_cdr(message, IMAGE)))
        (file,) = (tmp_path / f"part{part}").glob("*.mcap")
        file.rename(tmp_path / "bag" / f"bag_{part}.mcap")
    monkeypatch.setattr("lang2segtrack_ros.recordings.bags.images.CHUNK_BYTES", chunk_images * 3 * SHAPE[0] * SHAPE[1])
    with BagInput(tmp_path / "bag") as bag:
        images = BagImages(bag, "/color", MessageCodec())
        forward = [int(frame.color[0, 0, 0]) for frame in images.frames()]
        assert len(forward) >= 19, "only the first image after the step back may be out of order"
        assert [int(images.read(number).color[0, 0, 0]) for number in reversed(range(len(forward)))] == forward[::-1]
