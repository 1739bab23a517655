# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The journal: what is written counts, what is torn does not, and a wrong line is refused with its place."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest

from lang2segtrack_ros.recordings.review.edits import Correct, Delete, EditError, Entry, Merge, Rename, Split, Undo
from lang2segtrack_ros.recordings.review.journal import Journal, JournalError, active_edits

TRACE = "0123456789abcdef"
ENTRIES: list[Entry] = [
    Rename(1, 'Tasse "groß" 赤い'),
    Merge(2, 1),
    Split(1, 4, 7),
    Undo(3),
    Delete(3, 2, 9),
    Correct(3, "cup", 5, 2, 9, "segment_000001.jsonl", box=(1.0, 2.5, 8.0, 9.0)),
    Correct(4, "", 5, 5, 5, "segment_000002.jsonl", points=((1.0, 2.0, 1), (3.0, 4.0, 0))),
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "edits.jsonl"
    journal = Journal(path, TRACE)
    journal.open()
    assert [journal.append(entry) for entry in ENTRIES] == [1, 2, 3, 4, 5, 6, 7]
    journal.close()
    return path


def test_entries_are_read_as_written(path: Path) -> None:
    journal = Journal(path, TRACE)
    assert journal.entries == ENTRIES
    assert journal.torn == 0
    assert [number for number, _ in active_edits(journal.entries)] == [1, 2, 5, 6, 7]


def test_kill_at_each_byte_of_the_last_line_loses_only_this_line(path: Path) -> None:
    """A killed process leaves any beginning of its last line. All others count, and the next edit follows on a line of its own."""
    data = path.read_bytes()
    begin = data.rindex(b"\n", 0, -1) + 1
    for end in range(begin, len(data)):
        path.write_bytes(data[:end])
        journal = Journal(path, TRACE)
        assert journal.entries == ENTRIES[:-1]
        assert journal.torn == (end > begin)
        journal.open()
        assert journal.append(Rename(9, "after")) == len(ENTRIES)
        journal.close()
        assert Journal(path, TRACE).entries == [*ENTRIES[:-1], Rename(9, "after")]


def test_torn_line_is_reported(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path.write_bytes(path.read_bytes()[:-5])
    Journal(path, TRACE)
    assert "the last line of" in caplog.text
    assert "does not count" in caplog.text


WRONG: list[tuple[dict[str, Any] | str, str]] = [
    ({"version": 2}, "has version 2, this program reads version 1"),
    ({"version": True}, "has version True"),
    ({"trace": "f" * 16}, "belongs to another trace"),
    ({"edit": "paint"}, "known edits: rename, merge"),
    ({"edit": ["rename"]}, "known edits"),
    ({"track": "3"}, "track is '3': give a whole number"),
    ({"track": 0}, "whole number from 1"),
    ({"track": True}, "whole number"),
    ({"label": "a\nb"}, "control characters"),
    ({"label": "x" * 201}, "at most 200"),
    ({"more": 1}, "'more' is unknown"),
    ({"label": None}, "a label is a text"),
    ("not json", "is not an edit"),
    ("[1]", "is no JSON object"),
    ("[" * 100_000, "is not an edit"),
    ("", "is not an edit"),
    ('{"version":1,"trace":"0123456789abcdef","edit":"merge","track":3,"into":3}', "merged into itself"),
    ('{"version":1,"trace":"0123456789abcdef","edit":"delete","track":3,"first":5,"last":4}', "exchange the two"),
    ('{"version":1,"trace":"0123456789abcdef","edit":"rename","track":3}', "'label' is missing"),
    ('{"version":1,"trace":"0123456789abcdef","edit":"undo","number":1}', "is not consistent"),
]


@pytest.mark.parametrize(("wrong", "message"), WRONG)
def test_wrong_line_is_refused_with_its_place(path: Path, wrong: dict[str, Any] | str, message: str) -> None:
    valid = {"version": 1, "trace": TRACE, "edit": "rename", "track": 3, "label": "x"}
    line = wrong if isinstance(wrong, str) else json.dumps({**valid, **wrong})
    path.write_bytes(path.read_bytes() + line.encode() + b"\n")
    with pytest.raises(JournalError, match=message) as caught:
        Journal(path, TRACE)
    assert str(path) in str(caught.value)
    assert f"line {len(ENTRIES) + 1}" in str(caught.value) or "consistent" in message


@pytest.mark.parametrize(
    "fields",
    [
        {"segment": "../../etc/passwd"},
        {"segment": "segment_1.jsonl/x"},
        {"image": 1},
        {"box": [1, 2, 3]},
        {"box": [1, 2, 1, 4]},
        {"box": [1, 2, float("inf"), 4]},
        {"box": None},
        {"points": [[1, 2, 1]]},
    ],
)
def test_wrong_correction_is_refused(fields: dict[str, Any]) -> None:
    """The name of the segment must not leave the folder, the image lies in the span, and there is a box or points, not both."""
    valid: dict[str, Any] = {"track": 3, "label": "", "image": 5, "first": 2, "last": 9, "segment": "segment_000001.jsonl"}
    with pytest.raises(EditError):
        Correct(**{**valid, "box": (1, 2, 3, 4), **fields})


@pytest.mark.parametrize("points", [[[1, 2, 0]], [[1, 2]], [[1, 2, 2]], [[1, "2", 1]], [[1, 2, True]], [[1, 2, 1]] * 65, 5])
def test_wrong_points_are_refused(points: Any) -> None:
    with pytest.raises(EditError):
        Correct(3, "", 5, 2, 9, "segment_000001.jsonl", points=points)


def test_edits_of_another_process_are_read_again(path: Path) -> None:
    """Between reading and opening, another review may have ended with one more edit."""
    late = Journal(path, TRACE)
    other = Journal(path, TRACE)
    other.open()
    other.append(Rename(5, "other"))
    other.close()
    late.open()
    assert late.append(Rename(6, "late")) == len(ENTRIES) + 2
    late.close()
    assert Journal(path, TRACE).entries == [*ENTRIES, Rename(5, "other"), Rename(6, "late")]


def test_second_process_is_refused(path: Path) -> None:
    """Two reviews of one folder would write edits that do not know of each other."""
    journal = Journal(path, TRACE)
    journal.open()
    with pytest.raises(JournalError, match="another process reviews"):
        Journal(path, TRACE).open()
    journal.close()
    Journal(path, TRACE).open()


def test_failed_write_leaves_no_part(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk refuses the edit. The journal stays whole, and takes the next edit."""
    before = path.read_bytes()
    journal = Journal(path, TRACE)
    journal.open()

    def fail(_: int) -> None:
        raise OSError(errno.ENOSPC, "no space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", fail)
        with pytest.raises(OSError, match="no space"):
            journal.append(Rename(1, "x"))
    assert path.read_bytes() == before
    assert journal.entries == ENTRIES
    journal.append(Rename(1, "y"))
    journal.close()
    assert Journal(path, TRACE).entries == [*ENTRIES, Rename(1, "y")]


def test_undo_of_another_edit_is_refused() -> None:
    """A request that arrives twice must not undo a second edit."""
    with pytest.raises(EditError, match="undo edit 2 first"):
        active_edits([Rename(1, "a"), Rename(1, "b"), Undo(1)])
    with pytest.raises(EditError, match="no edit"):
        active_edits([Undo(1)])


def test_review_without_edits_leaves_no_file(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "edits.jsonl", TRACE)
    journal.open()
    journal.close()
    assert list(tmp_path.iterdir()) == []
