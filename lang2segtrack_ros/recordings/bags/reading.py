# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Messages of a rosbag2 recording, MCAP or SQLite, split, compressed, unfinished or damaged.

A sound bag is read by rosbags. Where that refuses, each file is read from its beginning up to the damage, and the damage is told.
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
MCAP_END = b"\x02" + struct.pack("<QQQI", 20, 0, 0, 0) + MAGIC  # a footer that says there is no summary
NO_DEFINITION = MessageDefinition(MessageDefinitionFormat.NONE, "")
COMPRESSED_FILES = (".zst", ".zstd")
ZSTD_FRAME = b"\x28\xb5\x2f\xfd"
"""Beginning of a message that was compressed by itself; a serialised one begins with 0."""
DATA_END, FOOTER, LAST_OPCODE = 0x0F, 0x02, 0x0F


class _Shortened(io.RawIOBase):
    """The sound beginning of an MCAP file, with an end put after it."""

    def __init__(self, path: Path, size: int) -> None:
        self._file = path.open("rb")
        self._size = size
        self._place = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._size + len(MCAP_END)}[whence]
        self._place = max(0, base + offset)
        return self._place

    def readinto(self, buffer: Any) -> int:
        if self._place < self._size:
            self._file.seek(self._place)
            data = self._file.read(min(len(buffer), self._size - self._place))
        else:
            begin = self._place - self._size
            data = MCAP_END[begin : begin + len(buffer)]
        buffer[: len(data)] = data
        self._place += len(data)
        return len(data)

    def close(self) -> None:
        self._file.close()
        super().close()


class _DamagedMcap(McapReader):
    """An MCAP file without a usable end: its whole records are read one after the other."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._sound = _sound_bytes(path)
        self.damage = f"{path.name} ends or is damaged after {self._sound} of {path.stat().st_size} bytes"

    def open(self) -> None:
        self.bio = io.BufferedReader(_Shortened(self.path, self._sound))  # type: ignore[arg-type]
        self._open()

    def messages(self, connections: Collection[Connection], start: int | None = None, stop: int | None = None) -> Iterator[Message]:  # type: ignore[override]
        yield from self.messages_scan(connections, start, stop)


def _sound_bytes(path: Path) -> int:
    """Length of the whole records at the beginning of an MCAP file. Raises BagError when there are none."""
    size = path.stat().st_size
    with path.open("rb") as file:
        if file.read(8) != MAGIC:
            raise BagError(f"{path} is no MCAP file")
        while True:
            place = file.tell()
            head = file.read(9)
            if len(head) < 9:
                return place
            opcode, length = struct.unpack("<BQ", head)
            if opcode in (DATA_END, FOOTER) or not 1 <= opcode <= LAST_OPCODE or place + 9 + length > size:
                return place
            file.seek(length, io.SEEK_CUR)


class _DamagedSqlite:
    """A SQLite file that rosbags refuses: its messages are read in the order they were written, up to the damage."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.damage = f"{path.name} is damaged or unfinished"
        self.connections: list[Connection] = []

    def open(self) -> None:
        try:
            self._base = sqlite3.connect(f"file:{self.path}?mode=ro", uri=True)
            self._base.execute("PRAGMA writable_schema=ON")  # else SQLite refuses a file that is shorter than its header says
            rows = self._base.execute("SELECT id, name, type, serialization_format, offered_qos_profiles FROM topics").fetchall()
        except sqlite3.Error as error:
            raise BagError(f"{self.path} cannot be read: {error}") from error
        for number, name, kind, form, qos in rows:
            self.connections.append(Connection(number, name, kind, NO_DEFINITION, "", 0, ConnectionExtRosbag2(form, parse_qos(qos)), self))

    def messages(self, connections: Collection[Connection], start: int | None = None, stop: int | None = None) -> Iterator[Message]:
        known = {connection.id: connection for connection in connections}
        rows = self._base.execute("SELECT topic_id, timestamp, data FROM messages ORDER BY id")
        while True:
            try:
                row = rows.fetchone()
            except sqlite3.Error as error:
                raise ReaderError(str(error)) from error
            if row is None:
                return
            if row[0] in known and (start is None or row[1] >= start) and (stop is None or row[1] < stop):
                yield known[row[0]], row[1], row[2]

    def close(self) -> None:
        self._base.close()


