# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""What the page may ask for, read strictly from JSON: anything unexpected is refused with a sentence."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, NoReturn

from lang2segtrack_ros.types.prompts import BoxPrompt, PointPrompt, PromptError, TextPrompt
from lang2segtrack_ros.viewers.web.access import RefusedError

MAX_BODY = 16 * 1024
MAX_LABEL = 200
MAX_ID = 2**32 - 1
PagePrompt = TextPrompt | BoxPrompt | PointPrompt


def refuse(sentence: str, reason: str = "bad_request", status: HTTPStatus = HTTPStatus.BAD_REQUEST) -> NoReturn:
    """Raises RefusedError."""
    raise RefusedError(status, reason, sentence)


def read_object(body: bytes) -> dict[str, Any]:
    """A JSON object. Raises RefusedError for anything else, also for NaN and names that come twice."""

    def constant(name: str) -> NoReturn:
        refuse(f"{name} is no number", "bad_json")

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(items)) != len(items):
            refuse("a name comes twice in the JSON object", "bad_json")
        return dict(items)

    try:
        value = json.loads(body.decode("utf-8"), parse_constant=constant, object_pairs_hook=pairs)
    except (ValueError, RecursionError) as error:
        refuse(f"the body is no JSON: {error}", "bad_json")
    if not isinstance(value, dict):
        refuse('the body must be a JSON object, such as {"text": "red mug."}', "bad_json")
    return value


def read_prompt(body: bytes) -> PagePrompt:
    """The prompt in {"text"}, {"point", "off"} or {"box"}; the last two with "label" and "track_id". Raises RefusedError."""
    given = read_object(body)
    kinds = [kind for kind in ("text", "point", "box") if kind in given]
    if len(kinds) != 1:
        refuse("give exactly one of text, point and box")
    kind = kinds[0]
    allowed = {"text": ("text", "mode"), "point": ("point", "off", "label", "track_id"), "box": ("box", "label", "track_id")}[kind]
    _only(given, allowed)
    try:
        if kind == "text":
            return TextPrompt(_text(given, "text", 10 * MAX_BODY), _text(given, "mode", 20, "continuous"))  # type: ignore[arg-type]
        label, track_id = _text(given, "label", MAX_LABEL, ""), _number(given, "track_id") if "track_id" in given else None
        if kind == "box":
            x1, y1, x2, y2 = _numbers(given, "box", 4)
            return BoxPrompt((x1, y1, x2, y2), label, track_id)
        x, y = _numbers(given, "point", 2)
        off = given.get("off", False)
        if not isinstance(off, bool):
            refuse("off must be true or false")
        return PointPrompt([(x, y)], [0 if off else 1], label, track_id)
    except PromptError as error:
        refuse(str(error))


def read_removal(body: bytes) -> tuple[str, int]:
    """What to remove and its number, from {"track_id"} or {"prompt_id"}. Raises RefusedError."""
    given = read_object(body)
    kinds = [kind for kind in ("track_id", "prompt_id") if kind in given]
    if len(kinds) != 1:
        refuse("give exactly one of track_id and prompt_id")
    _only(given, (kinds[0],))
    return kinds[0], _number(given, kinds[0])


def _number(given: Mapping[str, Any], name: str) -> int:
    value = given[name]
    if type(value) is not int or not 0 < value <= MAX_ID:
        refuse(f"{name} must be a whole number above 0")
    return value


def _only(given: Mapping[str, Any], allowed: tuple[str, ...]) -> None:
    strange = sorted(set(given) - set(allowed))
    if strange:
        refuse(f"unknown name {strange[0][:40]!r}; known here: {', '.join(allowed)}")


def _text(given: Mapping[str, Any], name: str, most: int, default: str | None = None) -> str:
    value = given.get(name, default)
    if not isinstance(value, str):
        refuse(f"{name} must be a text")
    if len(value) > most:
        refuse(f"{name} has {len(value)} characters; at most {most} are taken")
    try:
        value.encode()
    except UnicodeEncodeError:  # half of a surrogate pair, which no ROS string can carry
        refuse(f"{name} holds characters that are no Unicode")
    return value


def _numbers(given: Mapping[str, Any], name: str, count: int) -> list[float]:
    values = given[name]
    if not isinstance(values, list) or len(values) != count or any(type(value) not in (int, float) for value in values):
        refuse(f"{name} must be a list of {count} numbers")
    try:
        return [float(value) for value in values]
    except OverflowError:
        refuse(f"{name} holds a number that is too large")
