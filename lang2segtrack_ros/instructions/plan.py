# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The plan of an instruction: which phrases the detector searches, and how the objects are selected among its detections."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from lang2segtrack_ros.types.prompts import PromptError

GENERIC = ""
"""Noun of "everything" and "objects". The chain replaces it by phrases that together name all objects."""


class InstructionError(PromptError):
    """An instruction that the grammar does not read, or that has several readings. The message says where and what to write."""


class Relation(str, Enum):
    """A condition on an object, mostly in relation to other objects. `relations` has the geometry of each."""

    LEFT_OF = "left of"
    RIGHT_OF = "right of"
    ABOVE = "above"
    BELOW = "below"
    ON = "on"
    IN = "in"
    NEXT_TO = "next to"
    BETWEEN = "between"
    IN_FRONT_OF = "in front of"
    BEHIND = "behind"
    CLOSER = "closer than"
    FARTHER = "farther than"
    LARGER = "larger than"
    SMALLER = "smaller than"
    SAME_COLOR = "of the same color as"
    IS = "of the kind"


class Order(str, Enum):
    """A property by which objects are sorted; the first object has it most."""

    LEFTMOST = "leftmost"
    RIGHTMOST = "rightmost"
    TOPMOST = "topmost"
    BOTTOMMOST = "bottommost"
    LARGEST = "largest"
    SMALLEST = "smallest"
    NEAREST = "nearest"
    FARTHEST = "farthest"


@dataclass(frozen=True)
class Quantity:
    """The number of objects that a noun phrase means.

    Attributes:
        count: number of objects. None for all.
        exact: True if exactly `count` objects must fit, as in "the mug". False takes the first `count` in order, as in "a mug".
    """

    count: int | None = 1
    exact: bool = True

    def __str__(self) -> str:
        if self.count is None:
            return "all"
        if self.exact:
            return "the only" if self.count == 1 else f"exactly {self.count}"
        return f"any {self.count}"


@dataclass(frozen=True)
class Rank:
    """The choice of objects by their place in an order.

    Attributes:
        order: the order.
        position: place of the first chosen object, from 1. The quantity gives the number of objects.
        reference: objects from which nearest and farthest are measured. None measures them from the camera.
    """

    order: Order
    position: int = 1
    reference: NounPhrase | None = None

    def __str__(self) -> str:
        place = "" if self.position == 1 else f"number {self.position} by "
        relation = "to" if self.order is Order.NEAREST else "from"
        return f"{place}{self.order.value}" + (f" {relation} {self.reference.nested}" if self.reference else "")


@dataclass(frozen=True)
class Condition:
    """A condition that each chosen object fulfills.

    Attributes:
        relation: the relation.
        references: the other objects. The object must have the relation to all of them.
        meters: distance from the camera for CLOSER and FARTHER without references, in meters.
        negated: True if the relation must not hold.
    """

    relation: Relation
    references: tuple[NounPhrase, ...] = ()
    meters: float | None = None
    negated: bool = False

    def __str__(self) -> str:
        kinds = [item.name if self.relation is Relation.IS and not item.conditions else item.nested for item in self.references]
        others = " and ".join(kinds) if self.meters is None else f"{self.meters:g} m"
        return f"{'not ' if self.negated else ''}{self.relation.value} {others}"


@dataclass(frozen=True)
class NounPhrase:
    """The description of some objects.

    Attributes:
        noun: phrase for the detector, in the singular, such as "red mug". `GENERIC` for every object.
        quantity: number of objects.
        rank: choice by an order. None for no order.
        conditions: what each object fulfills.
        exceptions: objects that are left out.
    """

    noun: str
    quantity: Quantity = Quantity()
    rank: Rank | None = None
    conditions: tuple[Condition, ...] = ()
    exceptions: tuple[NounPhrase, ...] = ()

    @property
    def name(self) -> str:
        """Return the noun in quotation marks, or "object of any kind"."""
        return f'"{self.noun}"' if self.noun else "object of any kind"

    @property
    def nested(self) -> str:
        """Return the text inside another one."""
        return f"({self})" if self.rank or self.conditions or self.exceptions else str(self)

    def parts(self) -> Iterator[NounPhrase]:
        """Yield this noun phrase and all inside it."""
        yield self
        inner = [item for condition in self.conditions for item in condition.references]
        inner += [self.rank.reference] if self.rank and self.rank.reference else []
        for item in (*inner, *self.exceptions):
            yield from item.parts()

    def __str__(self) -> str:
        count = self.quantity.count or 1
        text = f"{self.quantity if self.rank is None else 'the' if count == 1 else f'the {count}'} {self.name}"
        if self.noun == GENERIC and self.quantity.count != 1:
            text = text.replace("object of", "objects of")
        if self.conditions:
            text += f" {' and '.join(map(str, self.conditions))}"
        if self.exceptions:
            text += f", except {' and '.join(item.nested for item in self.exceptions)}"
        return f"{text}, {self.rank}" if self.rank else text


@dataclass(frozen=True)
class Plan:
    """One reading of an instruction.

    Attributes:
        targets: the objects to track.
    """

    targets: tuple[NounPhrase, ...]

    @property
    def nouns(self) -> tuple[str, ...]:
        """Return all nouns without repeats, in order. `GENERIC` is among them if the plan has it."""
        return tuple(dict.fromkeys(item.noun for target in self.targets for item in target.parts()))

    def lines(self) -> list[str]:
        """Return one line for each target."""
        return [f"target {number}: {target}" for number, target in enumerate(self.targets, 1)]
