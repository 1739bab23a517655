# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Reader of rosbag2 recordings in MCAP or SQLite format: split, compressed, unfinished or damaged.

rosbags reads intact bags. If rosbags refuses a bag, this module reads each file from its start up to the damage, and reports the damage.
"""

from __future__ import annotations

import io
import re
import sqlite3
import struct
import sys
from collections.abc import Collection, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import MappingProxyType
from typing import Any

from rosbags.interfaces import Connection, ConnectionExtRosbag2, MessageDefinition, MessageDefinitionFormat
from rosbags.rosbag2 import Reader, ReaderError
from rosbags.rosbag2.metadata import ReaderMetadata, parse_qos
from rosbags.rosbag2.reader import DirectoryReader
from rosbags.rosbag2.storage_mcap import McapReader
from rosbags.rosbag2.storage_sqlite3 import Sqlite3Reader

from lang2segtrack_ros.io.sources import natural_order
from lang2segtrack_ros.recordings.bag_types import BagError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

Message = tuple[Connection, int, bytes]
MAGIC = b"\x89MCAP0\r\n"
MCAP_END = b"\x02" + struct.pack("<QQQI", 20, 0, 0, 0) + MAGIC  # end marker with a footer that declares no summary section
NO_DEFINITION = MessageDefinition(MessageDefinitionFormat.NONE, "")
COMPRESSED_FILES = (".zst", ".zstd")
ZSTD_FRAME = b"\x28\xb5\x2f\xfd"
"""First bytes of an individually compressed message; a serialized message begins with 0."""
ROS1_MAGIC = b"#ROSBAG V"
READ_ERRORS = (ReaderError, OSError, ValueError, LookupError, TypeError, EOFError, zstd.ZstdError)
"""Types that rosbags and its decompressors raise for damaged files."""
DATA_END, FOOTER, LAST_OPCODE = 0x0F, 0x02, 0x0F


class _TruncatedMcap(io.RawIOBase):
    """A file view of the intact first bytes of an MCAP file, followed by a valid end marker."""

    def __init__(self, path: Path, size: int) -> None:
        self._file = path.open("rb")
        self._size = size
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size + len(MCAP_END)}[whence]
        self._position = max(0, base + offset)
        return self._position

    def readinto(self, buffer: Any) -> int:
        if self._position < self._size:
            self._file.seek(self._position)
            data = self._file.read(min(len(buffer), self._size - self._position))
        else:
            begin = self._position - self._size
            data = MCAP_END[begin : begin + len(buffer)]
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)

    def close(self) -> None:
        self._file.close()
        super().close()


class _DamagedMcap(McapReader):
    """A reader for an MCAP file without a valid end; it scans the complete records in file order."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._intact_size = _intact_bytes(path)
        self.damage = f"{path.name} ends or is damaged after {self._intact_size} of {path.stat().st_size} bytes"

    def open(self) -> None:
        self.bio = io.BufferedReader(_TruncatedMcap(self.path, self._intact_size))  # type: ignore[arg-type]
        self._open()

    def messages(self, connections: Collection[Connection], start: int | None = None, stop: int | None = None) -> Iterator[Message]:  # type: ignore[override]
        yield from self.messages_scan(connections, start, stop)


def _intact_bytes(path: Path) -> int:
    """Return the size of the complete records at the start of an MCAP file. Raises BagError if the file is not MCAP."""
    size = path.stat().st_size
    with path.open("rb") as file:
        if file.read(8) != MAGIC:
            raise BagError(f"{path} is not an MCAP file")
        while True:
            position = file.tell()
            head = file.read(9)
            if len(head) < 9:
                return position
            opcode, length = struct.unpack("<BQ", head)
            if opcode in (DATA_END, FOOTER) or not 1 <= opcode <= LAST_OPCODE or position + 9 + length > size:
                return position
            file.seek(length, io.SEEK_CUR)


