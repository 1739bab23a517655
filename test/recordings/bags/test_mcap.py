# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""MCAP files with channels of other kinds, with and without an index, and with damaged chunks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from rosbags.interfaces import MessageDefinitionFormat
from rosbags.rosbag2 import CompressionFormat, CompressionMode, Reader, StoragePlugin, Writer

from lang2segtrack_ros.io.result_messages import IMAGE, ResultMessages
from lang2segtrack_ros.recordings.bag_types import BagError, BagMessages
from lang2segtrack_ros.recordings.bags.images import image_topic
from lang2segtrack_ros.recordings.bags.job import BagJob, BagOptions
from lang2segtrack_ros.recordings.bags.messages import MessageCodec
from lang2segtrack_ros.recordings.bags.reading import BagInput, zstd
from lang2segtrack_ros.recordings.forward import Scheduled
from lang2segtrack_ros.segmentation.sam2 import Sam2Segmenter
from lang2segtrack_ros.session.session import Session
from lang2segtrack_ros.toyworld.scene import SceneFrame
from lang2segtrack_ros.types.prompts import BoxPrompt
from test.conftest import body_box
from test.recordings.bags.making import START_NS, header
from test.recordings.bags.mcap_writer import Channel, write_mcap

STEP = 100_000_000
STORE = BagMessages().typestore
IMAGE_TEXT = STORE.generate_msgdef(IMAGE, ros_version=2)[0]
COLOR = Channel("/color", IMAGE, IMAGE_TEXT.encode())
FOREIGN = {
    "json": Channel("/odd", "Pose", b"{}", "jsonschema", "json"),
    "protobuf": Channel("/odd", "foxglove.Pose", b"\x0a\xff\x00", "protobuf", "protobuf"),
    "ros1": Channel("/odd", "std_msgs/String", b"string data", "ros1msg", "ros1"),
    "no schema": Channel("/odd", ""),
}
COPIED = {
    "omgidl": Channel("/odd", "my_msgs/msg/Odd", b"module my_msgs { module msg { struct Odd { string data; }; }; };", "omgidl"),
    "ros2idl": Channel("/odd", "my_msgs/msg/Odd", b"module my_msgs { module msg { struct Odd { string data; }; }; };", "ros2idl"),
    "Latin-1": Channel("/odd", "my_msgs/msg/Odd", "string data  # température en °C".encode("latin-1")),
    "empty definition": Channel("/odd", "my_msgs/msg/Odd", b"", ""),
    "unknown schema encoding": Channel("/odd", "my_msgs/msg/Odd", b"\xff\x00", "flatbuffer"),
}
LAYOUTS = [("zstd", True), ("zstd", False), ("lz4", True), ("lz4", False), ("", True), ("", False), (None, True), (None, False)]


def image(number: int, color: np.ndarray) -> bytes:
    make = ResultMessages(BagMessages()).image(color, "rgb8", header(STORE.types, START_NS + number * STEP))
    return bytes(STORE.serialize_cdr(make, IMAGE))


def small_images(count: int) -> list[tuple[str, int, bytes]]:
    colors = (np.full((6, 8, 3), (number, 0, 99), np.uint8) for number in range(count))
    return [("/color", START_NS + number * STEP, image(number, color)) for number, color in enumerate(colors)]


@pytest.mark.parametrize("channel", FOREIGN.values(), ids=FOREIGN)
@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_channel_that_is_no_ros_2_topic_is_left_out(tmp_path: Path, channel: Channel, layout: tuple[str | None, bool]) -> None:
    """Foxglove and other tools add such channels. The images beside them must be readable, and the warning must name the channel."""
    messages = small_images(6)
    mixed = [item for message in messages for item in (message, ("/odd", message[1], b"\x00\x01\x00\x00{}"))]
    write_mcap(tmp_path / "a.mcap", [channel, COLOR], mixed, *layout)
    with BagInput(tmp_path / "a.mcap") as bag:
        assert [item.topic for item in bag.connections] == ["/color"]
        assert [(item.topic, time, data) for item, time, data in bag.messages()] == messages
        reason = "without a type" if not channel.schema else f"with messages in {channel.encoding}"
        assert bag.damage == [f"topics that are not of ROS 2 are left out: /odd {reason}"]


