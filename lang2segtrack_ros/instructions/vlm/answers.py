# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Answers of vision-language models: the text of an answer becomes checked boxes, points and numbers of drawn objects."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from lang2segtrack_ros.instructions.vlm.adapters import florence2, json_objects, molmo
from lang2segtrack_ros.instructions.vlm.adapters.items import AnswerError, RawAnswer
from lang2segtrack_ros.instructions.vlm.coordinates import to_pixels
from lang2segtrack_ros.instructions.vlm.model import shorten

_READERS = (florence2.read, molmo.read, json_objects.read)
_NONE = re.compile(
    r"\W*(none|null|nothing|not found|there (is|are) (none|no such objects?)|no (such |matching )?objects?( fits?)?)\W*", re.IGNORECASE
)
_MAX_LABEL = 80
_MAX_CHARACTERS = 50_000


@dataclass(frozen=True)
class FoundPlace:
    """One object of an answer.

    Attributes:
        place: box (x1, y1, x2, y2) or point (x, y) in pixels of the image that the model got.
        label: name of the object, may be empty.
        reason: why it was chosen, may be empty.
    """

    place: tuple[float, ...]
    label: str
    reason: str


@dataclass(frozen=True)
class ModelAnswer:
    """The checked content of an answer. Without objects and numbers, the model says that no object fits.

    Attributes:
        objects: boxes and points.
        numbers: numbers of chosen objects that were drawn.
    """

    objects: tuple[FoundPlace, ...] = ()
    numbers: tuple[int, ...] = ()


def parse_answer(text: str, declared: str, size: tuple[int, int], drawn: Collection[int] = ()) -> ModelAnswer:
    """Return the checked content of an answer.

    Args:
        text: the answer.
        declared: format of the coordinates: "auto", "pixels", "thousandths" or "fractions".
        size: width and height in pixels of the image that the model got.
        drawn: numbers that were drawn on this image.

    Raises:
        AnswerError: the answer is empty, in no known format, not complete, or its content does not fit the image.
    """
    text = re.sub(r"<think>.*?</think>", "", text, flags=re.DOTALL).strip()
    if not text:
        raise AnswerError("it is empty")
    if len(text) > _MAX_CHARACTERS:
        raise AnswerError(f"it has {len(text)} characters")
    raw = _read(text)
    unknown = [number for number in raw.numbers if number not in drawn]
    if unknown:
        shown = f"drawn are {', '.join(map(str, sorted(drawn)))}" if drawn else "no numbers are drawn"
        raise AnswerError(f"it chooses the number {unknown[0]}, but {shown}")
    places = to_pixels(raw.items, declared, *size)
    objects = [FoundPlace(place, shorten(item.label, _MAX_LABEL), shorten(item.reason)) for item, place in zip(raw.items, places)]
    return ModelAnswer(tuple(objects), raw.numbers)


def _read(text: str) -> RawAnswer:
    """Return the content of an answer in any format. Raise AnswerError if no reader knows it."""
    if _NONE.fullmatch(text):
        return RawAnswer()
    for read in _READERS:
        raw = read(text)
        if raw is not None:
            return raw
    raise AnswerError("it holds no JSON and no points")
