# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Resolution of a plan on a scene: which of the detected objects each target means.

A noun phrase is resolved in this order: objects with the name, conditions, exceptions, rank, quantity. A reference is resolved in the same
way before the condition that needs it. "the cup" means exactly one object; if several fit, nothing is chosen, and the answer says which.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import combinations

from lang2segtrack_ros.instructions.answer import Answer, Choice
from lang2segtrack_ros.instructions.plan import GENERIC, Condition, NounPhrase, Order, Plan, Quantity, Rank, Relation
from lang2segtrack_ros.instructions.relations import (
    PAIRS,
    MissingDepthError,
    between,
    camera_distance,
    comparable_areas,
    distance,
)
from lang2segtrack_ros.instructions.scene import Scene, SceneObject

EQUAL = 0.005
"""Maximum relative difference of two values of an order that count as equal."""
_SHOWN = 4
_Found = dict[SceneObject, list[str]]
"""Object -> the reasons for it so far."""


class _UnresolvedError(Exception):
    """A noun phrase that means no object of the scene, or too many. The message says why."""


def resolve(plan: Plan, scene: Scene) -> Answer:
    """Return the answer of a plan on a scene. Targets that are not found are listed with the reason.

    Args:
        plan: the plan.
        scene: the objects of the image.
    """
    choices: list[Choice] = []
    missing: list[str] = []
    notes: list[str] = []
    for index, target in enumerate(plan.targets):
        try:
            found = _resolve(target, scene, notes)
        except (_UnresolvedError, MissingDepthError) as error:
            missing.append(f"{target.name}: {error}")
            continue
        wanted = target.quantity.count
        if wanted is not None and len(found) < wanted:
            missing.append(f"{target.name}: {len(found)} of {wanted} objects fit")
        taken = {choice.item for choice in choices}
        choices += [
            Choice(item, index, target.noun or item.label, "; ".join(reasons)) for item, reasons in found.items() if item not in taken
        ]
    return Answer(plan, scene, tuple(choices), tuple(missing), tuple(notes))


def _resolve(phrase: NounPhrase, scene: Scene, notes: list[str]) -> _Found:
    """Return the objects that a noun phrase means, with the reasons. Raise _UnresolvedError if there are none or too many."""
    found: _Found = {item: [_named(item, phrase)] for item in scene.named(phrase.noun)}
    if not found:
        raise _UnresolvedError(f"no {phrase.name} was detected" if phrase.noun != GENERIC else "nothing was detected")
    for condition in phrase.conditions:
        found = _fulfilling(found, condition, scene, notes)
    found = _without_exceptions(found, phrase, scene, notes)
    if phrase.rank is not None:
        return _ranked(found, phrase, phrase.rank, scene, notes)
    return _counted(found, phrase)


def _named(item: SceneObject, phrase: NounPhrase) -> str:
    score = item.score if phrase.noun == GENERIC else item.names[phrase.noun]
    return f'"{phrase.noun or item.label}" {score:.2f}'


def _listed(items: Iterable[SceneObject]) -> str:
    numbers = [f"#{item.number}" for item in items]
    return ", ".join(numbers[:_SHOWN]) + (f" and {len(numbers) - _SHOWN} more" if len(numbers) > _SHOWN else "")


def _fulfilling(found: _Found, condition: Condition, scene: Scene, notes: list[str]) -> _Found:
    """Return the objects that fulfill a condition, with one more reason."""
    references = [(item, list(_reference(item, condition, scene, notes))) for item in condition.references]
    names = " and ".join(f"{item.name} ({_listed(items)})" if items else item.name for item, items in references)
    relation = f"{'not ' if condition.negated else ''}{condition.relation.value} {names or f'{condition.meters:g} m'}"
    kept: _Found = {}
    for item, reasons in found.items():
        detail = _within(item, condition) if condition.meters is not None else _related(item, condition.relation, references)
        if (detail is None) == condition.negated:
            kept[item] = [*reasons, f"{condition.relation.value} {detail}" if detail else relation]
    if not kept:
        raise _UnresolvedError(f"none of {len(found)} ({_listed(found)}) is {relation}")
    return kept


def _reference(phrase: NounPhrase, condition: Condition, scene: Scene, notes: list[str]) -> _Found:
    """Return the objects of a reference. For "a cup" and "two of the cups", these are all cups."""
    if condition.relation is Relation.IS and not scene.named(phrase.noun):
        if condition.negated:
            notes.append(f"no {phrase.name} was detected, so none is left out")
            return {}
        raise _UnresolvedError(f"no {phrase.name} was detected")
    if _needed(phrase) and phrase.rank is None:
        phrase = replace(phrase, quantity=Quantity(None, exact=False))
    try:
        return _resolve(phrase, scene, notes)
    except _UnresolvedError as error:
        raise _UnresolvedError(f"{condition.relation.value} {phrase.name} is not clear: {error}") from None


def _needed(phrase: NounPhrase) -> int | None:
    """Return the number of objects of a reference that suffice, such as 1 for "a cup". None if all of them are needed."""
    return None if phrase.quantity.exact else phrase.quantity.count


def _within(item: SceneObject, condition: Condition) -> str | None:
    assert condition.meters is not None
    meters = camera_distance(item)
    holds = meters < condition.meters if condition.relation is Relation.CLOSER else meters > condition.meters
    return f"{condition.meters:g} m: {meters:.2f} m" if holds else None


