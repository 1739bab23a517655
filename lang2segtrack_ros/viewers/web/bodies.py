# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Strict parser of the page's JSON requests. It refuses unexpected content with a message."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, NoReturn

from lang2segtrack_ros.types.instruction import InstructionPrompt
from lang2segtrack_ros.types.prompts import BoxPrompt, PointPrompt, PromptError, TextPrompt
from lang2segtrack_ros.viewers.web.access import RefusedError

MAX_BODY = 16 * 1024
MAX_LABEL = 200
MAX_ID = 2**32 - 1
ALLOWED = {
    "text": ("text", "mode"),
    "instruction": ("instruction", "mode"),
    "point": ("point", "off", "label", "track_id"),
    "box": ("box", "label", "track_id"),
}
"""Names that each kind of prompt may have."""
PagePrompt = TextPrompt | InstructionPrompt | BoxPrompt | PointPrompt


def refuse(message: str, reason: str = "bad_request", status: HTTPStatus = HTTPStatus.BAD_REQUEST) -> NoReturn:
    """Raise RefusedError.

    Args:
        message: sentence for the user.
        reason: short name of the reason, for the counters.
        status: HTTP status of the response.
    """
    raise RefusedError(status, reason, message)


def read_object(body: bytes) -> dict[str, Any]:
    """Parse a JSON object.

    Args:
        body: UTF-8 text.

    Raises:
        RefusedError: the body is not a JSON object, holds NaN or infinity, or has a name twice.
    """

    def refuse_constant(name: str) -> NoReturn:
        refuse(f"{name} is not a number", "bad_json")

    def unique_pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(items)) != len(items):
            refuse("the JSON object has a name twice", "bad_json")
        return dict(items)

    try:
        value = json.loads(body.decode("utf-8"), parse_constant=refuse_constant, object_pairs_hook=unique_pairs)
    except (ValueError, RecursionError) as error:
        refuse(f"the body is not JSON: {error}", "bad_json")
    if not isinstance(value, dict):
        refuse('the body must be a JSON object, such as {"text": "red mug."}', "bad_json")
    return value


def read_prompt(body: bytes) -> PagePrompt:
    """Parse a prompt.

    Args:
        body: JSON object with "text" or "instruction" and "mode", "point" and "off", or "box". A point and a box may have "label" and
            "track_id".

    Raises:
        RefusedError: the body is not such an object, or the prompt is not valid.
    """
    fields = read_object(body)
    kinds = [kind for kind in ("text", "instruction", "point", "box") if kind in fields]
    if len(kinds) != 1:
        refuse("give exactly one of text, instruction, point and box")
    kind = kinds[0]
    _check_names(fields, ALLOWED[kind])
    try:
        if kind == "text":
            return TextPrompt(_text(fields, "text", 10 * MAX_BODY), _text(fields, "mode", 20, "continuous"))  # type: ignore[arg-type]
        if kind == "instruction":
            mode = _text(fields, "mode", 20, "once")
            return InstructionPrompt(_text(fields, "instruction", 10 * MAX_BODY), mode=mode)  # type: ignore[arg-type]
        label, track_id = _text(fields, "label", MAX_LABEL, ""), _number(fields, "track_id") if "track_id" in fields else None
        if kind == "box":
            x1, y1, x2, y2 = _numbers(fields, "box", 4)
            return BoxPrompt((x1, y1, x2, y2), label, track_id)
        x, y = _numbers(fields, "point", 2)
        off = fields.get("off", False)
        if not isinstance(off, bool):
            refuse("off must be true or false")
        return PointPrompt([(x, y)], [0 if off else 1], label, track_id)
    except PromptError as error:
        refuse(str(error))


def read_removal(body: bytes) -> tuple[str, int]:
    """Parse a removal.

    Args:
        body: JSON object with "track_id" or "prompt_id".

    Returns:
        The name of the id and its value.

    Raises:
        RefusedError: the body is not such an object.
    """
    fields = read_object(body)
    kinds = [kind for kind in ("track_id", "prompt_id") if kind in fields]
    if len(kinds) != 1:
        refuse("give exactly one of track_id and prompt_id")
    _check_names(fields, (kinds[0],))
    return kinds[0], _number(fields, kinds[0])


def _number(fields: Mapping[str, Any], name: str) -> int:
    value = fields[name]
    if type(value) is not int or not 0 < value <= MAX_ID:
        refuse(f"{name} must be a whole number above 0")
    return value


def _check_names(fields: Mapping[str, Any], allowed: tuple[str, ...]) -> None:
    unknown = sorted(set(fields) - set(allowed))
    if unknown:
        refuse(f"unknown name {unknown[0][:40]!r}; allowed names: {', '.join(allowed)}")


def _text(fields: Mapping[str, Any], name: str, max_length: int, default: str | None = None) -> str:
    value = fields.get(name, default)
    if not isinstance(value, str):
        refuse(f"{name} must be a string")
    if len(value) > max_length:
        refuse(f"{name} has {len(value)} characters; the limit is {max_length}")
    try:
        value.encode()
    except UnicodeEncodeError:  # half of a surrogate pair, which a ROS string cannot hold
        refuse(f"{name} holds characters that are not valid Unicode")
    return value


def _numbers(fields: Mapping[str, Any], name: str, count: int) -> list[float]:
    values = fields[name]
    if not isinstance(values, list) or len(values) != count or any(type(value) not in (int, float) for value in values):
        refuse(f"{name} must be a list of {count} numbers")
    try:
        return [float(value) for value in values]
    except OverflowError:
        refuse(f"{name} holds a number that is too large")
