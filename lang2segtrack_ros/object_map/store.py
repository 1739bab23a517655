# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The file of object maps: SQLite with a write-ahead log. Each save is one transaction, so a killed process leaves a whole state."""

from __future__ import annotations

import contextlib
import fcntl
import json
import sqlite3
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np

from lang2segtrack_ros.object_map.map_state import Changes
from lang2segtrack_ros.object_map.object_map import ObjectMap
from lang2segtrack_ros.object_map.objects import MapError, MapObject, ObjectState, TrackReference

SCHEMA_VERSION = 1
APPLICATION_ID = 0x4C325354
"""Marks the SQLite file as ours, in its header (`PRAGMA application_id`)."""
KEPT_TRACKS = 20
"""Number of the latest tracks of an object that the file keeps."""
BUSY_S = 5.0
_SCHEMA = """
CREATE TABLE maps (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, fixed_frame TEXT NOT NULL, next_id INTEGER NOT NULL DEFAULT 1);
CREATE TABLE objects (
  map INTEGER NOT NULL REFERENCES maps(id), id INTEGER NOT NULL, label TEXT NOT NULL, name TEXT NOT NULL, state INTEGER NOT NULL,
  state_since_ns INTEGER NOT NULL, x REAL NOT NULL, y REAL NOT NULL, z REAL NOT NULL, covariance BLOB NOT NULL,
  size_x REAL NOT NULL, size_y REAL NOT NULL, size_z REAL NOT NULL, first_seen_ns INTEGER NOT NULL, last_seen_ns INTEGER NOT NULL,
  moved_at_ns INTEGER NOT NULL, sightings INTEGER NOT NULL, score REAL NOT NULL, appearance BLOB, tracks TEXT NOT NULL,
  labels TEXT NOT NULL, PRIMARY KEY (map, id));
CREATE TABLE thumbnails (map INTEGER NOT NULL, id INTEGER NOT NULL, jpeg BLOB NOT NULL, PRIMARY KEY (map, id));
CREATE TABLE merged (map INTEGER NOT NULL, old_id INTEGER NOT NULL, id INTEGER NOT NULL, PRIMARY KEY (map, old_id));
"""
COLUMNS = (
    "id, label, name, state, state_since_ns, x, y, z, covariance, size_x, size_y, size_z, first_seen_ns, last_seen_ns, moved_at_ns, "
    "sightings, score, appearance, tracks, labels"
)


class StoreError(MapError):
    """A file that cannot be used. The message names the file, the fault and the fix."""


