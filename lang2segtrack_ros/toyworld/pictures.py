# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Single pictures of the toy world with phrases."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lang2segtrack_ros.toyworld.draft import Kind
from lang2segtrack_ros.toyworld.families import SHAPES_FAMILY, Family
from lang2segtrack_ros.toyworld.phrases import Phrase, draw_phrases
from lang2segtrack_ros.toyworld.suites import make_clip, make_still


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


def draw_picture(
    seed: int,
    size: tuple[int, int],
    still: bool = True,
    full_ratio: float = 0.72,
    max_phrases: int = 5,
    family: Family = SHAPES_FAMILY,
) -> Picture:
    """Draw the picture of a seed: a still, or a frame of a crowded clip. Each object is either clearly visible or absent.

    Args:
        seed: seed of picture and phrases.
        size: width and height in pixels.
        still: False selects a frame of a crowded clip.
        full_ratio: fraction of phrases with both color and shape.
        max_phrases: largest number of phrases.
        family: family of the objects.
    """
    rng = np.random.default_rng([seed, 5, *family.seed])
    while True:
        seed += 100_000_000
        if still:
            clip = make_still(seed, *size, family=family)
        else:
            clip = make_clip(str(rng.choice(["crowd", "distractors", "small_fast"])), seed, *size, family)
        shot = clip.scene.render(int(rng.integers(clip.length)))
        bodies = [body for body in shot.bodies.values() if body.visible]
        all_visible = all(body.fraction > 0.35 and body.visible > 30 for body in bodies)
        if bodies and all_visible:
            break
    kinds = tuple((clip.scene.bodies[b.number - 1].color, clip.scene.bodies[b.number - 1].shape) for b in bodies)
    boxes = np.array([body.box for body in bodies], np.float32)
    return Picture(shot.color, kinds, boxes, draw_phrases(rng, kinds, family, full_ratio, max_phrases))
