# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The object map: it fuses the sightings of all cameras into objects, and notices when an object is gone or has moved.

The order of work on an image:

1. Sightings are associated with objects, one to one, and fused.
2. The rest is associated with candidates. A candidate becomes an object after some images.
3. A new object that resembles a missing one, or one whose track it continues, is that object: it has moved, and keeps its id.
4. Depth shows which places are free. An object whose place stays free is missing, or has moved to where one like it was found since.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lang2segtrack_ros.object_map.association import SAME_PLACE_M, Gate, associate, closest_in_appearance, has_hint, is_duplicate
from lang2segtrack_ros.object_map.evidence import Place, look_at, rows_in_view
from lang2segtrack_ros.object_map.map_state import FreeViews, MapState
from lang2segtrack_ros.object_map.measurement import Measurement, fuse, measure, new_object, replace_place
from lang2segtrack_ros.object_map.objects import NS, MapObject, ObjectState, Sighting, View

CANDIDATE_S = 2.0
"""A candidate without a sighting for this long is dropped."""
CONTINUED_S = 5.0
"""A track that showed an object within this time, and now shows a new one, continues it at another place."""
FALSE_ALARM_FACTOR = 2
"""An object with fewer sightings than `min_sightings` times this number, whose place is free, never was there."""
ABSENCE_S = 3.0
"""An object that moved, and is seen at its new place after an absence of this long, counts as visible there."""
DUPLICATE_VIEWS = 5
"""Two objects at one place are one object after this many images."""
MAX_ALIASES = 10_000


