# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Answers of Molmo and Molmo2: points in tags.

Molmo: <point x="61.5" y="40.6" alt="mug">mug</point> and <points x1="10.0" y1="20.0" x2="30.0" y2="40.0" alt="mugs">mugs</points>,
in percent of width and height (https://huggingface.co/allenai/Molmo-7B-O-0924/discussions/1).
Molmo2: <points coords="1 1 615 406 2 300 400">mugs</points>: the number of the image, then number, x and y of each point in thousandths.
"""

from __future__ import annotations

import re

from lang2segtrack_ros.instructions.vlm.adapters.items import AnswerError, AnswerItem, RawAnswer

_TAG = re.compile(r"<points?\b([^<>]*)>(?:([^<>]*)</points?>)?", re.IGNORECASE)
_ATTRIBUTE = re.compile(r"(\w+)\s*=\s*\"([^\"]*)\"|(\w+)\s*=\s*'([^']*)'")
_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)?")


def read(text: str) -> RawAnswer | None:
    """Return the points of an answer, or None if it has no point tags.

    Args:
        text: the answer.

    Raises:
        AnswerError: a tag has no coordinates, or is not complete.
    """
    items: list[AnswerItem] = []
    tags = list(_TAG.finditer(text))
    if len(tags) < len(re.findall(r"<points?\b", text, re.IGNORECASE)):
        raise AnswerError("a point tag is cut off")
    for tag in tags:
        attributes = {(match[1] or match[3]).lower(): match[2] or match[4] or "" for match in _ATTRIBUTE.finditer(tag[1])}
        label = (attributes.get("alt") or tag[2] or "").strip()
        if "coords" in attributes:
            items += _thousandths(attributes["coords"], label)
        else:
            items += _percent(attributes, label)
    return RawAnswer(tuple(items)) if tags else None


def _percent(attributes: dict[str, str], label: str) -> list[AnswerItem]:
    """Return the points of the attributes x and y, or x1, y1, x2 and so on."""
    found = []
    for name, value in attributes.items():
        if not re.fullmatch(r"x\d*", name):
            continue
        other = attributes.get(f"y{name[1:]}", "")
        if not (_NUMBER.fullmatch(value.strip()) and _NUMBER.fullmatch(other.strip())):
            raise AnswerError(f'the point {name}="{value[:20]}" y{name[1:]}="{other[:20]}" is no pair of numbers')
        found.append(AnswerItem((float(value), float(other)), label, unit=100.0))
    if not found:
        raise AnswerError("a point tag has no coordinates")
    return found


def _thousandths(coords: str, label: str) -> list[AnswerItem]:
    """Return the points of the attribute coords. Raise AnswerError if its numbers are no triples behind the number of the image."""
    words = coords.split()
    if not all(map(_NUMBER.fullmatch, words)) or len(words) % 3 != 1 or len(words) < 4:
        raise AnswerError(f'coords="{coords[:60]}" is no list of number, x and y behind the number of the image')
    numbers = [float(word) for word in words[1:]]
    return [AnswerItem((numbers[index + 1], numbers[index + 2]), label, unit=1000.0) for index in range(0, len(numbers), 3)]
