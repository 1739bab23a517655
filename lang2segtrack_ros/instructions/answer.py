# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The answer to an instruction on one image: the chosen objects, the reason of each choice, and what was not found."""

from __future__ import annotations

from dataclasses import dataclass

from lang2segtrack_ros.instructions.plan import Plan
from lang2segtrack_ros.instructions.scene import Scene, SceneObject
from lang2segtrack_ros.types.prompts import BoxPrompt, MaskPrompt


@dataclass(frozen=True, eq=False)
class Choice:
    """A chosen object.

    Attributes:
        item: the object.
        target: index of its target in the plan.
        label: name of the object: the noun of the target, or the best phrase for "everything".
        reason: why the object was chosen, in words.
    """

    item: SceneObject
    target: int
    label: str
    reason: str

    @property
    def prompt(self) -> BoxPrompt | MaskPrompt:
        """Return the prompt that starts the object in the tracker."""
        item = self.item
        return BoxPrompt(item.box, self.label) if item.mask is None else MaskPrompt(item.mask, self.label)


@dataclass(frozen=True, eq=False)
class Answer:
    """The answer to an instruction.

    Attributes:
        plan: the reading that was carried out.
        scene: all detected objects.
        choices: the chosen objects, in the order of the targets.
        missing: for each target without a choice, or with fewer objects than asked for, why.
        notes: further sentences for the user.
    """

    plan: Plan
    scene: Scene
    choices: tuple[Choice, ...] = ()
    missing: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def is_complete(self) -> bool:
        """Return True if each target has all its objects."""
        return bool(self.choices) and not self.missing

    @property
    def prompts(self) -> list[BoxPrompt | MaskPrompt]:
        """Return one prompt for each chosen object."""
        return [choice.prompt for choice in self.choices]

    def lines(self) -> list[str]:
        """Return the plan, the detected objects, the choices with their reasons, and what is missing, a line each."""
        chosen = [f"chosen: #{item.item.number} {item.label} ({_box(item.item)}): {item.reason}" for item in self.choices]
        seen = ", ".join(f"{item} ({_box(item)})" for item in self.scene.objects) or "nothing"
        return [
            *self.plan.lines(),
            f"detected: {seen}",
            *chosen,
            *(f"not found: {text}" for text in self.missing),
            *(f"note: {text}" for text in self.notes),
        ]


def _box(item: SceneObject) -> str:
    return ",".join(f"{edge:.0f}" for edge in item.box)
