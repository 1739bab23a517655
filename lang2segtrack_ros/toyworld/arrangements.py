# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Still scenes in which places, sizes and distances of the objects differ clearly, so that relations have one truth."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from lang2segtrack_ros.toyworld.body import Body
from lang2segtrack_ros.toyworld.draft import Kind
from lang2segtrack_ros.toyworld.scene import Scene, SceneFrame
from lang2segtrack_ros.toyworld.shapes import COLORS, SHAPES, outline
from lang2segtrack_ros.toyworld.walls import SceneStyle

WIDTH, HEIGHT = 320, 240
_ASPECT = WIDTH / HEIGHT
_DEPTHS = (1.3, 3.2)
_MAX_DRAWS = 2000


@dataclass(frozen=True)
class Item:
    """An object of an arrangement, from the ground truth.

    Attributes:
        number: number of its body.
        color: name of its color.
        shape: name of its shape.
        box: (x_min, y_min, x_max, y_max) of its visible pixels, maxima exclusive.
        x, y: center of its body in pixels.
        depth: distance in meters.
    """

    number: int
    color: str
    shape: str
    box: tuple[int, int, int, int]
    x: float
    y: float
    depth: float

    @property
    def area(self) -> float:
        """Return the area of the box in pixels."""
        return float((self.box[2] - self.box[0]) * (self.box[3] - self.box[1]))


@dataclass(frozen=True, eq=False)
class Arrangement:
    """A scene and its two frames. Only moving arrangements differ between the frames.

    Attributes:
        scene: the scene.
        roles: kinds of the objects that the arrangement is about: the object itself, and its references.
        index: frame of the items.
    """

    scene: Scene
    roles: tuple[Kind, ...]
    index: int = 0

    @cached_property
    def shot(self) -> SceneFrame:
        """Return the rendered frame."""
        return self.scene.render(self.index)

    @cached_property
    def items(self) -> tuple[Item, ...]:
        """Return the visible objects."""
        found = []
        for truth in self.shot.bodies.values():
            body = self.scene.bodies[truth.number - 1]
            x, y, depth = body.position(self.index)
            if truth.box is not None:
                found.append(Item(truth.number, body.color, body.shape, truth.box, x * WIDTH, y * HEIGHT, depth))
        return tuple(found)


@dataclass(frozen=True)
class _Disc:
    """A place for an object: center and radius in image heights."""

    x: float
    y: float
    radius: float

    def gap(self, other: _Disc) -> float:
        return math.hypot(self.x - other.x, self.y - other.y) - 1.2 * (self.radius + other.radius)


def _kinds(rng: np.random.Generator, count: int) -> list[Kind]:
    """Draw different kinds that differ in color and shape."""
    colors, shapes = rng.permutation(list(COLORS))[:count], rng.permutation(SHAPES)[:count]
    return [(str(color), str(shape)) for color, shape in zip(colors, shapes)]


def _scene(rng: np.random.Generator, kinds: Sequence[Kind], places: Sequence[Sequence[_Disc]], depths: Sequence[float]) -> Scene:
    """Return the scene of some kinds at their places on each frame.

    Args:
        rng: random generator.
        kinds: color and shape of each object.
        places: for each frame, the place of each object.
        depths: distance of each object in meters.
    """
    bodies = []
    for number, (color, shape) in enumerate(kinds):
        discs = [frame[number] for frame in places]
        path = np.array([(disc.x / _ASPECT, disc.y, depths[number]) for disc in discs])
        gain = float(rng.uniform(0.85, 1.1))
        radius_m = discs[0].radius * depths[number] / (0.95 * _ASPECT)
        bodies.append(Body(color, shape, path=path, radius_m=radius_m, depth_m=depths[number], color_gain=(gain, gain, gain)))
    style = SceneStyle(noise=float(rng.uniform(1, 6)), wall=float(rng.uniform(60, 180)), clutter=int(rng.integers(0, 4)))
    return Scene(tuple(bodies), WIDTH, HEIGHT, int(rng.integers(1 << 31)), style, len(places))


def _spread(rng: np.random.Generator, low: float, high: float, count: int) -> list[float]:
    """Return values in random order that differ by nearly equal steps."""
    return [float(value) for value in rng.permutation(np.linspace(low, high, count))]


def _scatter(rng: np.random.Generator, radii: Sequence[float]) -> list[_Disc]:
    """Return places with a column and a row of its own for each object, in random order."""
    count = len(radii)
    columns, rows = rng.permutation(count), rng.permutation(count)
    jitter = rng.uniform(-0.12, 0.12, (count, 2))
    margin = 0.11
    return [
        _Disc(
            margin + (columns[i] + 0.5 + jitter[i, 0]) / count * (_ASPECT - 2 * margin),
            margin + (rows[i] + 0.5 + jitter[i, 1]) / count * (1 - 2 * margin),
            radii[i],
        )
        for i in range(count)
    ]


def _apart(discs: Sequence[_Disc]) -> bool:
    return all(one.gap(two) > 0.02 for index, one in enumerate(discs) for two in discs[:index])


def _scattered(rng: np.random.Generator, frames: int = 1) -> Arrangement:
    """Return four to six objects; several share a color, a shape or both."""
    colors, shapes = rng.permutation(list(COLORS))[:3], rng.permutation(SHAPES)[:2]
    count = int(rng.integers(4, 7))
    kinds = [(str(rng.choice(colors)), str(rng.choice(shapes))) for _ in range(count)]
    radii = _spread(rng, 0.055, 0.11, count)
    places: list[list[_Disc]] = []
    while len(places) < frames:
        discs = _scatter(rng, radii)
        if _apart(discs):
            places.append(discs)
    return Arrangement(_scene(rng, kinds, places, _spread(rng, *_DEPTHS, count)), ())