class MapStore:
    """One map in a file. Several maps, each with a name, may share the file, also in several processes.

    Args:
        path: the file; created if it does not exist. ":memory:" keeps nothing.
        map_name: name of the map; created if it does not exist.
        fixed_frame: frame of the positions. Empty takes that of the stored map.
        read_only: True to read a map only, also while another process writes it.

    Attributes:
        path: the file.
        map_name: name of the map.
        fixed_frame: frame of the positions.

    Raises:
        StoreError: the file is no file of maps or is newer than this version, the map has another frame, or another process has it open.
    """

    def __init__(self, path: Path | str, map_name: str = "default", fixed_frame: str = "map", read_only: bool = False) -> None:
        self.path = Path(path)
        self.map_name = map_name
        self._lock: IO[str] | None = None
        in_memory = str(path) == ":memory:"
        if read_only and not self.path.is_file():
            raise StoreError(f"there is no file {self.path}: give the file of object_map_node's parameter `file`")
        try:
            if not (in_memory or read_only):
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self._take_lock()
            address = f"file:{self.path}?mode=ro" if read_only else str(path)
            self._base = sqlite3.connect(address, timeout=BUSY_S, isolation_level=None, uri=read_only, check_same_thread=False)
        except (sqlite3.Error, OSError) as error:
            self._release()
            raise StoreError(f"cannot open {self.path}: {error}: give a file in a folder that this user may write") from error
        try:
            self._prepare(read_only)
            self._map, self.fixed_frame = self._find_map(fixed_frame, read_only)
        except sqlite3.DatabaseError as error:
            self.close()
            raise StoreError(f"cannot read {self.path} ({error}): give another file, or move this one away") from error
        except StoreError:
            self.close()
            raise

    def _take_lock(self) -> None:
        safe = "".join(letter if letter.isalnum() else "_" for letter in self.map_name)
        lock = self.path.with_name(f"{self.path.name}.{safe}.lock").open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            raise StoreError(
                f"another process writes the map {self.map_name} in {self.path}: end it, or give another file or map name"
            ) from None
        self._lock = lock

    def _prepare(self, read_only: bool) -> None:
        (version,) = self._base.execute("PRAGMA user_version").fetchone()
        (application,) = self._base.execute("PRAGMA application_id").fetchone()
        (tables,) = self._base.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if tables and application != APPLICATION_ID:
            raise StoreError(f"{self.path} is a database of another program: give another file")
        if version > SCHEMA_VERSION:
            raise StoreError(
                f"{self.path} has schema {version}, and this version reads up to {SCHEMA_VERSION}: "
                "update lang2segtrack, or give another file"
            )
        if read_only:
            return
        self._base.execute("PRAGMA journal_mode = WAL")
        self._base.execute("PRAGMA synchronous = NORMAL")  # WAL stays consistent; a power cut may lose the last transactions
        if not tables:
            with self._transaction():
                for statement in filter(str.strip, _SCHEMA.split(";")):
                    self._base.execute(statement)
                self._base.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                self._base.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")

    def _find_map(self, fixed_frame: str, read_only: bool) -> tuple[int, str]:
        row = self._base.execute("SELECT id, fixed_frame FROM maps WHERE name = ?", (self.map_name,)).fetchone()
        if row is None and read_only:
            raise StoreError(f"{self.path} has no map {self.map_name}: its maps are {', '.join(self.map_names()) or 'none'}")
        if row is None:
            with self._transaction():
                cursor = self._base.execute("INSERT INTO maps (name, fixed_frame) VALUES (?, ?)", (self.map_name, fixed_frame or "map"))
            return int(cursor.lastrowid or 0), fixed_frame or "map"
        if fixed_frame and row[1] != fixed_frame:
            raise StoreError(
                f"the map {self.map_name} in {self.path} has positions in frame {row[1]}, not {fixed_frame}: set fixed_frame to {row[1]}, "
                "or give another map_name"
            )
        return int(row[0]), str(row[1])

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._base.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._base.execute("ROLLBACK")
            raise
        self._base.execute("COMMIT")

    def map_names(self) -> list[str]:
        """Return the names of all maps in the file."""
        return [str(name) for (name,) in self._base.execute("SELECT name FROM maps ORDER BY name")]

    def load(self) -> tuple[list[MapObject], int, dict[int, int]]:
        """Return the objects, the id of the next new object, and the ids of merged objects; see `ObjectMap`.

        Raises:
            StoreError: the file is damaged.
        """
        try:
            rows = self._base.execute(f"SELECT {COLUMNS} FROM objects WHERE map = ?", (self._map,)).fetchall()
            (next_id,) = self._base.execute("SELECT next_id FROM maps WHERE id = ?", (self._map,)).fetchone()
            merged = dict(self._base.execute("SELECT old_id, id FROM merged WHERE map = ?", (self._map,)).fetchall())
            return [_object(row) for row in rows], int(next_id), merged
        except (sqlite3.DatabaseError, ValueError, KeyError) as error:
            raise StoreError(f"{self.path} is damaged ({error}): move it away, or restore a copy") from error

    def save(self, objects: ObjectMap, changes: Changes) -> None:
        """Save changes of a map in one transaction.

        Args:
            objects: the map.
            changes: what has changed since the last save.

        Raises:
            StoreError: the file cannot be written, for example because the disk is full. Nothing of the changes is saved then.
        """
        if not changes:
            return
        key = self._map
        columns = [(key, *_row(objects.table[number])) for number in sorted(changes.updated) if number in objects.table]
        removed = [(key, number) for number in sorted(changes.removed)]
        try:
            with self._transaction():
                self._base.executemany("DELETE FROM objects WHERE map = ? AND id = ?", removed)
                self._base.executemany("DELETE FROM thumbnails WHERE map = ? AND id = ?", removed)
                places = ", ".join("?" * (COLUMNS.count(",") + 2))
                self._base.executemany(f"INSERT OR REPLACE INTO objects (map, {COLUMNS}) VALUES ({places})", columns)
                jpegs = [(key, number, jpeg) for number, jpeg in changes.thumbnails.items() if number in objects.table]
                self._base.executemany("INSERT OR REPLACE INTO thumbnails VALUES (?, ?, ?)", jpegs)
                merged = [(key, old, new) for old, new in changes.merged.items()]
                self._base.executemany("INSERT OR REPLACE INTO merged VALUES (?, ?, ?)", merged)
                self._base.execute("UPDATE maps SET next_id = ? WHERE id = ?", (objects.next_id, key))
        except (sqlite3.Error, OverflowError) as error:
            raise StoreError(f"cannot save the map {self.map_name} to {self.path}: {error}") from error

    def thumbnail(self, number: int) -> bytes:
        """Return the JPEG file of an object. Empty without one."""
        row = self._base.execute("SELECT jpeg FROM thumbnails WHERE map = ? AND id = ?", (self._map, number)).fetchone()
        return bytes(row[0]) if row else b""

    def close(self) -> None:
        """Close the file."""
        self._base.close()
        self._release()

    def _release(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None


def _row(item: MapObject) -> tuple[Any, ...]:
    appearance = None if item.appearance is None else item.appearance.astype("<f4").tobytes()
    tracks = [[track.source, track.track_id, seen_ns] for track, seen_ns in list(item.tracks.items())[-KEPT_TRACKS:]]
    return (
        *(item.id, item.label, item.name, int(item.state), item.state_since_ns),
        *(float(value) for value in item.position),
        item.covariance.astype("<f8").tobytes(),
        *item.size,
        *(item.first_seen_ns, item.last_seen_ns, item.moved_at_ns, item.sightings, float(item.score), appearance),
        json.dumps(tracks),
        json.dumps(item.labels),
    )


def _object(row: tuple[Any, ...]) -> MapObject:
    number, label, name, state, state_since_ns, x, y, z, covariance, *size = row[:12]
    first_seen_ns, last_seen_ns, moved_at_ns, sightings, score, appearance, tracks, labels = row[12:]
    return MapObject(
        number,
        label,
        np.array([x, y, z]),
        np.frombuffer(covariance, "<f8").reshape(3, 3).copy(),
        (size[0], size[1], size[2]),
        first_seen_ns,
        last_seen_ns,
        ObjectState(state),
        state_since_ns,
        name,
        moved_at_ns,
        sightings,
        score,
        None if appearance is None else np.frombuffer(appearance, "<f4").copy(),
        {TrackReference(source, track_id): seen_ns for source, track_id, seen_ns in json.loads(tracks)},
        Counter(json.loads(labels)),
    )
