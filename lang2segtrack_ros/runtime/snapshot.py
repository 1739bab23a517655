# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Snapshots of attributes, to roll back objects after a failed operation."""

from __future__ import annotations

from collections.abc import Iterable
from copy import copy
from typing import Any


class Snapshot:
    """A snapshot of attributes. It stores lists and dictionaries by value, one level deep, and all other types by reference.

    Args:
        parts: objects, each with the names of its attributes.
        copied: further types to store by value, one level deep.
    """

    def __init__(self, parts: Iterable[tuple[object, Iterable[str]]], copied: tuple[type, ...] = ()) -> None:
        self._others: list[Snapshot] = []
        self._copied = (list, dict, *copied)
        self._values = [(owner, name, self._value(getattr(owner, name))) for owner, names in parts for name in names]

    def _value(self, value: Any) -> Any:
        return copy(value) if isinstance(value, self._copied) else value

    def with_others(self, *others: Snapshot) -> Snapshot:
        """Add other snapshots, which `restore` then restores too. Return this snapshot."""
        self._others += others
        return self

    def restore(self) -> None:
        """Restore all attributes. The caller may restore repeatedly."""
        for other in self._others:
            other.restore()
        for owner, name, value in self._values:
            setattr(owner, name, self._value(value))
