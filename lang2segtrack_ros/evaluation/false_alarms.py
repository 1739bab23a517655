# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Conditions that provoke false tracks of text prompts: a lower threshold of the detector, and names of absent objects."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lang2segtrack_ros.evaluation.texts import names_of
from lang2segtrack_ros.toyworld.shapes import COLORS, SHAPES
from lang2segtrack_ros.toyworld.suites import Clip
from lang2segtrack_ros.types.prompts import TextPrompt

LOW_THRESHOLD = 0.6
"""Factor of the detector's default threshold."""
ABSENT_NAMES = 6
"""Number of absent names in a text."""


@dataclass(frozen=True)
class TextCondition:
    """Content of a text prompt and its threshold.

    Attributes:
        names_scene: True names all objects of the scene.
        absent_names: number of names that no object of the scene has.
        threshold_factor: factor of the detector's default threshold.
    """

    names_scene: bool = True
    absent_names: int = 0
    threshold_factor: float = 1.0

    def prompt(self, clip: Clip, default_threshold: float) -> TextPrompt:
        """Return the continuous text prompt for a clip.

        Args:
            clip: clip to run.
            default_threshold: default threshold of the detector, 0..1.
        """
        present = list(dict.fromkeys(names_of(clip).values())) if self.names_scene else []
        text = ". ".join([*present, *absent_names(clip, self.absent_names)]) + "."
        return TextPrompt(text, "continuous", default_threshold * self.threshold_factor)


PLAIN = TextCondition()
FALSE_ALARMS = {
    "low threshold": TextCondition(threshold_factor=LOW_THRESHOLD),
    "absent names": TextCondition(absent_names=ABSENT_NAMES),
    "absent names, low threshold": TextCondition(absent_names=ABSENT_NAMES, threshold_factor=LOW_THRESHOLD),
    "only absent names": TextCondition(names_scene=False, absent_names=ABSENT_NAMES),
    "only absent names, low threshold": TextCondition(names_scene=False, absent_names=ABSENT_NAMES, threshold_factor=LOW_THRESHOLD),
}
"""Conditions by name. Texts with absent names only find nothing in their scene, which is empty for them."""


def absent_names(clip: Clip, count: int) -> list[str]:
    """Draw names that no object of a clip has. Names that share the color or the shape of an object come first.

    Args:
        clip: clip whose seed decides the draw.
        count: number of names.
    """
    present = set(names_of(clip).values())
    words = {word for name in present for word in name.split()}
    candidates = [f"{color} {shape}" for color in COLORS for shape in SHAPES if f"{color} {shape}" not in present]
    order = np.random.default_rng([clip.seed, len(present)]).permutation(len(candidates))
    drawn = [candidates[index] for index in order]
    return sorted(drawn, key=lambda name: words.isdisjoint(name.split()))[:count]