class _DamagedSqlite:
    """A reader for a SQLite file that rosbags refuses; it reads messages in the order they were written, up to the damage."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.damage = f"{path.name} is damaged or unfinished"
        self.connections: list[Connection] = []

    def open(self) -> None:
        try:
            self._database = sqlite3.connect(f"file:{self.path}?mode=ro", uri=True)
            self._database.execute("PRAGMA writable_schema=ON")  # otherwise SQLite refuses a truncated file
            rows = self._database.execute("SELECT id, name, type, serialization_format, offered_qos_profiles FROM topics").fetchall()
        except sqlite3.Error as error:
            raise BagError(f"{self.path} cannot be read: {error}") from error
        for topic_id, name, kind, form, qos in rows:
            if not all(isinstance(value, str) for value in (name, kind, form, qos)):
                self.damage += f"; the name or type of topic {topic_id} is lost, so its messages are left out"
                continue
            ext = ConnectionExtRosbag2(form, parse_qos(qos))
            self.connections.append(Connection(topic_id, name, kind, NO_DEFINITION, "", 0, ext, self))

    def messages(self, connections: Collection[Connection], start: int | None = None, stop: int | None = None) -> Iterator[Message]:
        by_id = {connection.id: connection for connection in connections}
        rows = self._database.execute("SELECT topic_id, timestamp, data FROM messages ORDER BY id")
        while True:
            try:
                row = rows.fetchone()
            except sqlite3.Error as error:
                raise ReaderError(str(error)) from error
            if row is None:
                return
            if row[0] in by_id and (start is None or row[1] >= start) and (stop is None or row[1] < stop):
                yield by_id[row[0]], row[1], row[2]

    def close(self) -> None:
        self._database.close()


class _Sqlite(Sqlite3Reader):
    """A reader for SQLite files that also accepts empty message definitions.

    rosbag2 writes an empty definition if it does not find the package of a topic. rosbags refuses such a file.
    """

    def _open(self) -> None:
        log = Path(f"{self.path}-wal")
        if log.is_file() and log.stat().st_size:
            raise ReaderError(f"the latest messages are still in {log.name}")  # rosbags would silently omit them
        try:
            super()._open()
        except KeyError:
            self._open_without_definitions()

    def _open_without_definitions(self) -> None:
        formats = {"ros2msg": MessageDefinitionFormat.MSG, "ros2idl": MessageDefinitionFormat.IDL}
        definitions: list[Any] = self._rows("SELECT topic_type, encoding, encoded_message_definition FROM message_definitions")
        by_type = {kind: MessageDefinition(formats[encoding], text) for kind, encoding, text in definitions if encoding in formats}
        self.schema = 4
        self.connections = [
            Connection(
                topic_id, name, kind, by_type.get(kind, NO_DEFINITION), digest, count, ConnectionExtRosbag2(form, parse_qos(qos)), self
            )
            for topic_id, name, kind, form, qos, digest, count in self._rows(
                "SELECT topics.id, name, type, serialization_format, offered_qos_profiles, type_description_hash, count(messages.id) "
                "FROM topics LEFT JOIN messages ON topics.id == messages.topic_id GROUP BY topics.id ORDER BY topics.id"
            )
        ]
        ((first, last, count),) = self._rows("SELECT MIN(timestamp), MAX(timestamp) + 1, COUNT(*) FROM messages")
        self.metadata = ReaderMetadata(last - first if count else 0, first or 0, last or 0, count, None, None, None, None)

    def _rows(self, query: str) -> list[Any]:
        assert self.dbconn is not None
        return list(self.dbconn.execute(query))


class _Folder(DirectoryReader):
    """The directory reader of rosbags, with `_Sqlite` for SQLite files."""

    STORAGE_PLUGINS = MappingProxyType({**DirectoryReader.STORAGE_PLUGINS, "sqlite3": _Sqlite})


class _Reader(Reader):
    """The bag reader of rosbags, with `_Sqlite` for SQLite files."""

    STORAGE_PLUGINS = MappingProxyType({**Reader.STORAGE_PLUGINS, "dir": _Folder, ".db3": _Sqlite})


class BagInput:
    """An open recording.

    Args:
        path: the folder of a bag, or one of its files.

    Attributes:
        connections: topics, types, QoS and definitions.
        damage: a sentence for each damage found so far; the list may grow while messages are read.
        message_count: total number of messages; 0 if it is unknown.
        storage: "mcap" or "sqlite3".
        compression: "message", "file" or another mode of rosbag2; empty for none, or if it is unknown.

    Raises:
        BagError: the recording does not exist, or no message of it can be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.damage: list[str] = []
        self.message_count = 0
        self.storage = ""
        self.compression = ""
        self._stack = ExitStack()
        if not path.exists():
            raise BagError(f"there is no bag {path}")
        _refuse_ros1(path)
        self._readers: list[Any] = []
        try:
            reader = _Reader(path)
            self._stack.enter_context(reader)
            self._readers = [reader]
            self.message_count = reader.message_count
            self.compression = reader.compression_mode or ""
        except READ_ERRORS as error:
            self._open_files(error)
        names = [item.name for item in _storage_files(path)]
        self.storage = "sqlite3" if any(".db3" in name for name in names) else "mcap"
        by_topic: dict[tuple[str, str], Connection] = {}
        for reader in self._readers:
            for connection in reader.connections:
                first = by_topic.setdefault((connection.topic, connection.msgtype), connection)
                if first.msgdef.format == MessageDefinitionFormat.NONE:
                    by_topic[connection.topic, connection.msgtype] = connection
        self.connections = list(by_topic.values())

    def _open_files(self, reason: Exception) -> None:
        """Open each file of a bag that rosbags refuses; damaged files are readable up to the damage."""
        files = _storage_files(self.path)
        if not files:
            raise BagError(f"{self.path} is not a recording: {reason}") from reason
        if self.path.is_dir():
            self.damage.append(f"the bag is incomplete ({reason}); its files are read one by one")
        for file in files:
            if file.suffix in COMPRESSED_FILES:
                raise BagError(
                    f"{file} is compressed, and the bag is damaged ({reason}): decompress the file with zstd and try again"
                ) from reason
            reader: Any = _Reader(file)
            try:
                reader.open()
            except READ_ERRORS as error:
                reader = _DamagedMcap(file) if file.suffix == ".mcap" else _DamagedSqlite(file)
                try:
                    reader.open()
                except READ_ERRORS as second_error:
                    self.damage.append(f"{file.name} cannot be read: {second_error}")
                    continue
                self.damage.append(f"{reader.damage} ({error}); it is read up to the damage")
            self._stack.callback(reader.close)
            self._readers.append(reader)
        if not self._readers:
            raise BagError(f"{self.path} cannot be read: {'; '.join(self.damage)}")

    def __enter__(self) -> BagInput:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def messages(self, topic: str | None = None, start: int | None = None, stop: int | None = None) -> Iterator[Message]:
        """Yield messages with their connection and log time. Reading of a file ends at its damage, which `damage` then reports.

        Args:
            topic: yield only messages of this topic; None for all topics.
            start: yield only messages from this log time on, in nanoseconds; None for no bound.
            stop: yield only messages before this log time, in nanoseconds; None for no bound.
        """
        for reader in self._readers:
            selected = [item for item in reader.connections if topic in (None, item.topic)]
            if not selected:
                continue
            last = None
            try:
                for connection, stamp, data in reader.messages(selected, start, stop):
                    last = stamp
                    yield self._merged_connection(connection), stamp, zstd.decompress(data) if data[:4] == ZSTD_FRAME else bytes(data)
            except (BagError, GeneratorExit):
                raise
            except Exception as error:  # SQLite, zstd and lz4 raise different types for damaged data
                where = "at its start" if last is None else f"after the message of {last / 1e9:.3f} s"
                sentence = f"{Path(reader.path).name} is damaged {where} ({error}); its later messages are lost"
                if sentence not in self.damage:
                    self.damage.append(sentence)

    def _merged_connection(self, connection: Connection) -> Connection:
        return next(item for item in self.connections if (item.topic, item.msgtype) == (connection.topic, connection.msgtype))


def _refuse_ros1(path: Path) -> None:
    """Raise BagError for a bag of ROS 1."""
    if path.is_file():
        with path.open("rb") as file:
            if file.read(len(ROS1_MAGIC)) == ROS1_MAGIC:
                raise BagError(
                    f"{path} is a bag of ROS 1: convert it first, with rosbags-convert --src {path} --dst {path.with_suffix('')}"
                )


def _storage_files(path: Path) -> list[Path]:
    """Return the storage files of a bag, in the order they were written."""
    items = [path] if path.is_file() else path.iterdir()
    files = [item for item in items if re.search(r"\.(mcap|db3)(\.zstd?)?$", item.name)]
    return sorted(files, key=natural_order)
