# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Reader of rosbag2 recordings in MCAP or SQLite format: split, compressed, unfinished or damaged.

rosbags reads metadata.yaml and intact SQLite files, and `mcap` reads MCAP files. If rosbags refuses a SQLite file, this module reads it
from its start up to the damage, and reports the damage.
"""

from __future__ import annotations

import re
import sqlite3
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
from rosbags.rosbag2.storage_sqlite3 import Sqlite3Reader

from lang2segtrack_ros.io.sources import natural_order
from lang2segtrack_ros.recordings.bag_types import BagError
from lang2segtrack_ros.recordings.bags.mcap import McapFile, decode_text

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

Message = tuple[Connection, int, bytes]

NO_DEFINITION = MessageDefinition(MessageDefinitionFormat.NONE, "")
COMPRESSED_FILES = (".zst", ".zstd")
ZSTD_FRAME = b"\x28\xb5\x2f\xfd"
"""First bytes of an individually compressed message; a serialized message begins with 0."""
ROS1_MAGIC = b"#ROSBAG V"
READ_ERRORS = (ReaderError, OSError, ValueError, LookupError, TypeError, EOFError, zstd.ZstdError)
"""Types that rosbags and its decompressors raise for damaged files."""


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
    """A reader for SQLite files that also accepts empty message definitions and definitions in Latin-1.

    rosbag2 writes an empty definition if it does not find the package of a topic. rosbags refuses such a file.
    """

    def _open(self) -> None:
        log = Path(f"{self.path}-wal")
        if log.is_file() and log.stat().st_size:
            raise ReaderError(f"the latest messages are still in {log.name}")  # rosbags would silently omit them
        try:
            super()._open()
        except (KeyError, UnicodeDecodeError):
            self._open_with_odd_definitions()

    def _open_with_odd_definitions(self) -> None:
        formats = {"ros2msg": MessageDefinitionFormat.MSG, "ros2idl": MessageDefinitionFormat.IDL}
        definitions: list[Any] = self._rows(
            "SELECT topic_type, encoding, CAST(encoded_message_definition AS BLOB) FROM message_definitions"
        )
        by_type = {
            kind: MessageDefinition(formats[encoding], decode_text(text)) for kind, encoding, text in definitions if encoding in formats
        }
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
    """The directory reader of rosbags, with the readers for files of this package."""

    STORAGE_PLUGINS = MappingProxyType({"mcap": McapFile, "sqlite3": _Sqlite})  # type: ignore[dict-item]


class _Reader(Reader):
    """The bag reader of rosbags, with the readers for files of this package."""

    STORAGE_PLUGINS = MappingProxyType({"dir": _Folder, ".mcap": McapFile, ".db3": _Sqlite})  # type: ignore[dict-item]


class BagInput:
    """An open recording.

    Args:
        path: the folder of a bag, or one of its files.

    Attributes:
        connections: topics, types, QoS and definitions. Topics whose messages are not in CDR, the format of ROS 2, are left out.
        message_count: total number of messages; 0 if it is unknown.
        storage: "mcap" or "sqlite3".
        compression: "message", "file" or another mode of rosbag2; empty for none, or if it is unknown.

    Raises:
        BagError: the recording does not exist, or no message of it can be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.message_count = 0
        self.storage = ""
        self.compression = ""
        self._damage: list[str] = []
        self._undecompressed: dict[str, dict[int, str]] = {}  # topic -> log time -> error
        self._stack = ExitStack()
        if not path.exists():
            raise BagError(f"there is no bag {path}")
        _refuse_ros1(path)
        self._files: list[Any] = []
        declared: list[Connection] = []
        try:
            reader = _Reader(path)
            self._stack.enter_context(reader)
            self._files = getattr(reader.storage, "storages", [reader.storage])
            self.message_count = reader.message_count
            self.compression = reader.compression_mode or ""
            declared = reader.connections  # of metadata.yaml, with the type hashes
        except READ_ERRORS as error:
            self._open_files(error)
        names = [item.name for item in _storage_files(path)]
        self.storage = "sqlite3" if any(".db3" in name for name in names) else "mcap"
        self._connections: dict[tuple[str, str], Connection] = {}
        self._foreign = [text for file in self._files for text in getattr(file, "foreign", ())]
        for connection in [*declared, *(item for file in self._files for item in file.connections)]:
            form = connection.ext.serialization_format
            if form != "cdr":
                self._foreign.append(f"{connection.topic} with messages in {form}")
                continue
            first = self._connections.setdefault((connection.topic, connection.msgtype), connection)
            if first.msgdef.format == MessageDefinitionFormat.NONE:
                self._connections[connection.topic, connection.msgtype] = first._replace(msgdef=connection.msgdef)
        self.connections = list(self._connections.values())

    def _open_files(self, reason: Exception) -> None:
        """Open each file of a bag that rosbags refuses; damaged files are readable up to the damage."""
        files = _storage_files(self.path)
        if not files:
            raise BagError(f"{self.path} is not a recording: {reason}") from reason
        if self.path.is_dir():
            self._damage.append(f"metadata.yaml cannot be used ({reason}); the files of the bag are read one by one")
        for file in files:
            if file.suffix in COMPRESSED_FILES:
                raise BagError(
                    f"{file} is compressed, and the bag is damaged ({reason}): decompress the file with zstd and try again"
                ) from reason
            for reader in (McapFile(file),) if file.suffix == ".mcap" else (_Sqlite(file), _DamagedSqlite(file)):
                try:
                    reader.open()
                except READ_ERRORS as error:
                    failure = error
                    continue
                if isinstance(reader, _DamagedSqlite):
                    self._damage.append(f"{reader.damage} ({failure}); it is read up to the damage")
                self._stack.callback(reader.close)
                self._files.append(reader)
                break
            else:
                self._damage.append(f"{file.name} cannot be read: {failure}")
        if not self._files:
            raise BagError(f"{self.path}: {'; '.join(self._damage)}")

    @property
    def damage(self) -> list[str]:
        """A sentence for each damage found so far, and one for the topics left out; the list may grow while messages are read."""
        found = [*self._damage, *(text for file in self._files if isinstance(file, McapFile) for text in file.damage)]
        if self._foreign:
            topics = ", ".join(sorted(set(self._foreign)))
            found.append(f"topics that are not of ROS 2 are left out: {topics}")
        for topic, errors in self._undecompressed.items():
            time, error = min(errors.items())
            count = f"damaged compressed messages of {topic}, which are left out: {len(errors)}"
            found.append(f"{count}; the first has the log time {time / 1e9:.3f} s ({error})")
        return found

    def __enter__(self) -> BagInput:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def messages(self, topic: str | None = None, start: int | None = None, stop: int | None = None) -> Iterator[Message]:
        """Yield messages with their connection and log time. Damaged messages are left out, and `damage` then reports them.

        Args:
            topic: yield only messages of this topic; None for all topics.
            start: yield only messages from this log time on, in nanoseconds; None for no bound.
            stop: yield only messages before this log time, in nanoseconds; None for no bound.
        """
        for file in self._files:
            selected = [
                item for item in file.connections if topic in (None, item.topic) and (item.topic, item.msgtype) in self._connections
            ]
            if not selected:
                continue
            last = None
            try:
                for connection, stamp, data in file.messages(selected, start, stop):
                    last = stamp
                    plain = self._decompressed(connection.topic, stamp, bytes(data))
                    if plain is not None:
                        yield self._connections[connection.topic, connection.msgtype], stamp, plain
            except (BagError, GeneratorExit):
                raise
            except Exception as error:  # SQLite raises many types for damaged data
                where = "at its start" if last is None else f"after the message of {last / 1e9:.3f} s"
                sentence = f"{Path(file.path).name} is damaged {where} ({error}); its later messages are lost"
                if sentence not in self._damage:
                    self._damage.append(sentence)

    def _decompressed(self, topic: str, stamp: int, data: bytes) -> bytes | None:
        """Return a message without compression, None if it is damaged. Only metadata.yaml declares the compression."""
        if self.compression != "message" and data[:4] != ZSTD_FRAME:
            return data
        try:
            return bytes(zstd.decompress(data))
        except zstd.ZstdError as error:
            self._undecompressed.setdefault(topic, {})[stamp] = str(error)
            return None


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
