# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The review of one tracked recording: the edited trace and its journal, which always agree."""

from __future__ import annotations

import threading
from pathlib import Path

from lang2segtrack_ros.recordings.review.apply import EditedTrace
from lang2segtrack_ros.recordings.review.edits import Correct, Edit, Split, Undo
from lang2segtrack_ros.recordings.review.journal import JOURNAL, Journal, active_edits, check_undo
from lang2segtrack_ros.recordings.review.stored import StoredTrace


class Review:
    """The edited trace of a folder. Any thread may add edits; each is on the disk before it counts.

    Args:
        folder: output folder of `lang2segtrack track`.
        read_only: True to leave the journal as it is.

    Attributes:
        stored: the trace without edits.
        edited: the trace with the edits.
        journal: the journal.

    Raises:
        EditError: the folder holds no trace, or an edit does not fit it.
        JournalError: the journal cannot be read, or another process has it open.
        LineError: a line of the trace or of a segment cannot be read.
        OSError: a file cannot be read or written.
    """

    def __init__(self, folder: Path, read_only: bool = False) -> None:
        self.stored = StoredTrace(folder)
        self.journal = Journal(folder / JOURNAL, self.stored.digest)
        if not read_only:
            self.journal.open()
        try:
            self.edited = EditedTrace(self.stored, active_edits(self.journal.entries))
        except ValueError:
            self.close()
            raise
        self._lock = threading.Lock()

    @property
    def folder(self) -> Path:
        """Return the folder of the trace."""
        return self.stored.folder

    def new_id(self) -> int:
        """Return an id that no track has, also none of an edit that was undone."""
        used = {0, *self.stored.timeline.states}
        for entry in self.journal.entries:
            used |= {entry.new} if isinstance(entry, Split) else {entry.track} if isinstance(entry, Correct) else set()
        return max(used) + 1

    def add(self, edit: Edit) -> int:
        """Add an edit, and return its number in the journal.

        Raises:
            EditError: the trace does not allow the edit.
            OSError: the journal cannot be written. The edit does not count then.
        """
        with self._lock:
            self.edited.check(edit)
            number = self.journal.append(edit)
            self.edited.add(number, edit)
            return number

    def split(self, track: int, at: int) -> int:
        """Give a track a new id from an image on, and return this id. Raises as `add`."""
        new = self.new_id()
        self.add(Split(track, at, new))
        return new

    def undo(self, number: int) -> None:
        """Undo the latest edit that counts.

        Args:
            number: its number in the journal, so that a repeated request undoes nothing else.

        Raises:
            EditError: it is not the latest edit that counts.
            OSError: the journal cannot be written. The edit still counts then.
        """
        with self._lock:
            undo = Undo(number)
            check_undo(self.edited.edits, undo)
            self.journal.append(undo)
            self.edited.take_back()

    def close(self) -> None:
        """Close all files."""
        self.journal.close()
        self.stored.close()
