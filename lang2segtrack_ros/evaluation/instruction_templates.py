# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Templates of instructions with their truth, which is computed from the toy scene without the package's own rules.

A template draws its words until the sentence has one clear truth on the scene: "the" means one object, orders differ clearly.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from lang2segtrack_ros.toyworld.arrangements import Arrangement, Item

_CLEAR = 1.2
"""Minimum ratio of two distances or areas that an order tells apart."""
_DRAWS = 300
Items = list[Item]


class _UnclearError(Exception):
    """A sentence without one clear truth on this scene."""


@dataclass(frozen=True)
class Words:
    """The words of a template: a color, a shape, both, or neither.

    Attributes:
        color: None for any.
        shape: None for any, which is called "object".
    """

    color: str | None
    shape: str | None

    @property
    def one(self) -> str:
        """Return the words in the singular."""
        return f"{self.color or ''} {self.shape or 'object'}".strip()

    @property
    def many(self) -> str:
        """Return the words in the plural."""
        return f"{self.one}{'es' if self.shape == 'cross' else 's'}"


class World:
    """The objects of an arrangement by their words."""

    def __init__(self, items: Sequence[Item]) -> None:
        self.items = list(items)

    def all(self, words: Words) -> Items:
        """Return all objects of these words."""
        return [item for item in self.items if words.color in (None, item.color) and words.shape in (None, item.shape)]

    def the(self, words: Words) -> Item:
        """Return the only object of these words. Raise _UnclearError if there are none or several."""
        return only(self.all(words))


def only(items: Items) -> Item:
    """Return the only object of a list. Raise _UnclearError if it has none or several."""
    if len(items) != 1:
        raise _UnclearError
    return items[0]


def ordered(items: Items, value: Callable[[Item], float]) -> Items:
    """Return objects by rising value. Raise _UnclearError if two values are too near."""
    values = sorted(map(value, items))
    if any(two < _CLEAR * one for one, two in pairwise(values)):
        raise _UnclearError
    return sorted(items, key=value)


def by(items: Items, key: str, reverse: bool = False) -> Items:
    """Return objects by rising or falling x, y or depth. Arrangements keep these apart."""
    return sorted(items, key=lambda item: float(getattr(item, key)), reverse=reverse)


def apart(item: Item, other: Item) -> float:
    """Return the distance of two centers in pixels."""
    return math.hypot(item.x - other.x, item.y - other.y)


def rest(items: Items, *without: Item) -> Items:
    """Return the objects that are not left out."""
    return [item for item in items if item not in without]


def left(items: Items, other: Item) -> Items:
    """Return the objects left of another one."""
    return [item for item in items if item.x < other.x and item is not other]


def right(items: Items, other: Item) -> Items:
    """Return the objects right of another one."""
    return [item for item in items if item.x > other.x and item is not other]


def above(items: Items, other: Item) -> Items:
    """Return the objects above another one."""
    return [item for item in items if item.y < other.y and item is not other]


def below(items: Items, other: Item) -> Items:
    """Return the objects below another one."""
    return [item for item in items if item.y > other.y and item is not other]


def near(items: Items, other: Item) -> Items:
    """Return the objects by rising distance from another one."""
    return ordered(rest(items, other), lambda item: apart(item, other))


def sized(items: Items) -> Items:
    """Return the objects by falling area."""
    return ordered(items, lambda item: item.area)[::-1]


Truth = Callable[[World, Words, Words, Words], Items]


@dataclass(frozen=True)
class Template:
    """A template of instructions.

    Attributes:
        suite: name of the suite.
        text: the sentence; {a.one}, {a.many} and so on stand for words, {m} for a distance in meters.
        truth: the objects that the sentence means, from the world and the words.
        count: number of objects of the truth. None for any number above 0. 0 if the sentence leaves open which objects of the truth are
            chosen.
        wanted: number of objects to choose if `count` is 0.
        arrangement: name of the arrangement.
        depth: True gives the depth image.
    """

    suite: str
    text: str
    truth: Truth
    count: int | None = 1
    wanted: int = 0
    arrangement: str = "scattered"
    depth: bool = False


