# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Scenes of plain boxes, for rules that need no image."""

from __future__ import annotations

import numpy as np

from lang2segtrack_ros.instructions.answer import Answer
from lang2segtrack_ros.instructions.grammar import read_instruction
from lang2segtrack_ros.instructions.resolve import resolve
from lang2segtrack_ros.instructions.scene import Scene, SceneObject


def placed(
    number: int,
    name: str,
    box: tuple[float, float, float, float],
    depth: float | None = None,
    lab: tuple[float, float, float] | None = None,
    mask: np.ndarray | None = None,
) -> SceneObject:
    """Return an object with one name."""
    return SceneObject(number, box, {name: 1 - number / 100}, mask, lab, depth)


def answered(text: str, *objects: SceneObject) -> Answer:
    """Return the answer to a sentence with one reading."""
    (plan,) = read_instruction(text)
    return resolve(plan, Scene(objects))


def chosen(text: str, *objects: SceneObject) -> list[int]:
    """Return the numbers of the chosen objects."""
    return [choice.item.number for choice in answered(text, *objects).choices]