@pytest.mark.parametrize("channel", COPIED.values(), ids=COPIED)
@pytest.mark.parametrize("layout", [("zstd", True), ("zstd", False), (None, False)], ids=str)
def test_ros_2_topic_with_an_odd_definition_is_kept(tmp_path: Path, channel: Channel, layout: tuple[str | None, bool]) -> None:
    """The messages are those of ROS 2, so they are copied; one odd byte in a comment must not end the run."""
    messages = [item for message in small_images(6) for item in (message, ("/odd", message[1], b"\x00\x01\x00\x00odd"))]
    write_mcap(tmp_path / "a.mcap", [channel, COLOR], messages, *layout)
    with BagInput(tmp_path / "a.mcap") as bag:
        assert [(item.topic, time, data) for item, time, data in bag.messages()] == messages
        assert bag.damage == []


@pytest.mark.parametrize(
    "channel", [FOREIGN["json"], FOREIGN["no schema"], COPIED["omgidl"], COPIED["Latin-1"]], ids=lambda item: item.schema
)
def test_job_tracks_the_images_beside_the_odd_topic(
    tmp_path: Path, segmenter: Sam2Segmenter, frames: list[SceneFrame], channel: Channel
) -> None:
    """The new bag must be readable by rosbags, with the topics of ROS 2 and their definitions."""
    images = [("/color", START_NS + number * STEP, image(number, frames[number].color)) for number in range(4)]
    messages = [item for message in images for item in (message, ("/odd", message[1], b"\x00\x01\x00\x00odd"))]
    write_mcap(tmp_path / "a.mcap", [channel, COLOR], messages, profile="")
    options = BagOptions(prompts=[Scheduled(0, BoxPrompt(body_box(frames[0], 1), "red circle"))], backward=False)
    summary = BagJob(tmp_path / "a.mcap", tmp_path / "out", lambda: Session(segmenter), options, lambda *_: None).run()
    assert summary.images == 4
    kept = channel.encoding == "cdr" and bool(channel.schema)
    assert bool(summary.damage) != kept
    with Reader(tmp_path / "out") as reader:
        by_topic = {item.topic: item for item in reader.connections}
        assert {"/color", "/tracks"} <= set(by_topic)
        assert ("/odd" in by_topic) == kept
        if channel.schema_encoding == "omgidl":
            assert by_topic["/odd"].msgdef.format == MessageDefinitionFormat.IDL
            assert "struct Odd" in by_topic["/odd"].msgdef.data


@pytest.mark.parametrize("indexed", [True, False])
@pytest.mark.parametrize("compression", ["zstd", "lz4", ""])
def test_damaged_chunk_is_left_out_and_reading_goes_on(tmp_path: Path, compression: str, indexed: bool) -> None:
    """A bad sector must cost its own messages only. The sentence must tell which, because nobody sees a gap in a long recording."""
    messages, file = small_images(20), tmp_path / "a.mcap"
    begin, end = write_mcap(file, [COLOR], messages, compression, indexed)[2]
    data = bytearray(file.read_bytes())
    middle = (begin + end) // 2
    data[middle : middle + 4] = bytes(value ^ 0x5A for value in data[middle : middle + 4])
    file.write_bytes(data)
    with BagInput(file) as bag:
        assert [(item.topic, time, data) for item, time, data in bag.messages()] == messages[:8] + messages[12:]
        [sentence] = bag.damage
        assert sentence.startswith("a.mcap: the chunk at byte ")
        assert sentence.endswith("; its messages between 0.800 s and 1.100 s from the start of the file are lost")
        assert list(bag.messages("/color", messages[9][1], messages[14][1])) == list(bag.messages())[8:10], "a part is read as the whole"
        assert len(bag.damage) == 1, "each damage is told once"


def test_damaged_head_of_a_chunk_is_passed_with_the_index(tmp_path: Path) -> None:
    """The length of the record is then wrong, so only the index knows where the next chunk begins."""
    messages, file = small_images(12), tmp_path / "a.mcap"
    begin, _ = write_mcap(file, [COLOR], messages)[1]
    data = bytearray(file.read_bytes())
    head = data.rfind(b"\x06", 0, begin - 40)
    data[head : head + 9] = b"\xff" * 9
    file.write_bytes(data)
    with BagInput(file) as bag:
        assert [time for _, time, _ in bag.messages()] == [time for _, time, _ in messages[:4] + messages[8:]]
        assert "(its head has changed); its messages between 0.400 s and 0.700 s" in bag.damage[0]


