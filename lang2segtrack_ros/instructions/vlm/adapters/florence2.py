# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Answers of Florence-2: the dictionary of `Florence2Processor.post_process_generation` as JSON, with boxes in pixels of the image."""

from __future__ import annotations

import json
from typing import Any

from lang2segtrack_ros.instructions.vlm.adapters.items import AnswerError, AnswerItem, RawAnswer
from lang2segtrack_ros.types.checks import as_finite

TASKS = ("<OPEN_VOCABULARY_DETECTION>", "<CAPTION_TO_PHRASE_GROUNDING>")
"""Tasks with a phrase as input. The first finds the objects that the whole phrase means, the second those of each noun in it."""


def read(text: str) -> RawAnswer | None:
    """Return the boxes of an answer, or None if it is no dictionary of Florence-2.

    The open-vocabulary task may give polygons instead of boxes. The box around a polygon is taken.

    Args:
        text: the dictionary as JSON.

    Raises:
        AnswerError: the dictionary has boxes without four numbers, or not one label for each box.
    """
    try:
        value: Any = json.loads(text)
    except (ValueError, RecursionError):
        return None
    task = next((task for task in TASKS if isinstance(value, dict) and isinstance(value.get(task), dict)), None)
    if task is None:
        return None
    found = value[task]
    boxes = _labeled(found.get("bboxes", []), found.get("bboxes_labels", found.get("labels", [])))
    polygons = _labeled(found.get("polygons", []), found.get("polygons_labels", []))
    return RawAnswer(
        (
            *(AnswerItem(_numbers(box, 4), label) for box, label in boxes),
            *(AnswerItem(_box_around(polygon), label) for polygon, label in polygons),
        )
    )


def _labeled(places: object, labels: object) -> list[tuple[Any, str]]:
    """Return each place with its label. Raise AnswerError if their numbers differ."""
    if not isinstance(places, list) or not isinstance(labels, list) or len(places) != len(labels):
        raise AnswerError("it has not one label for each object")
    return list(zip(places, map(str, labels)))


def _numbers(values: object, count: int | None = None) -> tuple[float, ...]:
    """Return a list of finite numbers. Raise AnswerError for anything else, or another count."""
    numbers = [as_finite(value) for value in values] if isinstance(values, list) else []
    finite = tuple(number for number in numbers if number is not None)
    if not finite or len(finite) != len(numbers) or count not in (None, len(finite)):
        raise AnswerError(f"the object {str(values)[:60]} is no list of {'coordinates' if count is None else f'{count} numbers'}")
    return finite


def _box_around(polygon: object) -> tuple[float, ...]:
    """Return the box around a polygon, which is a list of outlines x1, y1, x2, y2 and so on."""
    outlines = [_numbers(outline) for outline in polygon] if isinstance(polygon, list) else []
    xs, ys = [x for outline in outlines for x in outline[::2]], [y for outline in outlines for y in outline[1::2]]
    if not xs or not ys:
        raise AnswerError("a polygon is empty")
    return min(xs), min(ys), max(xs), max(ys)
