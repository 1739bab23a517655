# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Single pictures of the toy world with phrases; some phrases name an object of the picture, others do not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lang2segtrack_ros.toyworld.shapes import COLORS, SHAPES
from lang2segtrack_ros.toyworld.suites import Kind, make_clip, make_still

GENERIC_WORDS = ("shape", "object", "thing")
_COLORS = tuple(COLORS)


@dataclass(frozen=True)
class Phrase:
    """Phrase that names a color, a shape, both, or neither ("object").

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


@dataclass(frozen=True, eq=False)
class Picture:
    """Picture with its phrases.

    Attributes:
        color: uint8 [H, W, 3], RGB.
        kinds: color and shape of each visible object.
        boxes: float32 [K, 4], x_min, y_min, x_max, y_max in pixels.
        phrases: phrases to detect; no object matches two of them.
    """

    color: NDArray[np.uint8]
    kinds: tuple[Kind, ...]
    boxes: NDArray[np.float32]
    phrases: tuple[Phrase, ...]

    @property
    def matches(self) -> list[tuple[int, int]]:
        """Return the matching pairs of object index and phrase index."""
        return [(i, k) for i, kind in enumerate(self.kinds) for k, phrase in enumerate(self.phrases) if phrase.fits(kind)]


def _random_phrase(rng: np.random.Generator, kind: Kind, full_ratio: float) -> Phrase:
    color, shape = kind
    draw = rng.random()
    if draw < full_ratio:
        return Phrase(color, shape, f"{color} {shape}")
    if draw < full_ratio + (1 - full_ratio) * 0.45:
        return Phrase(None, shape, shape)
    word = str(rng.choice(["", *GENERIC_WORDS]))
    return Phrase(color, None, f"{color} {word}".strip())


def draw_phrases(rng: np.random.Generator, kinds: Sequence[Kind], full_ratio: float = 0.72, max_phrases: int = 5) -> tuple[Phrase, ...]:
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


def draw_picture(seed: int, size: tuple[int, int], still: bool = True, full_ratio: float = 0.72, max_phrases: int = 5) -> Picture:
    """Draw the picture of a seed: a still, or a frame of a crowded clip. Each object is either clearly visible or absent.

    Args:
        seed: seed of picture and phrases.
        size: width and height in pixels.
        still: False selects a frame of a crowded clip.
        full_ratio: fraction of phrases with both color and shape.
        max_phrases: largest number of phrases.
    """
    rng = np.random.default_rng([seed, 5])
    while True:
        seed += 100_000_000
        clip = make_still(seed, *size) if still else make_clip(str(rng.choice(["crowd", "distractors", "small_fast"])), seed, *size)
        shot = clip.scene.render(int(rng.integers(clip.length)))
        bodies = [body for body in shot.bodies.values() if body.visible]
        all_visible = all(body.fraction > 0.35 and body.visible > 30 for body in bodies)
        if bodies and all_visible:
            break
    kinds = tuple((clip.scene.bodies[b.number - 1].color, clip.scene.bodies[b.number - 1].shape) for b in bodies)
    boxes = np.array([body.box for body in bodies], np.float32)
    return Picture(shot.color, kinds, boxes, draw_phrases(rng, kinds, full_ratio, max_phrases))
