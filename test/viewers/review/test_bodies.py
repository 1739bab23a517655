# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The bodies of the review page: valid ones are read, everything else is refused with a sentence."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lang2segtrack_ros.recordings.review.edits import Delete, Merge, Rename
from lang2segtrack_ros.viewers.review.bodies import (
    CorrectRequest,
    SplitRequest,
    read_correction,
    read_edit,
    read_empty,
    read_number,
    read_undo,
)
from lang2segtrack_ros.viewers.web.access import RefusedError


def body(value: Any) -> bytes:
    return json.dumps(value).encode()


def test_valid_bodies() -> None:
    assert read_edit(body({"edit": "rename", "track": 1, "label": "Tasse"})) == Rename(1, "Tasse")
    assert read_edit(body({"edit": "merge", "track": 1, "into": 2})) == Merge(1, 2)
    assert read_edit(body({"edit": "split", "track": 1, "at": 0})) == SplitRequest(1, 0)
    assert read_edit(body({"edit": "delete", "track": 1, "first": 3, "last": 3})) == Delete(1, 3, 3)
    assert read_undo(body({"number": 4})) == 4
    assert read_correction(body({"track": 1, "image": 2, "box": [1, 2, 3, 4.5]})) == CorrectRequest(1, "", 2, (1, 2, 3, 4.5), ())
    assert read_correction(body({"label": "cup", "image": 2, "points": [[1, 2, 1]]})) == CorrectRequest(None, "cup", 2, None, ((1, 2, 1),))
    read_empty(b"{}")


@pytest.mark.parametrize(
    "wrong",
    [
        b"",
        b"[]",
        b"null",
        b"\xff",
        b'{"edit": "rename", "track": NaN, "label": ""}',
        b'{"edit": "rename", "edit": "merge", "track": 1, "into": 2}',
        b'{"edit": "rename", "track": 1, "label": "\\ud800"}',
        body({}),
        body({"edit": ["rename"]}),
        body({"edit": {}}),
        body({"edit": "undo", "number": 1}),
        body({"edit": "correct", "track": 1}),  # only the server writes corrections, with the masks of the tracker
        body({"edit": "rename", "track": 1}),
        body({"edit": "rename", "track": 1.0, "label": ""}),
        body({"edit": "rename", "track": True, "label": ""}),
        body({"edit": "rename", "track": 1, "label": "x" * 201}),
        body({"edit": "rename", "track": 1, "label": "a\u0000"}),
        body({"edit": "merge", "track": 1, "into": 1}),
        body({"edit": "merge", "track": 1, "into": 2, "more": 3}),
        body({"edit": "split", "track": 1, "at": 3, "new": 9}),
        body({"edit": "split", "track": 1, "at": -1}),
        body({"edit": "split", "track": 2**40, "at": 1}),
        body({"edit": "delete", "track": 1, "first": 4, "last": 3}),
        body({"edit": "delete", "track": 1, "first": "0", "last": 3}),
    ],
)
def test_wrong_edits_are_refused(wrong: bytes) -> None:
    with pytest.raises(RefusedError):
        read_edit(wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"image": 1},
        {"image": 1, "points": []},
        {"image": 1, "box": None},
        {"image": 1, "points": [[1, 2, 1]], "box": [1, 2, 3, 4]},
        {"image": 1, "points": [[1, 2, 1]], "track": 1, "label": "cup"},
        {"image": 1, "points": [[1, 2, 0]]},
        {"image": 1, "points": [[1, 2, 1]] * 65},
        {"image": 1, "points": [[1, 2]]},
        {"image": 1, "points": {"0": [1, 2, 1]}},
        {"image": 1, "box": [1, 2, 3]},
        {"image": 1, "box": [3, 2, 1, 4]},
        {"image": 1, "box": [1, 2, 10**400, 4]},
        {"image": -1, "box": [1, 2, 3, 4]},
        {"image": True, "box": [1, 2, 3, 4]},
        {"image": 1, "box": [1, 2, 3, 4], "track": None},
        {"image": 1, "box": [1, 2, 3, 4], "label": 5},
        {"image": 1, "box": [1, 2, 3, 4], "segment": "segment_000001.jsonl"},
    ],
)
def test_wrong_corrections_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(RefusedError):
        read_correction(body(wrong))


@pytest.mark.parametrize("wrong", [{}, {"number": 0}, {"number": "1"}, {"number": True}, {"number": 1, "x": 1}])
def test_wrong_undo_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(RefusedError):
        read_undo(body(wrong))


@pytest.mark.parametrize("text", [None, "", "-1", "1.5", "٣", "1" * 11, "0x1"])
def test_wrong_numbers_are_refused(text: str | None) -> None:
    """The digits of other scripts are no numbers of an address, either."""
    with pytest.raises(RefusedError):
        read_number(text, "number")


def test_cancel_takes_no_content() -> None:
    with pytest.raises(RefusedError):
        read_empty(b'{"x": 1}')
