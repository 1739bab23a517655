# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Queries to a map: words, place, time, state, and the order of the results."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from lang2segtrack_ros.object_map.object_map import ObjectMap
from lang2segtrack_ros.object_map.objects import MapError, MapObject, ObjectState
from lang2segtrack_ros.object_map.queries import Query, find, latest_first
from lang2segtrack_ros.object_map.words import LabelSimilarity


def thing(number: int, label: str, x: float, seen_s: int, state: ObjectState = ObjectState.REMEMBERED, name: str = "") -> MapObject:
    position, times = np.array([x, 0.0, 0.0]), (0, seen_s * 10**9, state, 0, name)
    return MapObject(number, label, position, np.eye(3) * 1e-4, (0.1, 0.1, 0.1), *times)


MUG, FAR_MUG, GONE, DOCK = (
    thing(1, "red mug", 1.0, 50),
    thing(2, "red mug", 4.0, 90),
    thing(3, "red mug", 0.9, 80, ObjectState.MISSING),
    thing(4, "box", 2.0, 70, name="dock"),
)


def ids(query: Query, similarity: LabelSimilarity | None = None) -> list[int]:
    objects = ObjectMap(objects=[MUG, FAR_MUG, GONE, DOCK])
    return [match.item.id for match in find(objects, query, similarity or LabelSimilarity())]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (Query("red mug"), [2, 1, 3]),  # the latest first, missing ones last
        (Query("The Red mug."), [2, 1, 3]),  # articles, case and punctuation do not count
        (Query("mug"), [2, 1, 3]),  # a part of the label
        (Query("blue mug"), []),  # a wrong word is no match
        (Query("dock"), [4]),  # a name
        (Query("box"), [4]),  # its label still works
        (Query("red mug", np.zeros(3)), [1, 3, 2]),  # the nearest first
        (Query("", np.zeros(3), 1.5), [1, 3]),  # anything near
        (Query("red mug", seen_since_ns=60 * 10**9), [2, 3]),
        (Query("red mug", states=[ObjectState.MISSING]), [3]),
        (Query("", max_results=1), [2]),
        (Query(), [2, 4, 1, 3]),
    ],
)
def test_queries(query: Query, expected: list[int]) -> None:
    """Each condition of a query."""
    assert ids(query) == expected


def test_similar_words_need_an_encoder() -> None:
    """With an encoder, "cup" finds the mugs and not the box. Without one, it finds nothing."""
    features = {"cup": (1.0, 0.0), "red mug": (0.9, math.sqrt(0.19)), "box": (0.3, math.sqrt(0.91)), "dock": (0.0, 1.0)}
    encoded: list[str] = []

    def encoder(texts: Sequence[str]) -> NDArray[np.float32]:
        encoded.extend(texts)
        return np.array([features[text] for text in texts], np.float32)

    assert ids(Query("cup")) == []
    similarity = LabelSimilarity(encoder)
    assert ids(Query("cup"), similarity) == [2, 1, 3]
    assert ids(Query("cup"), similarity) == [2, 1, 3]
    assert sorted(encoded) == ["box", "cup", "dock", "red mug"]  # each text once
    assert LabelSimilarity(encoder).scores("cup", ["cup", "red mug"])[0] > LabelSimilarity(encoder).scores("cup", ["red mug"])[0]


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"max_distance": 1.0}, "max_distance needs near"),
        ({"max_distance": -1.0, "near": np.zeros(3)}, "max_distance is -1.0"),
        ({"max_distance": math.nan, "near": np.zeros(3)}, "max_distance is nan"),
        ({"near": np.array([0.0, math.nan, 0.0])}, "near is"),
        ({"max_results": 0}, "max_results is 0"),
    ],
)
def test_wrong_queries_are_refused(values: dict[str, object], problem: str) -> None:
    """An answer to a wrong question would be wrong."""
    with pytest.raises(MapError, match=problem):
        Query(**values)  # type: ignore[arg-type]


def test_an_empty_map_finds_nothing() -> None:
    """No labels are known."""
    assert find(ObjectMap(), Query("mug"), LabelSimilarity()) == []


def test_latest_first() -> None:
    """The order of lists, with and without a choice of states."""
    objects = ObjectMap(objects=[MUG, FAR_MUG, GONE, DOCK])
    assert latest_first(objects) == [2, 3, 4, 1]
    assert latest_first(objects, [ObjectState.MISSING]) == [3]
