# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Parser of the page's requests: valid requests are read, and all others are refused with a message."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lang2segtrack_ros.types.instruction import InstructionPrompt
from lang2segtrack_ros.types.prompts import BoxPrompt, PointPrompt, TextPrompt
from lang2segtrack_ros.viewers.web.access import RefusedError
from lang2segtrack_ros.viewers.web.bodies import MAX_BODY, read_prompt, read_removal


def encoded(value: Any) -> bytes:
    return json.dumps(value).encode()


def test_valid_requests_are_read() -> None:
    assert read_prompt(encoded({"text": "Red mug."})) == TextPrompt("Red mug.")
    assert read_prompt(encoded({"text": "mug", "mode": "once"})) == TextPrompt("mug", "once")
    sentence = "the mug left of the plate"
    assert read_prompt(encoded({"instruction": sentence})) == InstructionPrompt(sentence)
    assert read_prompt(encoded({"instruction": sentence, "mode": "continuous"})) == InstructionPrompt(sentence, mode="continuous")
    assert read_prompt(encoded({"box": [1, 2, 3.5, 4], "label": "cup"})) == BoxPrompt((1, 2, 3.5, 4), "cup")
    assert read_prompt(encoded({"point": [1, 2], "track_id": 7, "off": True})) == PointPrompt([(1, 2)], [0], "", 7)
    assert read_removal(b'{"track_id": 3}') == ("track_id", 3)
    assert read_removal(b'{"prompt_id": 1}') == ("prompt_id", 1)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff\xfe{}", "not JSON"),
        (b"[" * MAX_BODY, "not JSON"),
        (b"[]", "must be a JSON object"),
        (b"{}", "exactly one"),
        (b'{"text": "mug", "box": [1, 2, 3, 4]}', "exactly one"),
        (b'{"text": "mug", "text": "cup"}', "has a name twice"),
        (b'{"text": "mug", "track_id": 1}', "unknown name 'track_id'"),
        (b'{"point": [1, 2], "__proto__": {}}', "unknown name"),
        (b'{"text": 5}', "must be a string"),
        (b'{"text": ""}', "names no object"),
        (b'{"text": "mug", "mode": "twice"}', "continuous"),
        (b'{"text": "\\ud800"}', "not valid Unicode"),
        (b'{"instruction": " "}', "the instruction is empty"),
        (b'{"instruction": "a mug", "mode": 1}', "must be a string"),
        (b'{"instruction": "a mug", "mode": "often"}', "continuous"),
        (b'{"instruction": "a mug", "label": "cup"}', "unknown name 'label'"),
        (b'{"instruction": "a mug", "text": "mug"}', "exactly one"),
        (b'{"box": [1, 2, 3]}', "list of 4 numbers"),
        (b'{"box": [1, 2, 3, "4"]}', "list of 4 numbers"),
        (b'{"box": [1, 2, 3, true]}', "list of 4 numbers"),
        (b'{"box": [9, 2, 3, 4]}', "inverted"),
        (b'{"box": {"x": 1}}', "list of 4 numbers"),
        (b'{"point": [NaN, 1]}', "NaN is not a number"),
        (b'{"point": [1e999, 1]}', "finite"),
        (b'{"point": [1' + 400 * b"0" + b", 1]}", "too large"),
        (b'{"point": [1' + 5000 * b"0" + b", 1]}", "not JSON"),
        (b'{"point": [1, 2], "off": 1}', "true or false"),
        (b'{"point": [1, 2], "off": true}', "at least one point on it"),
        (b'{"point": [1, 2], "label": "' + 300 * b"x" + b'"}', "the limit is 200"),
        (b'{"point": [1, 2], "track_id": 0}', "whole number above 0"),
        (b'{"point": [1, 2], "track_id": 4294967296}', "whole number above 0"),
        (b'{"point": [1, 2], "track_id": 1.0}', "whole number above 0"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_invalid_prompt_is_refused(body: bytes, words: str) -> None:
    with pytest.raises(RefusedError, match=words) as raised:
        read_prompt(body)
    assert raised.value.status == 400


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b'{"track_id": true}',
        b'{"track_id": -1}',
        b'{"track_id": null}',
        b'{"track_id": 1, "x": 1}',
        b'{"track_id": 1, "prompt_id": 1}',
    ],
)
def test_invalid_removal_is_refused(body: bytes) -> None:
    with pytest.raises(RefusedError):
        read_removal(body)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(st.sampled_from(["text", "point", "box", "label", "track_id", "off", "mode"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(JSON | st.binary(max_size=100))
def test_any_body_is_read_or_refused(value: Any) -> None:
    """No body may raise another exception."""
    body = value if isinstance(value, bytes) else encoded(value)
    for read in (read_prompt, read_removal):
        with contextlib.suppress(RefusedError):
            read(body)
