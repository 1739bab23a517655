# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""A temporary file that regroups entries from the order of images to the order of objects, with constant memory."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from lang2segtrack_ros.io.exports.writer import dump

Write = Callable[[str], object]
"""Writes text into a file."""


class Spool:
    """Entries by object and image in a temporary database of SQLite, which keeps at most 2 MB of it in memory.

    Args:
        path: file of the database; `close` removes it.

    Raises:
        OSError: the file cannot be written, also from the methods.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._database = sqlite3.connect(path)
        self._execute("PRAGMA journal_mode=OFF")
        self._execute("PRAGMA synchronous=OFF")
        self._execute("CREATE TABLE entries (track INTEGER, frame INTEGER, value TEXT, PRIMARY KEY (track, frame)) WITHOUT ROWID")

    def _execute(self, statement: str, values: tuple[object, ...] = ()) -> sqlite3.Cursor:
        try:
            return self._database.execute(statement, values)
        except sqlite3.Error as error:  # the disk is full, for example
            raise OSError(f"the temporary file {self._path} cannot be written: {error}") from error

    def put(self, track: int, frame: int, value: str) -> None:
        """Add the entry of an object on an image."""
        self._execute("INSERT INTO entries VALUES (?, ?, ?)", (track, frame, value))

    def of(self, track: int) -> Iterator[tuple[int, str]]:
        """Yield image and entry of an object, in the order of the images."""
        yield from self._execute("SELECT frame, value FROM entries WHERE track = ? ORDER BY frame", (track,))

    def padded(self, track: int, length: int) -> Iterator[str]:
        """Yield the entries of an object for all images; null, in JSON, for images without an entry.

        Args:
            track: id of the object.
            length: number of images.
        """
        position = 0
        for frame, value in self.of(track):
            for _ in range(position, frame):
                yield "null"
            yield value
            position = frame + 1
        for _ in range(position, length):
            yield "null"

    def close(self) -> None:
        """Remove the database."""
        self._database.close()
        self._path.unlink(missing_ok=True)


class JsonArray:
    """A writer of one array of a JSON document, entry by entry.

    Args:
        write: writes text into the document.
    """

    def __init__(self, write: Write) -> None:
        self._write = write
        self._count = 0
        write("[")

    def add(self, value: Any) -> None:
        """Add a value."""
        self.add_text(dump(value))

    def add_text(self, text: str) -> None:
        """Add a value that is JSON already."""
        self._write(("," if self._count else "") + "\n" + text)
        self._count += 1

    def end(self) -> None:
        """End the array."""
        self._write("\n]" if self._count else "]")
