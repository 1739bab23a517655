# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Single pictures of the toy world with phrases, of which some are there and some are not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lang2segtrack_ros.toyworld.shapes import COLORS, SHAPES
from lang2segtrack_ros.toyworld.suites import Kind, make_clip, make_still

ANYTHING = ("shape", "object", "thing")
_COLORS = tuple(COLORS)


@dataclass(frozen=True)
class Phrase:
    """A colour, a shape, both, or neither ("object"); `text` is how it is said.

    Attributes:
        color, shape: None for any.
        text: the phrase.
        unknown: True for a word that nobody knows; nothing is meant by it.
    """

    color: str | None
    shape: str | None
    text: str
    unknown: bool = False

    def fits(self, kind: Kind) -> bool:
        """Whether an object of a colour and shape is meant."""
        return not self.unknown and self.color in (None, kind[0]) and self.shape in (None, kind[1])


@dataclass(frozen=True, eq=False)
class Picture:
    """One picture with its phrases.

    Attributes:
        color: uint8 [H, W, 3].
        kinds: colour and shape of each object that can be seen.
        boxes: float32 [K, 4], x_min, y_min, x_max, y_max in pixels.
        phrases: what is asked; no object fits two of them.
    """

    color: NDArray[np.uint8]
    kinds: tuple[Kind, ...]
    boxes: NDArray[np.float32]
    phrases: tuple[Phrase, ...]

    @property
    def matches(self) -> list[tuple[int, int]]:
        """(object, phrase) that belong together."""
        return [(i, k) for i, kind in enumerate(self.kinds) for k, phrase in enumerate(self.phrases) if phrase.fits(kind)]


def _say(rng: np.random.Generator, kind: Kind, full: float) -> Phrase:
    color, shape = kind
    turn = rng.random()
    if turn < full:
        return Phrase(color, shape, f"{color} {shape}")
    if turn < full + (1 - full) * 0.45:
        return Phrase(None, shape, shape)
    word = str(rng.choice(["", *ANYTHING]))
    return Phrase(color, None, f"{color} {word}".strip())


def draw_phrases(rng: np.random.Generator, kinds: Sequence[Kind], full: float = 0.72, most: int = 5) -> tuple[Phrase, ...]:
    """One to `most` phrases; about half of them are absent, most of those by one word. No object fits two."""
    if rng.random() < 0.02:
        return (Phrase(None, None, str(rng.choice(ANYTHING))),)
    count = int(rng.integers(1, most + 1))
    chosen: list[Phrase] = []
    for _ in range(8 * most):
        if len(chosen) == count:
            break
        color, shape = kinds[int(rng.integers(len(kinds)))]
        turn = rng.random()
        if turn >= 0.42:  # a phrase that is likely to be absent
            if turn < 0.60:
                color = _COLORS[rng.integers(len(_COLORS))]
            elif turn < 0.85:
                shape = SHAPES[rng.integers(len(SHAPES))]
            else:
                color, shape = _COLORS[rng.integers(len(_COLORS))], SHAPES[rng.integers(len(SHAPES))]
        if turn > 0.98:
            chosen.append(Phrase(None, None, str(rng.choice(["[UNK]", f"{color} [UNK]", f"[UNK] {shape}"])), unknown=True))
            continue
        phrase = _say(rng, (color, shape), full)
        both = [*chosen, phrase]
        if any(phrase.text == other.text for other in chosen) or any(sum(p.fits(kind) for p in both) > 1 for kind in kinds):
            continue
        chosen.append(phrase)
    return tuple(chosen[i] for i in rng.permutation(len(chosen)))


def draw_picture(seed: int, size: tuple[int, int], still: bool = True, full: float = 0.72, most: int = 5) -> Picture:
    """The picture that belongs to a seed: a still, or a frame of a crowded clip. Objects are either well visible or not there."""
    rng = np.random.default_rng([seed, 5])
    while True:
        seed += 100_000_000
        clip = make_still(seed, *size) if still else make_clip(str(rng.choice(["crowd", "distractors", "small_fast"])), seed, *size)
        shot = clip.scene.render(int(rng.integers(clip.length)))
        bodies = [body for body in shot.bodies.values() if body.visible]
        clear = all(body.fraction > 0.35 and body.visible > 30 for body in bodies)
        if bodies and clear:
            break
    kinds = tuple((clip.scene.bodies[b.number - 1].color, clip.scene.bodies[b.number - 1].shape) for b in bodies)
    boxes = np.array([body.box for body in bodies], np.float32)
    return Picture(shot.color, kinds, boxes, draw_phrases(rng, kinds, full, most))
