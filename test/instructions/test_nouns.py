# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Plural and singular: the detector searches for the singular."""

from __future__ import annotations

import pytest

from lang2segtrack_ros.instructions.nouns import is_plural, singular


@pytest.mark.parametrize(
    ("noun", "expected"),
    [
        ("cups", "cup"),
        ("boxes", "box"),
        ("dishes", "dish"),
        ("benches", "bench"),
        ("glass", "glass"),
        ("crosses", "cross"),
        ("bus", "bus"),
        ("buses", "bus"),
        ("houses", "house"),
        ("horses", "horse"),
        ("puppies", "puppy"),
        ("shelves", "shelf"),
        ("people", "person"),
        ("potatoes", "potato"),
        ("shoes", "shoe"),
        ("scissors", "scissors"),
        ("lens", "lens"),
        ("cactus", "cactus"),
        ("dice", "dice"),
    ],
)
def test_singular(noun: str, expected: str) -> None:
    """A detector scores the plural of some names lower, and the toy detector does not know it."""
    assert singular(noun) == expected
    assert is_plural(noun) == (noun != expected)
    assert singular(expected) == expected
