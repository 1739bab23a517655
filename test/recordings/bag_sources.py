# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Random bags for `lang2segtrack bag`: storages, compressions, encodings, foreign topics, split files and damage."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml
from hypothesis import strategies as st
from numpy.typing import NDArray
from rosbags.rosbag2 import CompressionFormat, CompressionMode, Reader, StoragePlugin, Writer

from lang2segtrack_ros.io.result_messages import IMAGE
from lang2segtrack_ros.recordings.bag_types import BagMessages, offered_qos
from lang2segtrack_ros.recordings.bags.messages import COMPRESSED
from test.recordings.bags.making import PERIOD_NS, START_NS, TOPIC, header
from test.recordings.sources import Damage, Written, box, damages, encode, picture, sides

MESSAGES = BagMessages()
STORE = MESSAGES.typestore
STRING = "std_msgs/msg/String"
PIXELS = {
    "rgb8": lambda pixels: pixels,
    "bgr8": lambda pixels: pixels[..., ::-1],
    "rgba8": lambda pixels: np.dstack((pixels, np.full(pixels.shape[:2], 255, np.uint8))),
    "bgra8": lambda pixels: np.dstack((pixels[..., ::-1], np.full(pixels.shape[:2], 255, np.uint8))),
    "mono8": lambda pixels: pixels[..., 0],
    "mono16": lambda pixels: pixels[..., 0].astype(np.uint16) * 257,
    "bayer_rggb8": lambda pixels: pixels[..., 0],
    "yuv422": lambda pixels: cv2.cvtColor(pixels[:, : pixels.shape[1] // 2 * 2], cv2.COLOR_RGB2YUV_UYVY),
    "klingon8": lambda pixels: pixels,
}
"""Pixels of each encoding; the last one is unknown to everyone."""
FOREIGN = ("text", "depth", "second camera", "unknown type", "tracks", "empty")


def image(pixels: NDArray[np.uint8], encoding: str, stamp: int, lost_bytes: int) -> Any:
    """Return a raw or a compressed image message, whose data may be too short."""
    types = STORE.types
    if encoding in ("jpeg", "png"):
        data = np.frombuffer(encode(f".{encoding}", pixels[..., ::-1]), np.uint8)
        return types[COMPRESSED](header=header(types, stamp), format=encoding, data=data[: max(0, len(data) - lost_bytes)])
    values = np.ascontiguousarray(PIXELS[encoding](pixels))
    data = values.reshape(-1).view(np.uint8)
    height, width = values.shape[:2]
    return types[IMAGE](
        header=header(types, stamp),
        height=height,
        width=width,
        encoding=encoding,
        is_bigendian=0,
        step=len(data) // height,
        data=data[: max(0, len(data) - lost_bytes)],
    )


@dataclass(frozen=True)
class Bag:
    """A bag with one topic of images to track.

    Attributes:
        encodings: encoding of each image; "jpeg" or "png" on all of them for compressed images.
        lost_bytes: missing bytes at the end of each image's data.
        files: number of files.
        damage: damage of the last file.
    """

    storage: str
    compression: str
    size: tuple[int, int]
    encodings: tuple[str, ...]
    lost_bytes: tuple[int, ...]
    foreign: tuple[str, ...]
    files: int
    has_metadata: bool
    as_file: bool
    damage: Damage
    names_topic: bool

    def write(self, folder: Path) -> Written:
        path = folder / "bag"
        cuts = [round(part * len(self.encodings) / self.files) for part in range(self.files + 1)]
        messages = [
            message for part in range(self.files) for message in self._record(folder / f"part_{part}", range(cuts[part], cuts[part + 1]))
        ]
        join([folder / f"part_{part}" for part in range(self.files)], path)
        if not self.has_metadata:
            (path / "metadata.yaml").unlink()
        files = sorted(item for item in path.iterdir() if item.suffix != ".yaml")
        files[-1].write_bytes(self.damage.of(files[-1].read_bytes()))
        is_single = self.as_file and len(files) == 1
        is_exact = self.damage == Damage() and (self.has_metadata or self.compression != "FILE")
        source = files[0] if is_single else path
        options = [*(["--topic", TOPIC] if self.names_topic else []), *(["--namespace", "new"] if "tracks" in self.foreign else [])]
        readable = max(plain_count(path), sum(map(plain_count, files)))
        return Written(source, len(self.encodings), readable, is_exact, ("--box", box(*self.size), *options), tuple(messages))

    def _record(self, path: Path, numbers: range) -> list[tuple[str, int, bytes]]:
        """Write one file of the bag. Return its messages."""
        has_chunks = self.storage == "MCAP"
        mode = CompressionMode["MESSAGE" if self.compression == "STORAGE" and not has_chunks else self.compression]
        kind = COMPRESSED if self.encodings[0] in ("jpeg", "png") else IMAGE
        writer = Writer(path, version=9, storage_plugin=StoragePlugin[self.storage])
        writer.set_compression(mode, CompressionFormat.ZSTD)
        messages = []
        with writer:

            def put(connection: Any, stamp: int, data: bytes) -> None:
                writer.write(connection, stamp, data)
                messages.append((connection.topic, stamp, data))

            images = writer.add_connection(TOPIC, kind, typestore=STORE, offered_qos_profiles=[offered_qos(5)])
            others = {name: self._foreign(writer, name) for name in self.foreign}
            for number in numbers:
                stamp = START_NS + number * PERIOD_NS
                pixels = picture(*self.size, number)
                message = image(pixels, self.encodings[number], stamp, self.lost_bytes[number % len(self.lost_bytes)])
                put(images, stamp + 5_000_000, bytes(STORE.serialize_cdr(message, kind)))
                for name, connection in others.items():
                    data = self._foreign_message(name, pixels, stamp)
                    if data:
                        put(connection, stamp, data)
        return messages

    def _foreign(self, writer: Writer, name: str) -> Any:
        if name == "unknown type":
            return writer.add_connection("/thing", "robot_msgs/msg/Thing", msgdef="int32 x\n", rihs01="RIHS01_" + "1" * 64)
        topics = {"depth": "/camera/depth/image_raw", "second camera": "/rear/image_raw", "tracks": "/tracks"}
        return writer.add_connection(topics.get(name, f"/{name}"), IMAGE if name in ("depth", "second camera") else STRING, typestore=STORE)

    def _foreign_message(self, name: str, pixels: NDArray[np.uint8], stamp: int) -> bytes:
        if name == "unknown type":
            return b"\0\1\0\0\7\0\0\0"
        if name == "second camera":
            return bytes(STORE.serialize_cdr(image(pixels, "rgb8", stamp, 0), IMAGE))
        if name == "depth":
            message = image(pixels, "mono16", stamp, 0)
            message.encoding = "16UC1"
            return bytes(STORE.serialize_cdr(message, IMAGE))
        return b"" if name == "empty" else bytes(STORE.serialize_cdr(STORE.types[STRING](data="text"), STRING))


def join(parts: list[Path], path: Path) -> None:
    """Join bags of one file each into a split bag, as `ros2 bag record --max-bag-duration` writes it."""
    path.mkdir()
    merged: dict[str, Any] = {}
    for part in parts:
        information = yaml.safe_load((part / "metadata.yaml").read_text())["rosbag2_bagfile_information"]
        for name in information["relative_file_paths"]:
            (part / name).rename(path / name)
        if not merged:
            merged = information
            continue
        merged["relative_file_paths"] += information["relative_file_paths"]
        merged["files"] += information["files"]
        merged["message_count"] += information["message_count"]
        for topic, more in zip(merged["topics_with_message_count"], information["topics_with_message_count"]):
            topic["message_count"] += more["message_count"]
        merged["duration"]["nanoseconds"] += information["duration"]["nanoseconds"] + PERIOD_NS
    (path / "metadata.yaml").write_text(yaml.safe_dump({"rosbag2_bagfile_information": merged}, sort_keys=False))


def plain_count(path: Path) -> int:
    """Return the number of images that rosbags reads before the first error."""
    count = 0
    try:
        with Reader(path) as reader:
            for connection, _, _ in reader.messages():
                count += connection.topic == TOPIC
    except Exception:  # SQLite, zstd, lz4 and rosbags raise many types
        return count
    return count


@st.composite
def bags(draw: Any) -> Bag:
    """Draw a bag."""
    count = draw(st.integers(1, 6))
    compressed = draw(st.sampled_from(["", "", "jpeg", "png"]))
    encoding = st.just(compressed) if compressed else st.one_of(st.just("rgb8"), st.sampled_from(sorted(PIXELS)))
    return Bag(
        storage=draw(st.sampled_from(["MCAP", "SQLITE3"])),
        compression=draw(st.sampled_from(["NONE", "NONE", "MESSAGE", "FILE", "STORAGE"])),
        size=draw(st.tuples(sides, sides)),
        encodings=tuple(draw(st.lists(encoding, min_size=count, max_size=count))),
        lost_bytes=tuple(draw(st.lists(st.sampled_from([*[0] * 8, 1, 200, 10**6]), min_size=1, max_size=6))),
        foreign=tuple(draw(st.lists(st.sampled_from(FOREIGN), max_size=2, unique=True))),
        files=draw(st.integers(1, min(2, count))),
        has_metadata=draw(st.sampled_from([True, True, False])),
        as_file=draw(st.booleans()),
        damage=draw(damages),
        names_topic=draw(st.sampled_from([True, True, False])),
    )
