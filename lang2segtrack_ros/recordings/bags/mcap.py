# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Reader of one MCAP file, also with foreign channels, without an index, unfinished or damaged (https://mcap.dev/spec).

The reader of rosbags refuses a whole file for one channel that is no ROS 2 topic, and ends at the first damaged chunk. This reader leaves
out such a channel or chunk, and reports it.
"""

from __future__ import annotations

import struct
import zlib
from bisect import bisect_left
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from rosbags.interfaces import Connection, ConnectionExtRosbag2, MessageDefinition, MessageDefinitionFormat
from rosbags.rosbag2 import ReaderError
from rosbags.rosbag2.metadata import ReaderMetadata, parse_qos
from rosbags.rosbag2.storage_mcap import DECOMPRESSORS

MAGIC = b"\x89MCAP0\r\n"
FOOTER, SCHEMA, CHANNEL, MESSAGE, CHUNK, CHUNK_INDEX, STATISTICS = 0x02, 0x03, 0x04, 0x05, 0x06, 0x08, 0x0B
HEAD = 9
"""Size of a record's opcode and length."""
_FOOTER_SIZE = HEAD + 20
_FORMATS = {"ros2msg": MessageDefinitionFormat.MSG, "ros2idl": MessageDefinitionFormat.IDL, "omgidl": MessageDefinitionFormat.IDL}

Buffer = bytes | memoryview
FileMessage = tuple[Connection, int, Buffer]
"""Topic, log time in nanoseconds, and serialized message."""


