# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The objects of a map with their changes since the last save, their bounds, and the requests of users."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from lang2segtrack_ros.geometry.alignment import RigidTransform
from lang2segtrack_ros.object_map.objects import MapError, MapObject, ObjectState, Sighting
from lang2segtrack_ros.object_map.options import MapOptions
from lang2segtrack_ros.object_map.table import ObjectTable

MAX_ALIASES = 10_000
THUMBNAIL_NS = 10_000_000_000
"""Minimum time between two thumbnails of an object."""


@dataclass
class Changes:
    """Changes of a map that are not saved yet.

    Attributes:
        updated: ids of new or changed objects.
        removed: ids of removed objects.
        merged: id of a removed object -> id of the object that it turned out to be.
        thumbnails: JPEG file by id.
    """

    updated: set[int] = field(default_factory=set)
    removed: set[int] = field(default_factory=set)
    merged: dict[int, int] = field(default_factory=dict)
    thumbnails: dict[int, bytes] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.updated or self.removed or self.merged or self.thumbnails)


@dataclass
class FreeViews:
    """Images in a row that show the place of an object free.

    Attributes:
        count: number of these images.
        since_ns: time of the first one, nanoseconds.
    """

    count: int
    since_ns: int


class MapState:
    """Objects in one fixed frame. See `object_map.ObjectMap` for the arguments and attributes."""

    def __init__(
        self,
        options: MapOptions | None = None,
        objects: Iterable[MapObject] = (),
        next_id: int = 1,
        merged: dict[int, int] | None = None,
        is_anchored: bool = False,
    ) -> None:
        self.options = options or MapOptions()
        self.table = ObjectTable()
        self.counters: Counter[str] = Counter()
        self.merged = dict(merged or {})
        self.version = 0
        self.next_id = next_id
        self._is_anchored = is_anchored
        self._candidates = ObjectTable()
        self._next_candidate = 1
        self._thumbnails: dict[int, bytes] = {}  # of candidates
        self._free: dict[int, FreeViews] = {}
        self._pairs: Counter[tuple[int, int]] = Counter()
        self._changes = Changes()
        self._thumbnail_ns: dict[int, int] = {}
        for item in objects:
            if item.state is ObjectState.VISIBLE:
                item.state, item.state_since_ns = ObjectState.REMEMBERED, item.last_seen_ns
            item.is_anchored = False
            self.table.add(item)
            self.next_id = max(self.next_id, item.id + 1)

    def take_changes(self) -> Changes:
        """Return the changes since the last call."""
        changes, self._changes = self._changes, Changes()
        return changes

    def keep_changes(self, changes: Changes) -> None:
        """Take changes back that could not be saved. They are part of the next `take_changes`."""
        newer, self._changes = self._changes, changes
        changes.updated |= newer.updated
        changes.removed |= newer.removed
        changes.merged.update(newer.merged)
        changes.thumbnails.update(newer.thumbnails)
        for number in changes.removed:
            changes.updated.discard(number)
            changes.thumbnails.pop(number, None)

    def resolve(self, number: int) -> MapObject:
        """Return the object with an id, also with the id that it had before it turned out to be another one.

        Raises:
            MapError: the map has no such object.
        """
        seen = set()
        while number in self.merged and number not in self.table and number not in seen:
            seen.add(number)
            number = self.merged[number]
        item = self.table.get(number)
        if item is None:
            raise MapError(f"the map has no object {number}: list_objects returns the ids")
        return item

    def _set_state(self, item: MapObject, state: ObjectState, stamp_ns: int) -> None:
        if item.state is not state:
            if item.state is ObjectState.MISSING:
                self.counters["found_again"] += 1
            item.state, item.state_since_ns = state, stamp_ns

    def _touch(self, item: MapObject, sighting: Sighting | None = None) -> None:
        self.table.refresh(item)
        self._changes.updated.add(item.id)
        is_due = abs(item.last_seen_ns - self._thumbnail_ns.get(item.id, 0)) >= THUMBNAIL_NS
        if is_due and sighting is not None and sighting.thumbnail and not sighting.is_cut:
            self._changes.thumbnails[item.id] = sighting.thumbnail
            self._thumbnail_ns[item.id] = item.last_seen_ns
        self.version += 1

    def _retire(self, kept: MapObject, gone: MapObject) -> None:
        self._remove(gone.id, "merged")
        self._pairs = Counter({pair: count for pair, count in self._pairs.items() if gone.id not in pair})
        self.merged[gone.id] = self._changes.merged[gone.id] = kept.id
        while len(self.merged) > MAX_ALIASES:
            del self.merged[next(iter(self.merged))]

    def _forget_surplus(self) -> None:
        """Forget the object that matters least, if there are too many."""
        while len(self.table) > self.options.max_objects:
            used = np.flatnonzero(self.table.ids > 0)
            is_missing = self.table.states[used] == ObjectState.MISSING
            least = used[np.lexsort((self.table.last_seen_ns[used], ~is_missing))[0]]
            self._remove(int(self.table.ids[least]), "forgotten_by_number")

    def _remove(self, number: int, reason: str) -> None:
        self.table.remove(number)
        self._free.pop(number, None)
        self._thumbnail_ns.pop(number, None)
        self._changes.updated.discard(number)
        self._changes.thumbnails.pop(number, None)
        self._changes.removed.add(number)
        self.counters[reason] += 1
        self.version += 1

    def forget(self, numbers: Sequence[int]) -> int:
        """Remove objects. Return their number.

        Raises:
            MapError: the map has no object with one of these ids. Nothing is removed then.
        """
        items = {self.resolve(number).id for number in numbers}
        for number in items:
            self._remove(number, "forgotten_by_request")
        return len(items)

    def rename(self, number: int, name: str) -> MapObject:
        """Give an object a name, and return the object. An empty text removes the name.

        Raises:
            MapError: the map has no such object.
        """
        item = self.resolve(number)
        item.name = name.strip()
        self._touch(item)
        return item

    def apply_correction(self, correction: RigidTransform) -> int:
        """Move the objects of this run with a correction of the fixed frame, such as a loop closure. Return their number.

        Args:
            correction: transform from the fixed frame before the correction to the fixed frame after it.
        """
        moved = 0
        for items in (self.table, self._candidates):
            for item in items:
                if item.is_anchored:
                    item.position = correction.rotation @ item.position + correction.translation
                    item.covariance = correction.rotation @ item.covariance @ correction.rotation.T
                    items.refresh(item)
                    moved += 1
                    if items is self.table:
                        self._changes.updated.add(item.id)
        self.version += 1
        self.counters["corrections"] += 1
        return moved