def test_damaged_index_is_replaced_by_the_chunks(tmp_path: Path) -> None:
    """The index is a copy of what the chunks hold."""
    messages, file = small_images(12), tmp_path / "a.mcap"
    write_mcap(file, [COLOR], messages)
    data = bytearray(file.read_bytes())
    data[data.rfind(b"/color") + 1] ^= 0x20
    file.write_bytes(data)
    with BagInput(file) as bag:
        assert [(item.topic, time, data) for item, time, data in bag.messages()] == messages
        assert bag.damage == ["a.mcap has a damaged index (its bytes have changed); all its chunks are read instead"]


def test_lost_declarations_are_reported(tmp_path: Path) -> None:
    """Without an index, the first chunk alone declares the topics. The error must tell why the bag has no images."""
    file = tmp_path / "a.mcap"
    begin, end = write_mcap(file, [COLOR], small_images(12), "", indexed=False)[0]
    data = bytearray(file.read_bytes())
    data[begin:end] = bytes(end - begin)
    file.write_bytes(data)
    with BagInput(file) as bag:
        assert list(bag.messages()) == []
        assert "a.mcap has 8 messages of topics whose declaration is lost; they are left out" in bag.damage


@pytest.mark.parametrize("indexed", [True, False])
def test_messages_of_overlapping_chunks_come_in_order_of_time(tmp_path: Path, indexed: bool) -> None:
    """Several writers fill chunks whose times overlap. Images out of order would be refused."""
    messages = small_images(12)
    late = [*messages[:3], messages[5], *messages[3:5], *messages[6:]]
    write_mcap(tmp_path / "a.mcap", [COLOR], late, "zstd", indexed)
    with BagInput(tmp_path / "a.mcap") as bag:
        assert [(item.topic, time, data) for item, time, data in bag.messages()] == messages


def test_file_without_images_names_what_was_left_out(tmp_path: Path) -> None:
    """All cameras of the file may be foreign channels. A plain "no images" would send the user to the wrong place."""
    write_mcap(tmp_path / "a.mcap", [FOREIGN["json"]], [("/odd", START_NS, b"{}")])
    with (
        BagInput(tmp_path / "a.mcap") as bag,
        pytest.raises(BagError, match="its topics: none; topics that are not of ROS 2 are left out: /odd with messages in json"),
    ):
        image_topic(bag, "", MessageCodec())


def test_file_that_is_no_mcap_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.mcap").write_bytes(b"\x00" * 500)
    with pytest.raises(BagError, match=r"/a\.mcap: a\.mcap cannot be read: it is not an MCAP file"):
        BagInput(tmp_path / "a.mcap")


@pytest.mark.parametrize("whole", [True, False], ids=["folder", "file"])
@pytest.mark.parametrize("storage", [StoragePlugin.SQLITE3, StoragePlugin.MCAP], ids=lambda item: item.name)
def test_damaged_compressed_message_is_left_out(tmp_path: Path, storage: StoragePlugin, whole: bool) -> None:
    """Each message is compressed on its own, so the messages after it are intact."""
    writer = Writer(tmp_path / "bag", version=9, storage_plugin=storage)
    writer.set_compression(CompressionMode.MESSAGE, CompressionFormat.ZSTD)
    messages = small_images(6)
    with writer:
        connection = writer.add_connection("/color", IMAGE, typestore=STORE)
        for _, time, data in messages:
            writer.write(connection, time, data)
    file = next(path for path in (tmp_path / "bag").iterdir() if path.suffix in (".db3", ".mcap"))
    content = file.read_bytes()
    broken = zstd.compress(messages[2][2])
    assert broken in content
    file.write_bytes(content.replace(broken, broken[:4] + b"\xff" * (len(broken) - 4)))
    with BagInput(tmp_path / "bag" if whole else file) as bag:
        assert [time for _, time, _ in bag.messages()] == [time for _, time, _ in messages[:2] + messages[3:]]
        [sentence] = bag.damage
        count = "damaged compressed messages of /color, which are left out: 1"
        assert sentence.startswith(f"{count}; the first has the log time {messages[2][1] / 1e9:.3f} s (")