class _Sqlite(Sqlite3Reader):
    """A SQLite file. rosbags refuses one with an empty definition, as rosbag2 leaves it when it does not find a topic's package."""

    def _open(self) -> None:
        rest = Path(f"{self.path}-wal")
        if rest.is_file() and rest.stat().st_size:
            raise ReaderError(f"what was recorded last is still in {rest.name}")  # which rosbags would leave out without a word
        try:
            super()._open()
        except KeyError:
            self._open_without_definitions()

    def _open_without_definitions(self) -> None:
        formats = {"ros2msg": MessageDefinitionFormat.MSG, "ros2idl": MessageDefinitionFormat.IDL}
        definitions: list[Any] = self._rows("SELECT topic_type, encoding, encoded_message_definition FROM message_definitions")
        known = {kind: MessageDefinition(formats[encoding], text) for kind, encoding, text in definitions if encoding in formats}
        self.schema = 4
        self.connections = [
            Connection(number, name, kind, known.get(kind, NO_DEFINITION), digest, count, ConnectionExtRosbag2(form, parse_qos(qos)), self)
            for number, name, kind, form, qos, digest, count in self._rows(
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
    STORAGE_PLUGINS = MappingProxyType({**DirectoryReader.STORAGE_PLUGINS, "sqlite3": _Sqlite})


class _Reader(Reader):
    STORAGE_PLUGINS = MappingProxyType({**Reader.STORAGE_PLUGINS, "dir": _Folder, ".db3": _Sqlite})


class BagInput:
    """An open recording.

    Args:
        path: the folder of a bag, or one of its files.

    Attributes:
        connections: topics, types, QoS and definitions.
        damage: sentences about what could not be read, as far as it is known; grows while reading.
        message_count: messages in all; 0 when it is not known.

    Raises:
        BagError: nothing of it can be read.
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
        self._readers: list[Any] = []
        try:
            reader = _Reader(path)
            self._stack.enter_context(reader)
            self._readers = [reader]
            self.message_count = reader.message_count
            self.compression = reader.compression_mode or ""
        except (ReaderError, OSError, ValueError, LookupError) as error:
            self._open_files(error)
        names = [item.name for item in _storage_files(path)]
        self.storage = "sqlite3" if any(".db3" in name for name in names) else "mcap"
        found: dict[tuple[str, str], Connection] = {}
        for reader in self._readers:
            for connection in reader.connections:
                known = found.setdefault((connection.topic, connection.msgtype), connection)
                if known.msgdef.format == MessageDefinitionFormat.NONE:
                    found[connection.topic, connection.msgtype] = connection
        self.connections = list(found.values())

    def _open_files(self, reason: Exception) -> None:
        """Each file by itself, damaged ones as far as they go."""
        files = _storage_files(self.path)
        if not files:
            raise BagError(f"{self.path} holds no recording: {reason}") from reason
        if self.path.is_dir():
            self.damage.append(f"the bag is not whole ({reason}); its files are read one by one")
        for file in files:
            if file.suffix in COMPRESSED_FILES:
                raise BagError(f"{file} is compressed, and the bag is damaged ({reason}): unpack it with zstd and try again") from reason
            reader: Any = _Reader(file)
            try:
                reader.open()
            except (ReaderError, OSError, ValueError, LookupError, TypeError) as error:
                reader = _DamagedMcap(file) if file.suffix == ".mcap" else _DamagedSqlite(file)
                try:
                    reader.open()
                except (ReaderError, OSError, ValueError, LookupError, TypeError) as again:
                    self.damage.append(f"nothing of {file.name} can be read: {again}")
                    continue
                self.damage.append(f"{reader.damage} ({error}); it is read up to there")
            self._stack.callback(reader.close)
            self._readers.append(reader)
        if not self._readers:
            raise BagError(f"nothing of {self.path} can be read: {'; '.join(self.damage)}")

    def __enter__(self) -> BagInput:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def messages(self, topic: str | None = None, start: int | None = None, stop: int | None = None) -> Iterator[Message]:
        """Messages with their log times, of one topic or all, from `start` on and before `stop`; ends at damage, which is noted."""
        for reader in self._readers:
            wanted = [item for item in reader.connections if topic in (None, item.topic)]
            if not wanted:
                continue
            last = None
            try:
                for connection, stamp, data in reader.messages(wanted, start, stop):
                    last = stamp
                    yield self._known(connection), stamp, zstd.decompress(data) if data[:4] == ZSTD_FRAME else bytes(data)
            except (BagError, GeneratorExit):
                raise
            except Exception as error:  # SQLite, zstd and lz4 each have their own for damaged data
                where = "at its beginning" if last is None else f"after the message of {last / 1e9:.3f} s"
                sentence = f"{Path(reader.path).name} is damaged {where} ({error}); what follows in it is lost"
                if sentence not in self.damage:
                    self.damage.append(sentence)

    def _known(self, connection: Connection) -> Connection:
        return next(item for item in self.connections if (item.topic, item.msgtype) == (connection.topic, connection.msgtype))


def _storage_files(path: Path) -> list[Path]:
    """The storage files of a bag, in the order they were written."""
    if path.is_file():
        return [path]
    files = [item for item in path.iterdir() if re.search(r"\.(mcap|db3)(\.zstd?)?$", item.name)]
    return sorted(files, key=natural_order)
