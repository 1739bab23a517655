# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Attributes of objects as they are now, to be put back when work on them fails half-way."""

from __future__ import annotations

from collections.abc import Iterable
from copy import copy
from typing import Any


class Snapshot:
    """Keeps attributes by value where they are lists and dictionaries, by reference where they are anything else.

    Args:
        parts: objects, each with the names of its attributes.
        copied: further types to be copied, one level deep.
    """

    def __init__(self, parts: Iterable[tuple[object, Iterable[str]]], copied: tuple[type, ...] = ()) -> None:
        self._others: list[Snapshot] = []
        self._copied = (list, dict, *copied)
        self._kept = [(owner, name, self._value(getattr(owner, name))) for owner, names in parts for name in names]

    def _value(self, value: Any) -> Any:
        return copy(value) if isinstance(value, self._copied) else value

    def with_others(self, *others: Snapshot) -> Snapshot:
        """The same, which also puts back what others have kept."""
        self._others += others
        return self

    def restore(self) -> None:
        """Puts everything back; may be done again."""
        for other in self._others:
            other.restore()
        for owner, name, value in self._kept:
            setattr(owner, name, self._value(value))