def _moving(rng: np.random.Generator) -> Arrangement:
    """Return a scattered arrangement whose objects have other places on the second frame."""
    return _scattered(rng, frames=2)


def _with_others(
    rng: np.random.Generator, kinds: Sequence[Kind], fixed: Sequence[_Disc], allowed: Callable[[_Disc], bool], depths: Sequence[float]
) -> Arrangement:
    """Return fixed objects, and two others of the first kind at places that do not have the relation.

    Args:
        rng: random generator.
        kinds: kinds of the fixed objects. Their relation is the one of the first to the rest.
        fixed: their places.
        allowed: returns True for a place without the relation.
        depths: their distances in meters.
    """
    discs = list(fixed)
    for _ in range(_MAX_DRAWS):
        if len(discs) == len(fixed) + 2:
            break
        radius = fixed[0].radius
        disc = _Disc(float(rng.uniform(0.12, _ASPECT - 0.12)), float(rng.uniform(0.12, 0.88)), radius)
        if allowed(disc) and all(disc.gap(other) > 0.05 for other in discs):
            discs.append(disc)
    others = len(discs) - len(fixed)
    all_kinds = [*kinds, *[kinds[0]] * others]
    return Arrangement(_scene(rng, all_kinds, [discs], [*depths, *[depths[0]] * others]), tuple(kinds))


def _adjacent(rng: np.random.Generator) -> Arrangement:
    """Return an object close beside another one; others are far from it."""
    kinds, radius = _kinds(rng, 2), float(rng.uniform(0.06, 0.08))
    angle = float(rng.uniform(0, 2 * math.pi))
    middle = _Disc(float(rng.uniform(0.45, _ASPECT - 0.45)), float(rng.uniform(0.4, 0.6)), radius)
    distance = float(rng.uniform(2.5, 2.8)) * radius
    beside = _Disc(middle.x + distance * math.cos(angle), middle.y + distance * math.sin(angle), radius)
    return _with_others(rng, kinds, [beside, middle], lambda disc: disc.gap(middle) > 3.5 * radius, (2.0, 2.0))


def _between(rng: np.random.Generator) -> Arrangement:
    """Return an object in the middle of two others; others of its kind are outside of both."""
    kinds, radius = _kinds(rng, 3), float(rng.uniform(0.06, 0.08))
    angle = float(rng.uniform(-0.5, 0.5) + rng.choice([0.0, math.pi]))
    middle = _Disc(_ASPECT / 2 + float(rng.uniform(-0.1, 0.1)), float(rng.uniform(0.4, 0.6)), radius)
    dx, dy = 0.32 * math.cos(angle), 0.32 * math.sin(angle)
    ends = [_Disc(middle.x - dx, middle.y - dy, radius), _Disc(middle.x + dx, middle.y + dy, radius)]

    def outside(disc: _Disc) -> bool:
        along = ((disc.x - middle.x) * dx + (disc.y - middle.y) * dy) / math.hypot(dx, dy) ** 2
        return abs(along) > 1.3

    return _with_others(rng, kinds, [middle, *ends], outside, (2.0, 2.2, 1.8))


def _stacked(rng: np.random.Generator) -> Arrangement:
    """Return an object that stands on a large square; others of its kind stand lower beside it, or float."""
    kinds, radius, side = _kinds(rng, 2), float(rng.uniform(0.06, 0.08)), float(rng.uniform(0.15, 0.17))
    kinds[1] = (kinds[1][0], "square")
    kinds[0] = kinds[0] if kinds[0][1] != "square" else (kinds[0][0], "circle")
    base = _Disc(float(rng.uniform(0.45, _ASPECT - 0.45)), 0.72, side)
    foot = float(outline(kinds[0][1])[:, 1].max()) * radius
    top = _Disc(base.x + float(rng.uniform(-0.5, 0.5)) * side, base.y - 0.84 * side - foot, radius)
    return _with_others(rng, kinds, [top, base], lambda disc: disc.gap(base) > 0.08, (2.0, 2.05))


def _contained(rng: np.random.Generator) -> Arrangement:
    """Return an object inside a large square; others of its kind are outside."""
    kinds, radius, side = _kinds(rng, 2), float(rng.uniform(0.05, 0.06)), float(rng.uniform(0.16, 0.17))
    kinds[1] = (kinds[1][0], "square")
    kinds[0] = kinds[0] if kinds[0][1] != "square" else (kinds[0][0], "circle")
    base = _Disc(float(rng.uniform(0.4, _ASPECT - 0.4)), float(rng.uniform(0.4, 0.6)), side)
    offset = rng.uniform(-0.05, 0.05, 2)
    inside = _Disc(base.x + float(offset[0]), base.y + float(offset[1]), radius)
    return _with_others(rng, kinds, [inside, base], lambda disc: disc.gap(base) > 0.05, (1.9, 2.0))


ARRANGEMENTS: dict[str, Callable[[np.random.Generator], Arrangement]] = {
    "scattered": _scattered,
    "moving": _moving,
    "adjacent": _adjacent,
    "between": _between,
    "stacked": _stacked,
    "contained": _contained,
}
"""Name -> function that draws an arrangement."""


def make_arrangement(name: str, seed: int) -> Arrangement:
    """Return the arrangement of a name and seed, at 320 x 240 pixels. It is the same on every machine.

    Args:
        name: a key of `ARRANGEMENTS`.
        seed: seed of the arrangement.
    """
    return ARRANGEMENTS[name](np.random.default_rng([list(ARRANGEMENTS).index(name), seed, 24]))