@dataclass(frozen=True, eq=False)
class Case:
    """One instruction on one arrangement.

    Attributes:
        template: its template.
        text: the sentence.
        arrangement: the arrangement.
        truth: numbers of the bodies that the sentence means.
    """

    template: Template
    text: str
    arrangement: Arrangement
    truth: frozenset[int]

    @property
    def wanted(self) -> int:
        """Return the number of objects that the sentence asks for."""
        return self.template.wanted or len(self.truth)


_R, _O, _N, _C, _A, _D, _T = "relations", "ordinals", "negation", "counting", "attributes", "depth", "change over time"
TEMPLATES: tuple[Template, ...] = (
    Template(_R, "the {a.one} left of the {b.one}", lambda w, a, b, c: left(w.all(a), w.the(b))),
    Template(_R, "the {a.one} to the right of the {b.one}", lambda w, a, b, c: right(w.all(a), w.the(b))),
    Template(_R, "all {a.many} above the {b.one}", lambda w, a, b, c: above(w.all(a), w.the(b)), None),
    Template(_R, "every {a.one} below the {b.one}", lambda w, a, b, c: below(w.all(a), w.the(b)), None),
    Template(_R, "the {a.one} left of the {b.one} and above the {c.one}", lambda w, a, b, c: above(left(w.all(a), w.the(b)), w.the(c))),
    Template(
        _R,
        "please follow the {a.one} that is right of the {b.one} and below the {c.one}",
        lambda w, a, b, c: below(right(w.all(a), w.the(b)), w.the(c)),
    ),
    Template(_R, "the {a.one} left of (the {b.one} above the {c.one})", lambda w, a, b, c: left(w.all(a), only(above(w.all(b), w.the(c))))),
    Template(
        _R, "track the {a.one} left of a {b.one}", lambda w, a, b, c: [i for i in w.all(a) if any(i.x < o.x for o in rest(w.all(b), i))]
    ),
    Template(
        _R,
        "all {a.many} right of all {b.many}",
        lambda w, a, b, c: [i for i in w.all(a) if rest(w.all(b), i) and all(i.x > o.x for o in rest(w.all(b), i))],
        None,
    ),
    Template(_R, "the {a.one} between the {b.one} and the {c.one}", lambda w, a, b, c: [w.items[0]], arrangement="between"),
    Template(_R, "the {a.one} next to the {b.one}", lambda w, a, b, c: [w.items[0]], arrangement="adjacent"),
    Template(_R, "the {a.one} beside a {b.one}", lambda w, a, b, c: [w.items[0]], arrangement="adjacent"),
    Template(_R, "the {a.one} on the {b.one}", lambda w, a, b, c: [w.items[0]], arrangement="stacked"),
    Template(_R, "everything on top of the {b.one}", lambda w, a, b, c: [w.items[0]], arrangement="stacked"),
    Template(_R, "the {a.one} in the {b.one}", lambda w, a, b, c: [w.items[0]], arrangement="contained"),
    Template(_R, "all objects inside the {b.one}", lambda w, a, b, c: [w.items[0]], arrangement="contained"),
    Template(_R, "the {a.one} nearest to the {b.one}", lambda w, a, b, c: near(w.all(a), w.the(b))[:1]),
    Template(_R, "the {a.one} farthest from the {b.one}", lambda w, a, b, c: near(w.all(a), w.the(b))[-1:]),
    Template(_R, "the closest {a.one} to the {b.one}", lambda w, a, b, c: near(w.all(a), w.the(b))[:1]),
    Template(_R, "the {a.one} larger than the {b.one}", lambda w, a, b, c: _bigger(w.all(a), w.the(b), False)),
    Template(_R, "all {a.many} smaller than the {b.one}", lambda w, a, b, c: _bigger(w.all(a), w.the(b), True), None),
    Template(_O, "the leftmost {a.one}", lambda w, a, b, c: by(w.all(a), "x")[:1]),
    Template(_O, "the rightmost {a.one}", lambda w, a, b, c: by(w.all(a), "x", True)[:1]),
    Template(_O, "the topmost {a.one}", lambda w, a, b, c: by(w.all(a), "y")[:1]),
    Template(_O, "the lowest object", lambda w, a, b, c: by(w.items, "y", True)[:1]),
    Template(_O, "the second {a.one} from the left", lambda w, a, b, c: by(w.all(a), "x")[1:2]),
    Template(_O, "the third object from the right", lambda w, a, b, c: by(w.items, "x", True)[2:3]),
    Template(_O, "the 2nd {a.one} from the top", lambda w, a, b, c: by(w.all(a), "y")[1:2]),
    Template(_O, "the largest {a.one}", lambda w, a, b, c: sized(w.all(a))[:1]),
    Template(_O, "the smallest object", lambda w, a, b, c: sized(w.items)[-1:]),
    Template(_O, "the second largest object", lambda w, a, b, c: sized(w.items)[1:2]),
    Template(_O, "the two leftmost objects", lambda w, a, b, c: by(w.items, "x")[:2], 2),
    Template(_O, "the first two {a.many} from the bottom", lambda w, a, b, c: by(w.all(a), "y", True)[:2], 2),
    Template(_O, "the {a.one} on the left", lambda w, a, b, c: by(w.all(a), "x")[:1]),
    Template(_O, "the {a.one} second nearest to the {b.one}", lambda w, a, b, c: near(w.all(a), w.the(b))[1:2]),
    Template(_O, "the leftmost {a.one} above the {b.one}", lambda w, a, b, c: by(above(w.all(a), w.the(b)), "x")[:1]),
    Template(_N, "everything that is not a {a.one}", lambda w, a, b, c: rest(w.items, *w.all(a)), None),
    Template(_N, "everything except the {a.one}", lambda w, a, b, c: rest(w.items, w.the(a)), None),
    Template(_N, "all objects but not the {a.many}", lambda w, a, b, c: rest(w.items, *_several(w.all(a))), None),
    Template(_N, "all {a.many} that are not left of the {b.one}", lambda w, a, b, c: rest(w.all(a), *left(w.all(a), w.the(b))), None),
    Template(_N, "every {a.one} that is not {b.color}", lambda w, a, b, c: [i for i in w.all(a) if i.color != b.color], None),
    Template(_N, "all {a.many} except the {b.color} one", lambda w, a, b, c: rest(w.all(a), _colored(w.all(a), b)), None),
    Template(
        _N,
        "everything left of the {b.one} that is not a {a.one}",
        lambda w, a, b, c: rest(left(w.items, w.the(b)), *w.all(a)),
        None,
    ),
    Template(_C, "all {a.many}", lambda w, a, b, c: w.all(a), None),
    Template(_C, "every {a.one}", lambda w, a, b, c: w.all(a), None),
    Template(_C, "both {a.many}", lambda w, a, b, c: w.all(a), 2),
    Template(_C, "the two {a.many}", lambda w, a, b, c: w.all(a), 2),
    Template(_C, "two of the {a.many}", lambda w, a, b, c: _several(w.all(a)), 0, 2),
    Template(_C, "a {a.one}", lambda w, a, b, c: w.all(a), 0, 1),
    Template(_C, "the {a.one}", lambda w, a, b, c: w.all(a)),
    Template(_C, "the {a.one} and the {b.one}", lambda w, a, b, c: [w.the(a), w.the(b)], 2),
    Template(_C, "the {a.one}, the {b.one} and the {c.one}", lambda w, a, b, c: [w.the(a), w.the(b), w.the(c)], 3),
    Template(
        _A,
        "all objects of the same color as the {b.one}",
        lambda w, a, b, c: [i for i in rest(w.items, w.the(b)) if i.color == w.the(b).color],
        None,
    ),
    Template(
        _A,
        "the {a.one} with the same color as the {b.one}",
        lambda w, a, b, c: [i for i in rest(w.all(a), w.the(b)) if i.color == w.the(b).color],
    ),
    Template(_A, "all {a.many} that are {b.color}", lambda w, a, b, c: [i for i in w.all(a) if i.color == b.color], None),
    Template(_A, "everything that is {b.color}", lambda w, a, b, c: [i for i in w.items if i.color == b.color], None),
    Template(_A, "the {b.color} object", lambda w, a, b, c: [i for i in w.items if i.color == b.color]),
    Template(_D, "the nearest object", lambda w, a, b, c: by(w.items, "depth")[:1], depth=True),
    Template(_D, "the farthest {a.one}", lambda w, a, b, c: by(w.all(a), "depth", True)[:1], depth=True),
    Template(
        _D, "all objects in front of the {b.one}", lambda w, a, b, c: [i for i in w.items if i.depth < w.the(b).depth], None, depth=True
    ),
    Template(_D, "the {a.one} behind the {b.one}", lambda w, a, b, c: [i for i in w.all(a) if i.depth > w.the(b).depth], depth=True),
    Template(_D, "all objects closer than {m:.2f} m", lambda w, a, b, c: by(w.items, "depth")[:2], None, depth=True),
    Template(_D, "everything farther than {m:.2f} m", lambda w, a, b, c: by(w.items, "depth")[2:], None, depth=True),
    Template(_T, "the {a.one} left of the {b.one}", lambda w, a, b, c: left(w.all(a), w.the(b)), arrangement="moving"),
    Template(_T, "the second {a.one} from the left", lambda w, a, b, c: by(w.all(a), "x")[1:2], arrangement="moving"),
    Template(_T, "everything below the {b.one}", lambda w, a, b, c: below(w.items, w.the(b)), None, arrangement="moving"),
    Template(_T, "the {a.one} nearest to the {b.one}", lambda w, a, b, c: near(w.all(a), w.the(b))[:1], arrangement="moving"),
)
"""All templates."""


