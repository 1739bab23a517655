# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Queries to the object map: which objects fit words, a place, a time and a state, the best first."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lang2segtrack_ros.object_map.object_map import ObjectMap
from lang2segtrack_ros.object_map.objects import MapError, MapObject, ObjectState
from lang2segtrack_ros.object_map.words import LabelSimilarity

NEAR_M = 2.0
"""Distance at which the score of an object falls to one half."""
MISSING_FACTOR = 0.5
"""Factor of the score of missing objects: where they were, they are not."""


@dataclass(frozen=True, eq=False)
class Query:
    """What to find.

    Attributes:
        label: label, name or phrase; empty for any.
        near: float64 [3] in the fixed frame, meters; None for anywhere.
        max_distance: maximum distance from `near` in meters; 0 for any.
        seen_since_ns: minimum time of the latest sighting, nanoseconds.
        states: states; empty for all.
        max_results: maximum number of results.

    Raises:
        MapError: a value is not allowed.
    """

    label: str = ""
    near: NDArray[np.float64] | None = None
    max_distance: float = 0.0
    seen_since_ns: int = 0
    states: Collection[ObjectState] = ()
    max_results: int = 10

    def __post_init__(self) -> None:
        if self.near is not None and not np.isfinite(self.near).all():
            raise MapError(f"near is {self.near.tolist()}: give finite numbers in meters")
        if not (np.isfinite(self.max_distance) and self.max_distance >= 0):
            raise MapError(f"max_distance is {self.max_distance}: give meters, or 0 for any distance")
        if self.max_distance and self.near is None:
            raise MapError("max_distance needs near: give the frame_id of near")
        if self.max_results < 1:
            raise MapError(f"max_results is {self.max_results}: give at least 1")


@dataclass(frozen=True, eq=False)
class Match:
    """An object that fits a query.

    Attributes:
        item: the object.
        score: 0..1, similarity of the words, reduced by the distance, and by half for a missing object.
    """

    item: MapObject
    score: float


def find(objects: ObjectMap, query: Query, similarity: LabelSimilarity) -> list[Match]:
    """Return the objects that fit a query, the best first. Of equal scores, the latest seen first.

    Args:
        objects: the map.
        query: the query.
        similarity: similarity of words.
    """
    table = objects.table
    fits = (table.ids > 0) & (table.last_seen_ns >= query.seen_since_ns)
    if query.states:
        fits &= np.isin(table.states, [int(state) for state in query.states])
    rows = np.flatnonzero(fits)
    scores = np.ones(len(rows))
    if query.label:
        labels = table.known_labels
        by_label = similarity.scores(query.label, labels) if labels else np.zeros(0)
        scores = by_label[table.labels[rows]]
        if table.named:
            by_name = dict(zip(table.named, similarity.scores(query.label, [item.name for item in table.named.values()])))
            scores = np.maximum(scores, [by_name.get(number, 0.0) for number in table.ids[rows].tolist()])
    if query.near is not None:
        distances = np.linalg.norm(table.positions[rows] - query.near, axis=1)
        if query.max_distance:
            scores = np.where(distances <= query.max_distance, scores, 0.0)
        scores = scores / (1 + distances / NEAR_M)
    scores = np.where(table.states[rows] == ObjectState.MISSING, scores * MISSING_FACTOR, scores)
    kept = np.flatnonzero(scores > 0)
    if len(kept) > query.max_results:  # only those that may be among the results are sorted
        least = -np.partition(-scores[kept], query.max_results - 1)[query.max_results - 1]
        kept = kept[scores[kept] >= least]
    order = kept[np.lexsort((-table.last_seen_ns[rows[kept]], -scores[kept]))][: query.max_results]
    return [Match(item, float(scores[index])) for item, index in zip(table.at_rows(rows[order]), order)]


def latest_first(objects: ObjectMap, states: Collection[ObjectState] = ()) -> list[int]:
    """Return the ids of the objects with some states, the latest seen first.

    Args:
        objects: the map.
        states: states; empty for all.
    """
    table = objects.table
    fits = table.ids > 0
    if states:
        fits &= np.isin(table.states, [int(state) for state in states])
    rows = np.flatnonzero(fits)
    ids: list[int] = table.ids[rows[np.argsort(-table.last_seen_ns[rows], kind="stable")]].tolist()
    return ids