def decode_text(raw: bytes) -> str:
    """Return a text in UTF-8, else in Latin-1, which some tools write into the comments of a definition."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")


class _Fields:
    """The fields of a record, read one after the other. Raises struct.error or ReaderError if the record ends too early."""

    def __init__(self, data: Buffer) -> None:
        self._data = data
        self._position = 0

    def __bool__(self) -> bool:
        return self._position < len(self._data)

    def numbers(self, kind: str) -> tuple[int, ...]:
        """Return numbers of a format of `struct`."""
        values = struct.unpack_from("<" + kind, self._data, self._position)
        self._position += struct.calcsize("<" + kind)
        return values

    def data(self, kind: str = "I") -> Buffer:
        """Return bytes that follow their length, a number of the given format."""
        (length,) = self.numbers(kind)
        found = self._data[self._position : self._position + length]
        if len(found) < length:
            raise ReaderError(f"a field of {length} bytes exceeds its record")
        self._position += length
        return found

    def text(self) -> str:
        """Return a string."""
        return decode_text(bytes(self.data()))

    def pairs(self, kind: str) -> dict[Any, Any]:
        """Return a map of numbers, for example from channels to offsets."""
        return dict(struct.iter_unpack("<" + kind, self.data()))

    def texts(self) -> dict[str, str]:
        """Return a map of strings."""
        inner = _Fields(self.data())
        found = {}
        while inner:
            key = inner.text()
            found[key] = inner.text()
        return found


class _Schema(NamedTuple):
    name: str
    encoding: str
    text: str


class _Channel(NamedTuple):
    schema: int
    topic: str
    encoding: str
    metadata: dict[str, str]


@dataclass(frozen=True)
class _Block:
    """A chunk, or successive messages outside chunks.

    Attributes:
        begin: position of the first byte.
        end: position after the last byte.
        first: smallest log time, nanoseconds.
        last: largest log time, nanoseconds.
        channels: numbers of the channels in it; empty if unknown.
        is_chunk: True for a chunk.
    """

    begin: int
    end: int
    first: int
    last: int
    channels: frozenset[int]
    is_chunk: bool


class McapFile:
    """An MCAP file, with the interface of the storage readers of rosbags.

    Args:
        path: the file.

    Attributes:
        connections: the ROS 2 topics. Channels of other kinds are left out, see `foreign`.
        foreign: topic of each channel that is left out, with the reason.
        metadata: times and number of messages.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.connections: list[Connection] = []
        self.foreign: list[str] = []
        self.metadata = ReaderMetadata(0, 2**63 - 1, 0, 0, None, None, None, None)
        self._schemas: dict[int, _Schema] = {}
        self._channels: dict[int, _Channel] = {}
        self._counts: Counter[int] = Counter()
        self._blocks: list[_Block] = []
        self._damage: dict[int, tuple[_Block | None, str]] = {}  # position -> block and reason

    def open(self) -> None:
        """Find the chunks and the topics. Raises ReaderError if the file is not an MCAP file, OSError if it cannot be read."""
        self._file = self.path.open("rb")
        try:
            if self._file.read(len(MAGIC)) != MAGIC:
                raise ReaderError("it is not an MCAP file")
            self._size = self._file.seek(0, 2)
            index, counts, end = self._read_summary()
            self._find_blocks(index, end)
        except BaseException:
            self.close()
            raise
        if counts:
            self._counts = counts
        times = [time for block in self._blocks if block.last for time in (block.first, block.last)]  # an empty chunk has no times
        first, last, total = (min(times), max(times) + 1, sum(self._counts.values())) if times else (2**63 - 1, 0, 0)
        self.metadata = ReaderMetadata(max(0, last - first), first, last, total, None, None, None, None)
        self._connect()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    @property
    def damage(self) -> list[str]:
        """A sentence for each damage found so far."""
        sentences = []
        for position, (block, reason) in sorted(self._damage.items()):
            if block is None:
                sentences.append(f"{self.path.name} {reason}")
                continue
            start = self.metadata.start_time
            times = f"between {max(0, block.first - start) / 1e9:.3f} s and {max(0, block.last - start) / 1e9:.3f} s"
            sentences.append(
                f"{self.path.name}: the chunk at byte {position} is damaged ({reason}); its messages {times} from the start of the file "
                "are lost"
            )
        return sentences

    def messages(self, connections: Collection[Connection], start: int | None = None, stop: int | None = None) -> Iterator[FileMessage]:
        """Yield messages in the order of log times. Messages outside chunks come in the order of the file.

        Args:
            connections: the topics.
            start: yield only messages from this log time on, in nanoseconds; None for no bound.
            stop: yield only messages before this log time, in nanoseconds; None for no bound.
        """
        topics = {item.id: item for item in connections}
        low, high = start if start is not None else 0, stop if stop is not None else 2**64
        blocks = [
            block
            for block in self._blocks
            if block.first < high and block.last >= low and not (block.channels and block.channels.isdisjoint(topics))
        ]
        in_order = all(block.is_chunk for block in self._blocks)
        if in_order:
            blocks.sort(key=lambda block: block.first)
        waiting: list[FileMessage] = []  # those of chunks whose times overlap with the next chunk's
        for block, following in zip(blocks, [*blocks[1:], None]):
            found = (
                (topics[channel], time, data)
                for channel, time, data in self._block_messages(block)
                if channel in topics and low <= time < high
            )
            if not in_order:
                yield from found
                continue
            waiting = sorted([*waiting, *found], key=_time)
            ready = len(waiting) if following is None else bisect_left(waiting, following.first, key=_time)
            yield from waiting[:ready]
            waiting = waiting[ready:]

    def _read_summary(self) -> tuple[dict[int, tuple[_Block, int]], Counter[int], int]:
        """Return the chunks by their position, with the position after them; the counts of messages; and the end of the data section."""
        footer_at = self._size - _FOOTER_SIZE - len(MAGIC)
        footer = self._read(footer_at, self._size) if footer_at >= len(MAGIC) else b""
        if not footer.endswith(MAGIC) or footer[:HEAD] != struct.pack("<BQ", FOOTER, 20):
            return {}, Counter(), self._size  # an unfinished file; _find_blocks reports its end
        begin, _, crc = struct.unpack_from("<QQI", footer, HEAD)
        if not begin:
            return {}, Counter(), footer_at
        index: dict[int, tuple[_Block, int]] = {}
        counts: Counter[int] = Counter()
        try:
            summary = self._read(begin, footer_at) if len(MAGIC) <= begin <= footer_at else b""
            if not summary or (crc and zlib.crc32(summary + footer[: _FOOTER_SIZE - 4]) != crc):
                raise ReaderError("its bytes have changed")
            for opcode, data in _records(summary):
                fields = _Fields(data)
                if opcode == CHUNK_INDEX:
                    first, last, at, length = fields.numbers("QQQQ")
                    channels = frozenset(fields.pairs("HQ"))
                    (index_length,) = fields.numbers("Q")
                    index[at] = _Block(at, at + length, first, last, channels, True), at + length + index_length
                elif opcode == STATISTICS:
                    fields.numbers("QHIIIIQQ")
                    counts = Counter(fields.pairs("HQ"))
                else:
                    self._define(opcode, data)
        except (ReaderError, struct.error, ValueError) as error:
            self._damage[begin] = None, f"has a damaged index ({error}); all its chunks are read instead"
            return {}, Counter(), begin if len(MAGIC) <= begin <= footer_at else footer_at
        return index, counts, begin

    def _find_blocks(self, index: dict[int, tuple[_Block, int]], end: int) -> None:
        """Walk from record to record. The index spares reading its chunks, and leads on behind a damaged record."""
        position = len(MAGIC)
        while position < end:
            if position in index:
                block, position = index[position]
                self._blocks.append(block)
                continue
            head = self._read(position, position + HEAD)
            opcode, length = struct.unpack("<BQ", head) if len(head) == HEAD else (0, 0)
            after = position + HEAD + length
            if not opcode or after > end:
                known = min((at for at in index if at > position), default=None)
                rest = "it is read up to the damage" if known is None else "it is read on at the next chunk of its index"
                self._damage[position] = None, f"ends or is damaged after {position} of {self._size} bytes; {rest}"
                position = end if known is None else known
                continue
            if opcode == MESSAGE:
                self._add_message(position, after)
            elif opcode == CHUNK:
                self._scan_chunk(position, after)
            elif opcode in (SCHEMA, CHANNEL):
                self._define(opcode, self._read(position + HEAD, after))
            position = after

    def _add_message(self, begin: int, end: int) -> None:
        """Add a message outside chunks, to the block of the messages directly before it if there is one."""
        channel, _, time = struct.unpack("<HIQ", self._read(begin + HEAD, begin + HEAD + 14))
        self._counts[channel] += 1
        block = _Block(begin, end, time, time, frozenset([channel]), False)
        if self._blocks and self._blocks[-1].end == begin and not self._blocks[-1].is_chunk:
            before = self._blocks.pop()
            first, last = min(before.first, time), max(before.last, time)
            block = _Block(before.begin, end, first, last, before.channels | block.channels, False)
        self._blocks.append(block)

    def _scan_chunk(self, begin: int, end: int) -> None:
        """Add a chunk that is not in the index, with its topics and times."""
        head = self._read(begin + HEAD, begin + HEAD + 16)
        first, last = struct.unpack("<QQ", head) if len(head) == 16 else (0, 0)
        counts: Counter[int] = Counter()
        for channel, _, _ in self._block_messages(_Block(begin, end, first, last, frozenset(), True)):
            counts[channel] += 1
        self._counts += counts
        self._blocks.append(_Block(begin, end, first, last, frozenset(counts), True))

    def _block_messages(self, block: _Block) -> Iterator[tuple[int, int, Buffer]]:
        """Yield channel, log time and data of the messages of a block, up to its damage."""
        try:
            for opcode, data in _records(self._chunk(block)) if block.is_chunk else self._records_outside(block):
                if opcode == MESSAGE:
                    channel, _, time = struct.unpack_from("<HIQ", data)
                    yield channel, time, data[22:]
                else:
                    self._define(opcode, data)
        except (ReaderError, struct.error) as error:
            self._damage[block.begin] = block, str(error)

    def _chunk(self, block: _Block) -> Buffer:
        """Return the records of a chunk. Raises ReaderError or struct.error."""
        record = self._read(block.begin, block.end)
        if record[:HEAD] != struct.pack("<BQ", CHUNK, block.end - block.begin - HEAD):
            raise ReaderError("its head has changed")
        fields = _Fields(record[HEAD:])
        _, _, size, crc = fields.numbers("QQQI")
        compression = fields.text()
        if compression not in DECOMPRESSORS:
            raise ReaderError(f'the compression "{compression}" is not known')
        try:
            records = DECOMPRESSORS[compression](bytes(fields.data("Q")), size)
        except Exception as error:  # zstd and lz4 raise different types
            raise ReaderError(f"it cannot be decompressed: {error}") from error
        if len(records) != size or (crc and zlib.crc32(records) != crc):
            raise ReaderError("its checksum is wrong")
        return records

    def _records_outside(self, block: _Block) -> Iterator[tuple[int, Buffer]]:
        position = block.begin
        while position < block.end:
            opcode, length = struct.unpack("<BQ", self._read(position, position + HEAD))
            yield opcode, self._read(position + HEAD, position + HEAD + length)
            position += HEAD + length

    def _read(self, begin: int, end: int) -> bytes:
        self._file.seek(begin)
        return self._file.read(end - begin)

    def _define(self, opcode: int, data: Buffer) -> None:
        """Remember a schema or a channel. If its record is damaged, `_connect` reports the messages that miss it."""
        fields = _Fields(data)
        with suppress(ReaderError, struct.error):
            if opcode == SCHEMA:
                (number,) = fields.numbers("H")
                self._schemas[number] = _Schema(fields.text(), fields.text(), fields.text())
            elif opcode == CHANNEL:
                number, schema = fields.numbers("HH")
                self._channels[number] = _Channel(schema, fields.text(), fields.text(), fields.texts())

    def _connect(self) -> None:
        """Make a connection of each channel that is a ROS 2 topic."""
        for number, channel in sorted(self._channels.items()):
            schema = self._schemas.get(channel.schema)
            if channel.encoding != "cdr" or schema is None:
                reason = "without a type" if channel.encoding == "cdr" else f"with messages in {channel.encoding or 'no encoding'}"
                self.foreign.append(f"{channel.topic} {reason}")
                continue
            form = _FORMATS.get(schema.encoding, MessageDefinitionFormat.NONE)
            definition = MessageDefinition(form, schema.text if form != MessageDefinitionFormat.NONE else "")
            try:
                qos = parse_qos(channel.metadata.get("offered_qos_profiles", ""))
            except Exception:  # a broken profile raises many types; the default profile serves
                qos = []
            ext = ConnectionExtRosbag2(channel.encoding, qos)
            self.connections.append(Connection(number, channel.topic, schema.name, definition, "", self._counts[number], ext, self))
        lost = {number: count for number, count in self._counts.items() if number not in self._channels}
        if lost:
            self._damage[0] = None, f"has {sum(lost.values())} messages of topics whose declaration is lost; they are left out"


def _records(data: Buffer) -> Iterator[tuple[int, Buffer]]:
    """Yield opcode and content of successive records. Raises ReaderError at a record that exceeds the data."""
    data, position = memoryview(data), 0  # slices of it copy nothing
    while position < len(data):
        opcode, length = struct.unpack_from("<BQ", data, position)
        position += HEAD
        if not opcode or position + length > len(data):
            raise ReaderError("a record in it exceeds it")
        yield opcode, data[position : position + length]
        position += length


def _time(message: FileMessage) -> int:
    return message[1]
