# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The journal of edits: a file of JSON lines beside the trace, to which lines are only appended.

    {"version":1,"trace":"0f3a...","edit":"rename","track":3,"label":"red mug"}

`trace` is the digest of the trace, because edits of one trace mean nothing for another. Each line is on the disk (fsync) before its edit
counts. A process that is killed leaves at most one line without its end, which never counted.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
from collections.abc import Sequence
from io import FileIO
from pathlib import Path
from typing import Any

from lang2segtrack_ros.recordings.review.edits import Edit, EditError, Entry, Undo, entry_fields, read_entry

log = logging.getLogger(__name__)
JOURNAL = "edits.jsonl"
"""Name of the journal in the folder of the trace."""
VERSION = 1


class JournalError(ValueError):
    """A journal that cannot be read or written. The message names the file and the line."""


def active_edits(entries: Sequence[Entry]) -> list[tuple[int, Edit]]:
    """Return the edits that count, each with its number in the journal, from 1.

    Args:
        entries: all entries of a journal.

    Raises:
        EditError: an entry undoes another edit than the latest one that counts.
    """
    active: list[tuple[int, Edit]] = []
    for number, entry in enumerate(entries, 1):
        if not isinstance(entry, Undo):
            active.append((number, entry))
            continue
        check_undo(active, entry)
        active.pop()
    return active


def check_undo(active: Sequence[tuple[int, Edit]], undo: Undo) -> None:
    """Raise EditError if an undo names another edit than the latest one that counts."""
    if not active:
        raise EditError("there is no edit to undo")
    if active[-1][0] != undo.number:
        raise EditError(f"edit {undo.number} is not the latest one that counts: undo edit {active[-1][0]} first")


class Journal:
    """The entries of a journal, read at once.

    Args:
        path: the file; it need not exist.
        trace: digest of the trace.

    Attributes:
        path: the file.
        entries: all entries, also those that were undone.
        torn: number of lines without their end, which do not count: 0 or 1.

    Raises:
        JournalError: a line is not an entry, or belongs to another version or trace.
        OSError: the file cannot be read.
    """

    def __init__(self, path: Path, trace: str) -> None:
        self.path = path
        self.entries: list[Entry] = []
        self.torn = 0
        self._trace = trace
        self._end = self._size = 0  # end of the last whole line, and of the file
        self._file: FileIO | None = None
        self._read()

    def _read(self) -> None:
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return
        *lines, rest = data.split(b"\n")
        self.entries = [self._entry(number, line) for number, line in enumerate(lines, 1)]
        self.torn = int(bool(rest))
        self._size, self._end = len(data), len(data) - len(rest)
        try:
            active_edits(self.entries)
        except EditError as error:
            raise JournalError(f"{self.path} is not consistent: {error}; restore the file from a copy") from error
        if self.torn:
            log.warning("the last line of %s has no end, because its write was interrupted: this edit does not count", self.path)

    def _entry(self, number: int, line: bytes) -> Entry:
        where = f"line {number} of {self.path}"
        try:
            values: Any = json.loads(line)
            if not isinstance(values, dict):
                raise EditError("it is no JSON object")
            version, trace = values.pop("version", None), values.pop("trace", None)
            if version != VERSION or type(version) is not int:
                raise JournalError(f"{where} has version {version!r}, this program reads version {VERSION}: update lang2segtrack")
            if trace != self._trace:
                raise JournalError(f"{where} belongs to another trace: the trace was written again after the review; move the journal away")
            return read_entry(values)
        except JournalError:
            raise
        except (ValueError, RecursionError) as error:
            raise JournalError(f"{where} is not an edit ({error}): repair or remove the line") from error

    def open(self) -> None:
        """Open the journal for appending, for this process alone.

        Raises:
            JournalError: another process has it open.
            OSError: the file cannot be written.
        """
        file = open(self.path, "ab", buffering=0)  # noqa: SIM115
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.close()
            raise JournalError(f"another process reviews {self.path.parent}: end it first") from error
        if os.fstat(file.fileno()).st_size != self._size:  # another process has added edits since the file was read
            self._read()
        if self._size != self._end:
            file.truncate(self._end)
        self._file = file

    def append(self, entry: Entry) -> int:
        """Append an entry, and return its number. It is on the disk when the call returns.

        Raises:
            OSError: the file cannot be written. The entry does not count then.
        """
        if self._file is None:
            raise JournalError(f"{self.path} is not open for edits")
        values = {"version": VERSION, "trace": self._trace, **entry_fields(entry)}
        line = json.dumps(values, separators=(",", ":"), allow_nan=False).encode() + b"\n"
        try:
            if self._file.write(line) != len(line):
                raise OSError(f"{self.path} cannot be written as a whole: the disk is full")
            os.fsync(self._file.fileno())
        except OSError:
            with contextlib.suppress(OSError):  # of the same fault; without it, the file has a torn line
                self._file.truncate(self._end)
            raise
        self._end += len(line)
        self.entries.append(entry)
        if len(self.entries) == 1:
            _sync_folder(self.path.parent)
        return len(self.entries)

    def close(self) -> None:
        """Close the file, and let other processes open it."""
        if self._file is not None:
            self._file.close()
            self._file = None
        if not self.entries and self._end == 0:
            with contextlib.suppress(OSError):
                if self.path.stat().st_size == 0:
                    self.path.unlink()


def _sync_folder(path: Path) -> None:
    """Write the entry of a new file in its folder to the disk."""
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
