# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Answers in JSON: a list of boxes and points as Qwen writes it, or an object with numbers of drawn objects.

[{"bbox_2d": [x1, y1, x2, y2], "label": "..."}] and [{"point_2d": [x, y], "label": "..."}]: Qwen2.5-VL and Qwen3-VL.
{"numbers": [1, 3], "others": [{"bbox_2d": ...}]}: the format that `prompts` asks for when tracks are drawn.
The JSON may stand in prose or in a code fence.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lang2segtrack_ros.instructions.vlm.adapters.items import AnswerError, AnswerItem, RawAnswer

_KEYS = ("bbox_2d", "bbox", "point_2d", "numbers")
_MAX_ITEMS = 1000
_MAX_BRACKETS = 100
"""Maximum number of brackets in prose that begin no JSON. It bounds the time for nonsense."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True, allow_inf_nan=False)


class _Item(_Strict):
    """An object with a box or a point."""

    bbox_2d: list[float] | None = Field(default=None, min_length=4, max_length=4)
    bbox: list[float] | None = Field(default=None, min_length=4, max_length=4)
    point_2d: list[float] | None = Field(default=None, min_length=2, max_length=2)
    label: str | None = None
    reason: str | None = None

    def item(self) -> AnswerItem:
        """Return the object. Raise AnswerError if it has no place."""
        values = self.bbox_2d or self.bbox or self.point_2d
        if values is None:
            raise AnswerError('an object has neither "bbox_2d" nor "point_2d"')
        return AnswerItem(tuple(values), self.label or "", self.reason or "")


class _Choice(_Strict):
    """Numbers of drawn objects, and further objects."""

    numbers: list[int]
    others: list[_Item] = []


def read(text: str) -> RawAnswer | None:
    """Return the content of an answer in JSON, or None if the text holds no JSON that names objects.

    Args:
        text: the answer.

    Raises:
        AnswerError: the JSON is cut off, has several lists, or an object without four finite coordinates.
    """
    lists, objects, choices = [], [], []
    for value in _values(text):
        if isinstance(value, list) and all(isinstance(item, dict) for item in value):
            lists.append(value)
        elif isinstance(value, dict) and "numbers" in value:
            choices.append(value)
        elif isinstance(value, dict) and any(key in value for key in _KEYS):
            objects.append(value)
    if len(lists) + len(choices) + bool(objects) > 1:
        raise AnswerError("it holds several lists of objects, and one is needed")
    if choices:
        choice: _Choice = _validated(_Choice, choices[0])
        return RawAnswer(tuple(item.item() for item in choice.others), tuple(dict.fromkeys(choice.numbers)))
    if not lists and not objects:
        return None
    found = lists[0] if lists else objects
    if len(found) > _MAX_ITEMS:
        raise AnswerError(f"it lists {len(found)} objects")
    return RawAnswer(tuple(_validated(_Item, value).item() for value in found))


def _validated(kind: Any, value: object) -> Any:
    """Return a value as a model of pydantic. Raise AnswerError with the place and the value that is wrong."""
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise AnswerError(f"{place} is {str(first['input'])[:60]}: {first['msg'][0].lower()}{first['msg'][1:]}") from None


def _values(text: str) -> Iterator[Any]:
    """Yield the outermost JSON lists and objects of a text. Raise AnswerError if one that names objects is not complete."""
    decoder, position, brackets = json.JSONDecoder(), 0, 0
    while position < len(text):
        if text[position] not in "[{":
            position += 1
            continue
        try:
            value, position = decoder.raw_decode(text, position)
            yield value
            continue
        except (ValueError, RecursionError):
            end = _end(text, position)
        if any(f'"{key}"' in text[position : end or len(text)] for key in _KEYS):
            raise AnswerError("its JSON is cut off" if end is None else "its JSON is not valid")
        position += 1
        brackets += 1
        if brackets > _MAX_BRACKETS:
            raise AnswerError("it has too many brackets that begin no JSON")


def _end(text: str, start: int) -> int | None:
    """Return the position behind the bracket that closes the one at `start`, or None if none does. Brackets in quotes do not count."""
    depth, quoted, position = 0, False, start
    while position < len(text):
        letter = text[position]
        if quoted:
            position += letter == "\\"
            quoted = letter != '"'
        elif letter == '"':
            quoted = True
        elif letter in "[{":
            depth += 1
        elif letter in "]}":
            depth -= 1
            if not depth:
                return position + 1
        position += 1
    return None