class ObjectMap(MapState):
    """Objects with their places in one fixed frame. Not safe for several threads.

    Args:
        options: limits and rules.
        objects: objects of an earlier run. They are remembered.
        next_id: id of the next new object.
        merged: see `Changes`.
        is_anchored: True if positions move with `apply_correction` from now on.

    Attributes:
        options: limits and rules.
        table: the objects.
        counters: number of events, and of skipped sightings by reason.
        next_id: id of the next new object.
        merged: id of an object that turned out to be another one -> id of that one.
        version: number that grows with each change of the objects.
    """

    # Images

    def observe(self, view: View, sightings: Sequence[Sighting]) -> list[int]:
        """Fuse the sightings of one image, and note the places that it shows free.

        Args:
            view: view of the camera. Without depth, no place is found free.
            sightings: objects on the image.

        Returns:
            Ids of the objects that the image shows, in the order of the sightings; 0 for skipped ones and for candidates.
        """
        valid = [index for index, sighting in enumerate(sightings) if self._is_usable(sighting)]
        measurements = [measure(sightings[index], view) for index in valid]
        known = associate(measurements, self.table, Gate(self.options.match_distance, lambda item: item.state is ObjectState.MOVED))
        shown = [0] * len(sightings)
        for index, item in known.items():
            self._see(item, measurements[index])
            shown[valid[index]] = item.id
        rest = [index for index in range(len(measurements)) if index not in known]
        for index, number in self._observe_candidates([measurements[index] for index in rest]).items():
            shown[valid[rest[index]]] = number
        self._merge_duplicates(set(shown) - {0})
        self._look_for_free_places(view, set(shown))
        self.tick(view.stamp_ns)
        return shown

    def _is_usable(self, sighting: Sighting) -> bool:
        numbers = (*sighting.position, *sighting.size)
        if not np.isfinite(numbers).all() or min(sighting.size) < 0:
            self.counters["skipped_not_finite"] += 1
        elif np.linalg.norm(sighting.position) > self.options.max_range:
            self.counters["skipped_too_far"] += 1
        else:
            return True
        return False

    def _see(self, item: MapObject, measurement: Measurement) -> None:
        """Note that a measurement shows an object at its place, or on its way if somebody moves it."""
        stamp_ns = measurement.stamp_ns
        absence_ns = stamp_ns - item.last_seen_ns
        if item.state is ObjectState.MOVED and np.linalg.norm(measurement.position - item.position) > self.options.match_distance:
            replace_place(item, measurement)
            item.moved_at_ns = stamp_ns
        else:
            fuse(item, measurement)
        if item.state is not ObjectState.MOVED or absence_ns > ABSENCE_S * NS:
            self._set_state(item, ObjectState.VISIBLE, stamp_ns)
        self._free.pop(item.id, None)
        item.is_anchored = self._is_anchored
        self._touch(item, measurement.sighting)

    def _observe_candidates(self, measurements: list[Measurement]) -> dict[int, int]:
        """Return the ids of the objects that these measurements show, by their index: new objects, and those that have moved."""
        gate = Gate(self.options.match_distance, lambda _: True)
        known = associate(measurements, self._candidates, gate)
        shown = {}
        for index, measurement in enumerate(measurements):
            candidate = known.get(index)
            if candidate is None:
                if measurement.sighting.is_cut:
                    self.counters["skipped_cut_by_border"] += 1
                    continue
                candidate = new_object(self._next_candidate, measurement, self._is_anchored)
                self._next_candidate += 1
                self._candidates.add(candidate)
            elif np.linalg.norm(measurement.position - candidate.position) > self.options.match_distance:
                replace_place(candidate, measurement)
            else:
                fuse(candidate, measurement)
            self._candidates.refresh(candidate)
            if measurement.sighting.thumbnail:
                self._thumbnails[candidate.id] = measurement.sighting.thumbnail
            if candidate.sightings >= self.options.min_sightings:
                self._candidates.remove(candidate.id)
                thumbnail = self._thumbnails.pop(candidate.id, b"")
                shown[index] = self._accept(candidate, measurement)
                if thumbnail:
                    self._changes.thumbnails.setdefault(shown[index], thumbnail)
        return shown

    def _accept(self, candidate: MapObject, measurement: Measurement) -> int:
        """Make a candidate an object, or the new place of an object. Return the id of the object."""
        near = self.table.at_rows(self.table.near(candidate.position, SAME_PLACE_M))
        same = next((item for item in near if is_duplicate(item, candidate)), None)
        if same is not None:  # a second track follows it, perhaps with another label
            same.labels += candidate.labels
            same.tracks.update(candidate.tracks)
            self.counters["duplicates"] += 1
            self._touch(same)
            return same.id
        earlier = self._earlier_object(candidate, measurement)
        if earlier is not None:
            self._move(earlier, candidate, measurement.stamp_ns)
            self._touch(earlier, measurement.sighting)
            return earlier.id
        candidate.id = self.next_id
        self.next_id += 1
        self.table.add(candidate)
        self.counters["new_objects"] += 1
        self._touch(candidate, measurement.sighting)
        self._forget_surplus()
        return candidate.id

    def _earlier_object(self, candidate: MapObject, measurement: Measurement) -> MapObject | None:
        """Return the object that a candidate is, if it has moved. A track that continues counts more than the appearance."""
        same_label = [item for item in self.table.with_label(candidate.label) if item.last_seen_ns < candidate.last_seen_ns]
        # A tracker may give the id to a twin while the object is out of view. So its old place must have been seen free.
        left = [item for item in same_label if item.id in self._free or item.state is ObjectState.MISSING]
        continued = [item for item in left if has_hint(measurement, item, CONTINUED_S)]
        missing = [item for item in same_label if item.state is ObjectState.MISSING]
        for group, least in ((continued, 0.0), (missing, self.options.match_appearance)):
            found = closest_in_appearance(candidate.appearance, group, least, candidate.position)
            if found is not None:
                return found
        return None

    def _move(self, item: MapObject, newer: MapObject, stamp_ns: int) -> None:
        """Give an object the place of a newer object or candidate that turned out to be it."""
        item.position, item.covariance, item.size = newer.position, newer.covariance, newer.size
        item.last_seen_ns, item.score, item.is_anchored = newer.last_seen_ns, newer.score, newer.is_anchored
        item.sightings += newer.sightings
        item.labels += newer.labels
        item.tracks.update(newer.tracks)
        item.moved_at_ns = stamp_ns
        self._set_state(item, ObjectState.MOVED, stamp_ns)
        self._free.pop(item.id, None)
        self.counters["moved"] += 1

    # Evidence

    def _merge_duplicates(self, shown: set[int]) -> None:
        """Merge objects that lie at one place, after several images that show one of them. Two tracks may follow one thing."""
        for number in shown:
            item = self.table.get(number)
            if item is None:  # merged a moment ago
                continue
            for other in self.table.at_rows(self.table.near(item.position, SAME_PLACE_M)):
                if other.id == item.id or not is_duplicate(item, other):
                    continue
                pair = (min(item.id, other.id), max(item.id, other.id))
                self._pairs[pair] += 1
                if self._pairs[pair] >= DUPLICATE_VIEWS:
                    kept, gone = (other, item) if other.sightings > item.sightings else (item, other)
                    self._merge(kept, gone)
                    if gone is item:
                        break

    def _merge(self, kept: MapObject, gone: MapObject) -> None:
        """Remove an object that is another one. Its sightings count for that one, and its id leads there."""
        kept.sightings += gone.sightings
        kept.labels += gone.labels
        kept.label = kept.labels.most_common(1)[0][0]
        kept.tracks.update(gone.tracks)
        kept.name = kept.name or gone.name
        kept.first_seen_ns = min(kept.first_seen_ns, gone.first_seen_ns)
        kept.last_seen_ns = max(kept.last_seen_ns, gone.last_seen_ns)
        self._retire(kept, gone)
        self._touch(kept)

    def _look_for_free_places(self, view: View, shown: set[int]) -> None:
        if view.depth is None or not self.options.missing_after:
            return
        for row in rows_in_view(view, self.table, self.options.max_range):
            item = self.table.get(int(self.table.ids[row]))
            if item is None:  # merged into another one a moment ago
                continue
            if item.id in shown or item.state is ObjectState.MISSING or item.last_seen_ns >= view.stamp_ns:
                continue
            spread = 3 * float(np.sqrt(item.covariance.trace() / 3))
            place = look_at(view, item.position, item.radius, max(self.options.free_margin, spread))
            self.counters[f"places_{place.value}"] += 1
            if place is Place.TAKEN:
                self._free.pop(item.id, None)
            elif place is Place.FREE:
                views = self._free.setdefault(item.id, FreeViews(0, view.stamp_ns))
                views.count += 1
                if views.count >= self.options.missing_after:
                    self._miss(item, views.since_ns, view.stamp_ns)

    def _miss(self, item: MapObject, since_ns: int, stamp_ns: int) -> None:
        """Note that an object is not at its place: it moved to where one like it was found since, or it is missing."""
        del self._free[item.id]
        if item.sightings < FALSE_ALARM_FACTOR * self.options.min_sightings:
            self._remove(item.id, "dropped_false_alarms")
            return
        since = [other for other in self.table.with_label(item.label) if other.first_seen_ns > item.last_seen_ns]
        since = [other for other in since if other.state is not ObjectState.MISSING and not other.name]
        newer = closest_in_appearance(item.appearance, since, self.options.match_appearance, item.position)
        if newer is None:
            self._set_state(item, ObjectState.MISSING, since_ns)
            self.counters["missing"] += 1
            self._touch(item)
            return
        self._move(item, newer, stamp_ns)
        self._retire(item, newer)
        self._touch(item)

    # Time

    def tick(self, now_ns: int) -> None:
        """Update the states to a time, drop old candidates, and forget objects that were unseen for too long.

        Args:
            now_ns: time of the newest image, nanoseconds.
        """
        limit_ns = now_ns - round(self.options.visible_s * NS)
        rows = np.flatnonzero((self.table.states == ObjectState.VISIBLE) & (self.table.last_seen_ns < limit_ns) & (self.table.ids > 0))
        for item in self.table.at_rows(rows):
            self._set_state(item, ObjectState.REMEMBERED, item.last_seen_ns)
            self._touch(item)
        for candidate in [item for item in self._candidates if now_ns - item.last_seen_ns > CANDIDATE_S * NS]:
            self._candidates.remove(candidate.id)
            self._thumbnails.pop(candidate.id, None)
            self.counters["dropped_candidates"] += 1
        if self.options.forget_after_s:
            old = (self.table.last_seen_ns < now_ns - round(self.options.forget_after_s * NS)) & (self.table.ids > 0)
            for number in self.table.ids[old].tolist():
                self._remove(number, "forgotten_by_age")
