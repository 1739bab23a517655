# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The list of everyday things."""

from __future__ import annotations

from collections import Counter

from lang2segtrack_ros.toyworld.families import HELD_OUT_THINGS, KNOWN_THINGS, THINGS_FAMILY
from lang2segtrack_ros.toyworld.phrases import words_of
from lang2segtrack_ros.toyworld.shapes import COLORS
from lang2segtrack_ros.toyworld.things.names import THINGS


def test_no_name_means_two_things() -> None:
    """A prompt by a synonym must have one answer."""
    names = Counter(name for thing in THINGS.values() for name in thing.names)
    assert [name for name, count in names.items() if count > 1] == []


def test_colors_are_those_of_the_toy_world() -> None:
    assert {thing.color for thing in THINGS.values()} <= {"", *COLORS}


def test_held_out_things_are_of_every_size_of_group() -> None:
    """Twenty of 120 things are never seen in the training of the segmenter, and the two sets together are the family."""
    assert len(THINGS) == 120
    assert len(HELD_OUT_THINGS.kinds) == 20
    assert len({THINGS[name].group for _, name in HELD_OUT_THINGS.kinds}) >= 8
    assert sorted(HELD_OUT_THINGS.kinds + KNOWN_THINGS.kinds) == sorted(THINGS_FAMILY.kinds)


def test_vocabulary_fits_the_tokenizer() -> None:
    """BERT's ids from 1010 on are punctuation that the network relies on, and the words begin at 200."""
    words = words_of(THINGS_FAMILY)
    assert len(words) == len(set(words)) < 800
    assert all(word.isalpha() and word.islower() for word in words)
