# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Families of objects: colored shapes in front of a gray wall, and everyday things on tables."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from lang2segtrack_ros.toyworld.draft import Draft, Kind
from lang2segtrack_ros.toyworld.shapes import COLORS, HAND, SHAPES
from lang2segtrack_ros.toyworld.things.names import THINGS
from lang2segtrack_ros.toyworld.walls import SceneStyle

SHAPE_KINDS: tuple[Kind, ...] = tuple((color, shape) for color in COLORS for shape in SHAPES)


@dataclass(frozen=True)
class Family:
    """A family of objects. Each suite exists in each family.

    Attributes:
        name: name of the family.
        kinds: its objects.
        seed: number that makes the clips of a suite and seed differ between families; empty for the first family.
        style: draws the style of a scene of some length.
        alike: draws an object that is easy to confuse with another one.
        finish: changes a clip whose bodies are complete.
    """

    name: str
    kinds: tuple[Kind, ...]
    seed: tuple[int, ...]
    style: Callable[[np.random.Generator, int], SceneStyle]
    alike: Callable[[np.random.Generator, Kind], Kind]
    finish: Callable[[Draft], None]


def _wall_style(rng: np.random.Generator, length: int) -> SceneStyle:
    return SceneStyle(
        noise=float(rng.uniform(1, 9)),
        coarse_noise=bool(rng.random() < 0.5),
        gain=rng.uniform(0.75, 1.2) * (1 + rng.normal(0, rng.uniform(0, 0.03), length)),
        blur=float(rng.choice([0.0, 0.6])),
        wall=float(rng.uniform(40, 200)),
        clutter=int(rng.integers(0, 6)),
        stripes=float(rng.uniform(8, 30)) if rng.random() < 0.35 else 0.0,
    )


def _table_style(rng: np.random.Generator, length: int) -> SceneStyle:
    angle = float(rng.uniform(0, 2 * np.pi))
    reach = float(rng.uniform(0.05, 0.3))
    return SceneStyle(
        noise=float(rng.uniform(1, 7)),
        coarse_noise=bool(rng.random() < 0.3),
        gain=1 + np.cumsum(rng.normal(0, 0.004, length)) if rng.random() < 0.5 else None,
        blur=float(rng.uniform(0, 0.6)),
        surface=True,
        shadow=float(rng.uniform(0.1, 0.55)) if rng.random() < 0.85 else 0.0,
        light=(reach * float(np.cos(angle)), reach * float(np.sin(angle))),
        exposure=float(rng.uniform(0.1, 0.6)) if rng.random() < 0.6 else 0.0,
    )


def _alike_shape(rng: np.random.Generator, kind: Kind) -> Kind:
    """Draw a shape that shares the color, or less often the shape, of another one."""
    color, shape = kind
    other_color, other_shape = SHAPE_KINDS[rng.integers(len(SHAPE_KINDS))]
    return (color, other_shape) if rng.random() < 0.65 else (other_color, shape)


def _alike_thing(rng: np.random.Generator, kind: Kind) -> Kind:
    """Draw a thing of the same group."""
    group = [name for name, thing in THINGS.items() if thing.group == THINGS[kind[1]].group]
    return ("", group[rng.integers(len(group))])


def _nothing(_draft: Draft) -> None:
    return None


def _tabletop(draft: Draft) -> None:
    """Turn things only a little, as people put them down, tilt them, and let a hand pass in some clips."""
    rng = draft.rng
    for number, body in enumerate(draft.bodies):
        if not body.label:
            continue
        is_lying = rng.random() < 0.25
        gain = float(rng.uniform(0.72, 1.12)) * (1 + rng.normal(0, 0.03, 3))
        draft.bodies[number] = replace(
            body,
            rotation=float(rng.uniform(-np.pi, np.pi) if is_lying else rng.normal(0, 0.25)),
            spin=float(rng.normal(0, 0.012)) if rng.random() < 0.6 else 0.0,
            tilt=(float(rng.normal(0, 0.22)), float(rng.normal(0, 0.22))),
            color_gain=(float(gain[0]), float(gain[1]), float(gain[2])),
        )
    if draft.length > 1 and rng.random() < 0.25:
        _add_hand(draft)


def _add_hand(draft: Draft) -> None:
    """Add a hand that reaches into the image and leaves again, in front of all things."""
    rng = draft.rng
    side = float(rng.choice([0.0, np.pi])) + float(rng.uniform(-0.5, 0.5))
    arm = np.array([np.cos(side), np.sin(side)])
    target = rng.uniform([0.25 * draft.aspect, 0.25], [0.75 * draft.aspect, 0.75])
    middle, half = draft.length * float(rng.uniform(0.3, 0.7)), float(rng.uniform(8, 16))
    out = np.clip(np.abs(np.arange(draft.length) - middle) / half, 0, 1)  # 0: at the target
    radius = float(rng.uniform(0.06, 0.1))
    path = target + arm * (1.3 * draft.aspect) * out[:, None] ** 1.5
    gain = float(rng.uniform(0.4, 1.15))
    draft.occluder(HAND, path, radius, rotation=side, gain=(gain, gain, gain), texture=4.0)


SHAPES_FAMILY = Family("shapes", SHAPE_KINDS, (), _wall_style, _alike_shape, _nothing)
THINGS_FAMILY = Family("things", tuple(("", name) for name in THINGS), (120,), _table_style, _alike_thing, _tabletop)
FAMILIES = {family.name: family for family in (SHAPES_FAMILY, THINGS_FAMILY)}
"""The families by name."""
KNOWN_THINGS = replace(THINGS_FAMILY, kinds=tuple(("", name) for name, thing in THINGS.items() if not thing.is_held_out))
"""The things that the segmenter of `toy-things` has seen in its training."""
HELD_OUT_THINGS = replace(THINGS_FAMILY, kinds=tuple(("", name) for name, thing in THINGS.items() if thing.is_held_out))
"""The things that it has never seen."""
