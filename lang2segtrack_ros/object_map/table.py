# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Columns of the objects of a map as arrays, so that geometry and queries over thousands of objects take a millisecond."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from lang2segtrack_ros.object_map.objects import MapObject

_FIRST_SIZE = 64


class ObjectTable:
    """Objects by id, with their positions, times and states in arrays.

    A removed object leaves its row to the next one. Call `refresh` after any change of an object.

    Attributes:
        ids: int64 [N], id of the object in each row, 0 for a free row.
        positions: float64 [N, 3], meters; NaN in free rows.
        radii: float64 [N], half of the largest side, meters.
        last_seen_ns: int64 [N].
        states: int64 [N].
        labels: int64 [N], number of the label, see `label_number`.
        named: the objects with a name, by id.
    """

    def __init__(self) -> None:
        self._objects: dict[int, MapObject] = {}
        self._rows: dict[int, int] = {}
        self._free: list[int] = []
        self._labels: dict[str, int] = {}
        self.named: dict[int, MapObject] = {}
        self.ids = np.zeros(0, np.int64)
        self.positions = np.zeros((0, 3))
        self.radii = np.zeros(0)
        self.last_seen_ns = np.zeros(0, np.int64)
        self.states = np.zeros(0, np.int64)
        self.labels = np.zeros(0, np.int64)

    def __len__(self) -> int:
        return len(self._objects)

    def __iter__(self) -> Iterator[MapObject]:
        return iter(self._objects.values())

    def __contains__(self, number: int) -> bool:
        return number in self._objects

    def __getitem__(self, number: int) -> MapObject:
        return self._objects[number]

    def get(self, number: int) -> MapObject | None:
        """Return the object with an id, or None."""
        return self._objects.get(number)

    def label_number(self, label: str) -> int:
        """Return the number of a label in the column `labels`. A new label gets the next number."""
        return self._labels.setdefault(label, len(self._labels))

    @property
    def known_labels(self) -> list[str]:
        """All labels by number, also those of removed objects."""
        return list(self._labels)

    def at_rows(self, rows: Iterable[int]) -> list[MapObject]:
        """Return the objects in some rows."""
        return [self._objects[int(self.ids[row])] for row in rows]

    def add(self, item: MapObject) -> None:
        """Add an object, or replace the one with its id."""
        if item.id not in self._rows:
            if not self._free:
                self._grow()
            self._rows[item.id] = self._free.pop()
        self._objects[item.id] = item
        self.refresh(item)

    def refresh(self, item: MapObject) -> None:
        """Copy an object into its row."""
        row = self._rows[item.id]
        self.ids[row], self.positions[row], self.radii[row] = item.id, item.position, item.radius
        self.last_seen_ns[row], self.states[row] = item.last_seen_ns, item.state
        self.labels[row] = self.label_number(item.label)
        if item.name:
            self.named[item.id] = item
        else:
            self.named.pop(item.id, None)

    def remove(self, number: int) -> MapObject:
        """Remove an object and return it.

        Raises:
            KeyError: there is no such object.
        """
        item = self._objects.pop(number)
        self.named.pop(number, None)
        row = self._rows.pop(number)
        self.ids[row], self.positions[row] = 0, np.nan
        self._free.append(row)
        return item

    def with_label(self, label: str) -> list[MapObject]:
        """Return the objects with a label."""
        return self.at_rows(np.flatnonzero((self.labels == self.label_number(label)) & (self.ids > 0)))

    def _grow(self) -> None:
        old = len(self.ids)
        new = max(_FIRST_SIZE, 2 * old)
        extra = new - old
        self.ids = np.concatenate([self.ids, np.zeros(extra, np.int64)])
        self.positions = np.concatenate([self.positions, np.full((extra, 3), np.nan)])
        self.radii = np.concatenate([self.radii, np.zeros(extra)])
        self.last_seen_ns = np.concatenate([self.last_seen_ns, np.zeros(extra, np.int64)])
        self.states = np.concatenate([self.states, np.zeros(extra, np.int64)])
        self.labels = np.concatenate([self.labels, np.zeros(extra, np.int64)])
        self._free += range(new - 1, old - 1, -1)

    def near(self, position: NDArray[np.float64], distance: float) -> NDArray[np.int64]:
        """Return the rows of the objects within a distance.

        Args:
            position: float64 [3], meters.
            distance: meters.
        """
        with np.errstate(invalid="ignore"):
            near_x = np.flatnonzero(np.abs(self.positions[:, 0] - position[0]) <= distance)
            rows: NDArray[np.int64] = near_x[np.square(self.positions[near_x] - position).sum(axis=1) <= distance * distance]
        return rows