def _bigger(items: Items, other: Item, smaller: bool) -> Items:
    ordered([*rest(items, other), other], lambda item: item.area)
    return [item for item in rest(items, other) if (item.area < other.area) == smaller]


def _several(items: Items) -> Items:
    if len(items) < 2:
        raise _UnclearError
    return items


def _colored(items: Items, words: Words) -> Item:
    return only([item for item in items if item.color == words.color])


def _draw_words(rng: np.random.Generator, items: Sequence[Item]) -> Words:
    """Draw the words of an object: both words, or its shape, or its color."""
    item = items[int(rng.integers(len(items)))]
    draw = rng.random()
    return Words(item.color, item.shape) if draw < 0.5 else Words(None, item.shape) if draw < 0.8 else Words(item.color, None)


def draw_cases(template: Template, frames: Sequence[Arrangement], seed: int) -> list[Case]:
    """Return one sentence with a clear truth on each frame of an arrangement, or no case if there is none.

    Args:
        template: the template.
        frames: frames of the arrangement. The truth differs from frame to frame.
        seed: seed of the words.
    """
    rng = np.random.default_rng([seed, TEMPLATES.index(template)])
    worlds = [World(frame.items) for frame in frames]
    depths = sorted(item.depth for item in worlds[0].items)
    meters = (depths[1] + depths[2]) / 2
    for _ in range(_DRAWS):
        words = _draw_three(rng, template, frames[0])
        if words is None:
            continue
        try:
            truths = [template.truth(world, *words) for world in worlds]
        except _UnclearError:
            continue
        numbers = [frozenset(item.number for item in truth) for truth in truths]
        if all(truth and template.count in (None, 0, len(truth)) for truth in truths) and len({*numbers}) == len(numbers):
            text = template.text.format(**dict(zip("abc", words)), m=meters)
            return [Case(template, text, frame, number) for frame, number in zip(frames, numbers)]
    return []


def _draw_three(rng: np.random.Generator, template: Template, arrangement: Arrangement) -> tuple[Words, Words, Words] | None:
    """Draw the words of a template; None if they do not fit together."""
    roles = arrangement.roles
    if roles:
        return Words(*roles[0]), Words(*roles[1]), Words(*roles[-1])
    a, b, c = (_draw_words(rng, arrangement.items) for _ in range(3))
    if "b.color" in template.text:
        b = Words(arrangement.items[0].color, None)
        return (a, b, c) if a.color is None or "{a" not in template.text else None
    return (a, b, c) if len({a, b, c}) == 3 else None
