# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""A writer of MCAP files that can also write what ROS 2 does not: foreign channels, no index, messages outside chunks."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from lz4.frame import compress as lz4_compress

from lang2segtrack_ros.recordings.bags.reading import zstd

MAGIC = b"\x89MCAP0\r\n"
COMPRESS = {"": bytes, "lz4": lz4_compress, "zstd": zstd.compress}


@dataclass(frozen=True)
class Channel:
    """A channel with its schema; a schema name of "" writes schema id 0."""

    topic: str
    schema: str
    definition: bytes = b""
    schema_encoding: str = "ros2msg"
    encoding: str = "cdr"


def record(opcode: int, content: bytes) -> bytes:
    return struct.pack("<BQ", opcode, len(content)) + content


def text(value: str | bytes) -> bytes:
    raw = value.encode() if isinstance(value, str) else value
    return struct.pack("<I", len(raw)) + raw


def declarations(channels: list[Channel]) -> bytes:
    """Return the schemas and channels; a channel's number is its index plus 1."""
    found = b""
    for number, item in enumerate(channels, 1):
        if item.schema:
            found += record(3, struct.pack("<H", number) + text(item.schema) + text(item.schema_encoding) + text(item.definition))
        schema = number if item.schema else 0
        found += record(4, struct.pack("<HH", number, schema) + text(item.topic) + text(item.encoding) + text(b""))
    return found


def write_mcap(
    path: Path,
    channels: list[Channel],
    messages: Iterable[tuple[str, int, bytes]],
    compression: str | None = "zstd",
    indexed: bool = True,
    per_chunk: int = 4,
    profile: str = "ros2",
) -> list[tuple[int, int]]:
    """Write a file.

    Args:
        path: the file.
        channels: the channels.
        messages: topic, log time and data, in order.
        compression: of the chunks; None for messages outside chunks.
        indexed: write a summary.
        per_chunk: messages in a chunk.
        profile: profile in the header.

    Returns:
        Begin and end of the compressed records of each chunk.
    """
    numbers = {item.topic: number for number, item in enumerate(channels, 1)}
    items = list(messages)
    data = MAGIC + record(1, text(profile) + text("test"))
    index, spans = b"", []
    if compression is None:
        data += declarations(channels)
    for start in range(0, len(items), per_chunk):
        part = items[start : start + per_chunk]
        records = b"" if start or compression is None else declarations(channels)
        for topic, time, payload in part:
            records += record(5, struct.pack("<HIQQ", numbers[topic], 0, time, time) + payload)
        if compression is None:
            data += records
            continue
        packed = COMPRESS[compression](records)
        times = part[0][1], part[-1][1]
        content = struct.pack("<QQQI", *times, len(records), zlib.crc32(records)) + text(compression) + struct.pack("<Q", len(packed))
        begin, length = len(data), 9 + len(content) + len(packed)
        spans.append((begin + 9 + len(content), begin + length))
        index += record(
            8, struct.pack("<QQQQIQ", *times, begin, length, 0, 0) + text(compression) + struct.pack("<QQ", len(packed), len(records))
        )
        data += record(6, content + packed)
    data += record(15, bytes(4))
    summary = declarations(channels) + index if indexed else b""
    footer = struct.pack("<BQQQ", 2, 20, len(data) if indexed else 0, 0)
    checksum = zlib.crc32(summary + footer) if indexed else 0
    path.write_bytes(data + summary + footer + struct.pack("<I", checksum) + MAGIC)
    return spans
