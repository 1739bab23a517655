# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The content of an answer before its coordinates are read: boxes, points and numbers as the model wrote them."""

from __future__ import annotations

from dataclasses import dataclass


class AnswerError(ValueError):
    """An answer that cannot be used. The message is a sentence on what is wrong with it."""


@dataclass(frozen=True)
class AnswerItem:
    """One object of an answer.

    Attributes:
        values: (x1, y1, x2, y2) of a box or (x, y) of a point, as the model wrote them.
        label: name of the object, may be empty.
        reason: why it was chosen, may be empty.
        unit: length of both image edges in the coordinates: 100 for percent, 1000 for thousandths. 0 if the format of the answer decides.
    """

    values: tuple[float, ...]
    label: str = ""
    reason: str = ""
    unit: float = 0.0

    @property
    def is_point(self) -> bool:
        """Return True for a point."""
        return len(self.values) == 2


@dataclass(frozen=True)
class RawAnswer:
    """The content of an answer.

    Attributes:
        items: boxes and points.
        numbers: numbers of chosen objects that were drawn.
    """

    items: tuple[AnswerItem, ...] = ()
    numbers: tuple[int, ...] = ()
