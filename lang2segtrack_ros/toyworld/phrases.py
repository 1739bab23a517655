# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Phrases for pictures of the toy world; some name an object of the picture, others do not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lang2segtrack_ros.toyworld.draft import Kind
from lang2segtrack_ros.toyworld.families import Family
from lang2segtrack_ros.toyworld.shapes import COLORS, SHAPES
from lang2segtrack_ros.toyworld.things.names import THINGS

GENERIC_WORDS = ("shape", "object", "thing")
_COLORS = tuple(COLORS)


@dataclass(frozen=True)
class Phrase:
    """Phrase that names a color, a shape, both, a thing, or neither ("object").

    Attributes:
        color, shape: None matches any.
        text: wording of the phrase.
        unknown: True for a word outside the vocabulary; the phrase matches no object.
    """

    color: str | None
    shape: str | None
    text: str
    unknown: bool = False

    def fits(self, kind: Kind) -> bool:
        """Return True when the phrase names an object of this color and shape."""
        return not self.unknown and self.color in (None, kind[0]) and self.shape in (None, kind[1])


def _random_phrase(rng: np.random.Generator, kind: Kind, full_ratio: float) -> Phrase:
    color, shape = kind
    draw = rng.random()
    if draw < full_ratio:
        return Phrase(color, shape, f"{color} {shape}")
    if draw < full_ratio + (1 - full_ratio) * 0.45:
        return Phrase(None, shape, shape)
    word = str(rng.choice(["", *GENERIC_WORDS]))
    return Phrase(color, None, f"{color} {word}".strip())


def draw_shape_phrases(
    rng: np.random.Generator, kinds: Sequence[Kind], full_ratio: float = 0.72, max_phrases: int = 5
) -> tuple[Phrase, ...]:
    """Draw phrases for a picture. About half of them match no object, and most of those differ from an object by one word.

    Args:
        rng: random generator.
        kinds: color and shape of each object.
        full_ratio: fraction of phrases with both color and shape.
        max_phrases: largest number of phrases.

    Returns:
        1 to `max_phrases` phrases; no object matches two of them.
    """
    if rng.random() < 0.02:
        return (Phrase(None, None, str(rng.choice(GENERIC_WORDS))),)
    count = int(rng.integers(1, max_phrases + 1))
    chosen: list[Phrase] = []
    for _ in range(8 * max_phrases):
        if len(chosen) == count:
            break
        color, shape = kinds[int(rng.integers(len(kinds)))]
        draw = rng.random()
        if draw >= 0.42:  # a phrase that probably matches no object
            if draw < 0.60:
                color = _COLORS[rng.integers(len(_COLORS))]
            elif draw < 0.85:
                shape = SHAPES[rng.integers(len(SHAPES))]
            else:
                color, shape = _COLORS[rng.integers(len(_COLORS))], SHAPES[rng.integers(len(SHAPES))]
        if draw > 0.98:
            chosen.append(Phrase(None, None, str(rng.choice(["[UNK]", f"{color} [UNK]", f"[UNK] {shape}"])), unknown=True))
            continue
        phrase = _random_phrase(rng, (color, shape), full_ratio)
        candidates = [*chosen, phrase]
        if any(phrase.text == other.text for other in chosen) or any(sum(p.fits(kind) for p in candidates) > 1 for kind in kinds):
            continue
        chosen.append(phrase)
    return tuple(chosen[i] for i in rng.permutation(len(chosen)))


def draw_thing_phrases(rng: np.random.Generator, kinds: Sequence[Kind], names: Sequence[str], max_phrases: int) -> tuple[Phrase, ...]:
    """Draw names of things. About half of them match no object, and most of those are of a group of an object.

    Args:
        rng: random generator.
        kinds: the things of the picture.
        names: the things that may be named.
        max_phrases: largest number of phrases.

    Returns:
        1 to `max_phrases` phrases; no object matches two of them.
    """
    if rng.random() < 0.02:
        return (Phrase(None, None, str(rng.choice(GENERIC_WORDS[1:]))),)
    count = int(rng.integers(1, max_phrases + 1))
    chosen: dict[str, Phrase] = {}
    for _ in range(8 * max_phrases):
        if len(chosen) == count:
            break
        name = kinds[int(rng.integers(len(kinds)))][1]
        draw = rng.random()
        if draw >= 0.98:
            chosen["[UNK]"] = Phrase(None, None, "[UNK]", unknown=True)
            continue
        if draw >= 0.5:  # a thing that is probably absent
            group = [other for other in names if THINGS[other].group == THINGS[name].group] if draw < 0.75 else names
            name = group[int(rng.integers(len(group)))]
        others = THINGS[name].names[1:]
        text = others[int(rng.integers(len(others)))] if others and rng.random() < 0.4 else name
        chosen.setdefault(name, Phrase(None, name, text))
    phrases = list(chosen.values())
    return tuple(phrases[i] for i in rng.permutation(len(phrases)))


def draw_phrases(
    rng: np.random.Generator, kinds: Sequence[Kind], family: Family, full_ratio: float = 0.72, max_phrases: int = 5
) -> tuple[Phrase, ...]:
    """Draw phrases for a picture of a family; see `draw_shape_phrases` and `draw_thing_phrases`."""
    if family.name == "shapes":
        return draw_shape_phrases(rng, kinds, full_ratio, max_phrases)
    return draw_thing_phrases(rng, kinds, [name for _, name in family.kinds], max_phrases)


def words_of(family: Family) -> tuple[str, ...]:
    """Return the words of all phrases of a family, each once."""
    texts = (*COLORS, *SHAPES) if family.name == "shapes" else tuple(name for thing in THINGS.values() for name in thing.names)
    return tuple(dict.fromkeys(word for text in (*texts, *GENERIC_WORDS) for word in text.replace("-", " ").split()))
