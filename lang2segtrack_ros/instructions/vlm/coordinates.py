# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Coordinates of an answer, converted to pixels of the image and checked.

A model writes pixels of the image that it got, thousandths of width and height (0..1000), or fractions (0..1). Without a declared format,
it is decided by the numbers only if exactly one format fits them, or if all that fit mean the same place.
"""

from __future__ import annotations

from collections.abc import Sequence

from lang2segtrack_ros.instructions.vlm.adapters.items import AnswerError, AnswerItem
from lang2segtrack_ros.instructions.vlm.options import FORMATS

OVERHANG = 0.02
"""Largest distance of a coordinate outside the image, as a fraction of the edge. It is clipped."""
SAME_PLACE = 0.01
"""Largest difference of two formats that mean the same place, as a fraction of the edge."""
_MIN_EDGE = 1.0
"""Smallest width and height of a box in pixels of the image that the model got."""


class AmbiguousFormatError(AnswerError):
    """Coordinates that fit several formats. Another answer would not help."""


def to_pixels(items: Sequence[AnswerItem], declared: str, width: int, height: int) -> list[tuple[float, ...]]:
    """Return the coordinates of all items in pixels of the image that the model got: (x1, y1, x2, y2) or (x, y).

    Args:
        items: boxes and points.
        declared: "auto", "pixels", "thousandths" or "fractions".
        width: width of this image in pixels.
        height: height of this image in pixels.

    Raises:
        AnswerError: a box is inverted, has no area, or lies outside the image.
        AmbiguousFormatError: the format is "auto", and the numbers fit several formats.
    """
    free = [item for item in items if not item.unit]
    chosen = _format(free, declared, width, height)
    return [_place(item, _scale(item, chosen, width, height), width, height) for item in items]


def _scale(item: AnswerItem, chosen: str, width: int, height: int) -> tuple[float, float]:
    """Return the factors from coordinates to pixels."""
    unit = item.unit or {"pixels": 0.0, "thousandths": 1000.0, "fractions": 1.0}[chosen]
    return (width / unit, height / unit) if unit else (1.0, 1.0)


def _format(items: Sequence[AnswerItem], declared: str, width: int, height: int) -> str:
    """Return the declared format, or the one that the numbers have."""
    if declared != "auto" or not items:
        return declared if declared != "auto" else "pixels"
    if all(0 <= value <= 1 for item in items for value in item.values):
        return "fractions"  # as pixels or thousandths, all objects together would be about one pixel
    fitting: dict[str, list[tuple[float, ...]]] = {}
    for name in FORMATS:
        try:
            fitting[name] = [_place(item, _scale(item, name, width, height), width, height) for item in items]
        except AnswerError:
            continue
    if not fitting:
        raise AnswerError(f"its coordinates fit no format: {_text(items)} on an image of {width} x {height} pixels")
    first, *others = fitting
    reach = max(width, height) * SAME_PLACE
    for other in others:
        pairs = zip(fitting[first], fitting[other])
        if any(abs(one - two) > reach for places in pairs for one, two in zip(*places)):
            raise AmbiguousFormatError(
                f"its coordinates {_text(items)} fit {' and '.join(fitting)} on an image of {width} x {height} pixels: "
                "set vlm_answer_format to the format of the model"
            )
    return first


def _place(item: AnswerItem, scale: tuple[float, float], width: int, height: int) -> tuple[float, ...]:
    """Return the coordinates of an item in pixels, clipped to the image. Raise AnswerError if they do not fit it."""
    values = []
    for index, value in enumerate(item.values):
        edge = (width, height)[index % 2]
        pixel = value * scale[index % 2]
        if not -OVERHANG * edge <= pixel <= (1 + OVERHANG) * edge:
            raise AnswerError(f"{_text([item])} lies outside the image of {width} x {height} pixels")
        values.append(min(max(pixel, 0.0), float(edge)))
    if not item.is_point and (values[2] - values[0] < _MIN_EDGE or values[3] - values[1] < _MIN_EDGE):
        raise AnswerError(f"the box {_text([item])} is inverted or has no area: x1 must be less than x2, and y1 less than y2")
    return tuple(values)


def _text(items: Sequence[AnswerItem]) -> str:
    shown = [f"[{', '.join(f'{value:g}' for value in item.values)}]" for item in items[:3]]
    return ", ".join([*shown, "..."] if len(items) > 3 else shown)