def _related(item: SceneObject, relation: Relation, references: Sequence[tuple[NounPhrase, list[SceneObject]]]) -> str | None:
    """Return words if an object has a relation to all references, else None."""
    if relation is Relation.BETWEEN:
        return _between(item, references)
    details = []
    for phrase, objects in references:
        others = objects if relation is Relation.IS else [other for other in objects if other is not item]
        pairs = [(other, PAIRS[relation](item, other)) for other in others]
        holding = [f"{other} ({detail})" for other, detail in pairs if detail is not None]
        needed = 1 if relation is Relation.IS else _needed(phrase) or len(others)
        if not holding or len(holding) < needed:
            return None
        details.append(", ".join(holding[:needed]))
    return " and ".join(details)


def _between(item: SceneObject, references: Sequence[tuple[NounPhrase, list[SceneObject]]]) -> str | None:
    """Return words if an object lies between two references, or between two objects of the only one; else None."""
    groups = [[other for other in objects if other is not item] for _, objects in references]
    pairs = combinations(groups[0], 2) if len(groups) == 1 else ((one, two) for one in groups[0] for two in groups[1] if one is not two)
    for one, two in pairs:
        detail = between(item, one, two)
        if detail is not None:
            return f"{one} and {two} ({detail})"
    return None


def _without_exceptions(found: _Found, phrase: NounPhrase, scene: Scene, notes: list[str]) -> _Found:
    left_out: set[SceneObject] = set()
    for exception in phrase.exceptions:
        if not scene.named(exception.noun):
            notes.append(f"no {exception.name} was detected, so none is left out")
            continue
        try:
            left_out |= {*_resolve(exception, scene, notes)}
        except _UnresolvedError as error:
            raise _UnresolvedError(f"the exception {exception.name} is not clear: {error}") from None
    names = " and ".join(item.name for item in phrase.exceptions)
    kept = {item: [*reasons, f"not {names}"] if names else reasons for item, reasons in found.items() if item not in left_out}
    if not kept:
        raise _UnresolvedError(f"all {len(found)} ({_listed(found)}) are left out as {names}")
    return kept


def _ranked(found: _Found, phrase: NounPhrase, rank: Rank, scene: Scene, notes: list[str]) -> _Found:
    """Return the objects at the places of a rank, with one more reason."""
    items = list(found)
    values, unit = _values(items, rank, phrase, scene, notes)
    order = sorted((index for index in range(len(items)) if values[index] < math.inf), key=lambda index: values[index])
    first, count = rank.position - 1, phrase.quantity.count or 1
    if len(order) <= first:
        known = _listed(items[index] for index in order)
        raise _UnresolvedError(f"there are only {len(order)} ({known}), but number {rank.position} is asked for")
    chosen = order[first : first + count]
    for one, two in ((first - 1, first), (first + count - 1, first + count)):  # the places around the chosen ones
        if one >= 0 and two < len(order) and math.isclose(values[order[one]], values[order[two]], rel_tol=EQUAL):
            tied = _listed(items[index] for index in order[one : two + 1])
            raise _UnresolvedError(f"{rank.order.value} is not clear, because {tied} are equal: name another order")
    following = order[first + count : first + count + 1]
    place = f"{rank.order.value} of {len(items)}" if rank.position == 1 else f"number {rank.position} of {len(items)} by {rank.order.value}"
    rest = f", next {abs(values[following[0]]):.5g}{unit}" if following else ""
    return {items[index]: [*found[items[index]], f"{place} ({abs(values[index]):.5g}{unit}{rest})"] for index in chosen}


def _values(items: Sequence[SceneObject], rank: Rank, phrase: NounPhrase, scene: Scene, notes: list[str]) -> tuple[list[float], str]:
    """Return the value of each object by which a rank sorts, the smallest first, and the unit of the values."""
    order = rank.order
    if order in (Order.LEFTMOST, Order.RIGHTMOST, Order.TOPMOST, Order.BOTTOMMOST):
        axis, sign = int(order in (Order.TOPMOST, Order.BOTTOMMOST)), 1 if order in (Order.LEFTMOST, Order.TOPMOST) else -1
        return [sign * item.center[axis] for item in items], " px"
    if order in (Order.LARGEST, Order.SMALLEST):
        areas, unit = comparable_areas(items)
        return [(-1 if order is Order.LARGEST else 1) * area for area in areas], unit
    sign = 1 if order is Order.NEAREST else -1
    if rank.reference is None:
        return [sign * camera_distance(item) for item in items], " m"
    try:
        references = list(_resolve(rank.reference, scene, notes))
    except _UnresolvedError as error:
        raise _UnresolvedError(f"{order.value}: {rank.reference.name} is not clear: {error}") from None
    return _distances(items, references, sign, phrase)


def _distances(items: Sequence[SceneObject], references: Sequence[SceneObject], sign: int, phrase: NounPhrase) -> tuple[list[float], str]:
    """Return the signed distance of each object to the nearest reference that is another object, inf without one, and the unit."""
    in_space = all(item.point is not None for item in (*items, *references))
    values = []
    for item in items:
        others = [other for other in references if other is not item]
        if not others:
            values.append(math.inf)
            continue
        values.append(sign * min(distance(item, other, in_space) for other in others))
    if all(value == math.inf for value in values):
        raise _UnresolvedError(f"{phrase.name} is the object from which distances are measured")
    return values, " m" if in_space else " px"


def _counted(found: _Found, phrase: NounPhrase) -> _Found:
    """Return as many objects as the quantity says. Raise _UnresolvedError if an exact number does not fit."""
    count = phrase.quantity.count
    if count is None:
        return found
    if phrase.quantity.exact and len(found) != count:
        asked = "one object" if count == 1 else f"exactly {count}"
        more = 'say "all", "a", or which one' if len(found) > count else 'say "all", or another number'
        raise _UnresolvedError(f"{asked} is asked for, but {len(found)} fit ({_listed(found)}): {more}")
    return dict(list(found.items())[:count])
