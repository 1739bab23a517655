# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Clips of objects that share one word and differ in one property alone: color gain, shape, texture, size, or nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from lang2segtrack_ros.toyworld.body import Body
from lang2segtrack_ros.toyworld.scene import Scene
from lang2segtrack_ros.toyworld.shapes import SHAPES
from lang2segtrack_ros.toyworld.suites import Clip, make_clip

DIFFERENCES = ("none", "gain", "shape", "texture", "size")
"""Properties in which look-alikes differ. "none": identical objects. "gain": color channels by several percent, as in the suites."""
RETURN_LENGTH = 120
_MIN_ABSENCE = 30  # frames for which both objects of `returning` are outside the image
_OUTSIDE = 1.5  # distance of the path's outer points from the image, in radii


def restyle(bodies: tuple[Body, ...], difference: str, seed: int) -> list[Body]:
    """Return the bodies with the look of the first one, except for one property.

    Args:
        bodies: bodies of a `distractors` clip, which share color and shape.
        difference: property from `DIFFERENCES` that differs.
        seed: seed of the values of this property.
    """
    rng = np.random.default_rng([DIFFERENCES.index(difference), seed])
    first, count = bodies[0], len(bodies)
    shapes = rng.permutation(SHAPES)
    textures, shades = rng.permutation(np.linspace(0, 14, count)), rng.permutation(np.linspace(-22, 22, count))
    sizes = rng.permutation(np.linspace(0.75, 1.25, count))
    result = []
    for index, body in enumerate(bodies):
        radius_m = first.radius_m / first.position(0)[2] * body.position(0)[2]  # equal size in the image
        look = replace(
            body,
            shape=str(shapes[index]) if difference == "shape" else first.shape,
            color_gain=body.color_gain if difference == "gain" else first.color_gain,
            texture=float(textures[index]) if difference == "texture" else first.texture,
            shade=float(shades[index]) if difference == "texture" else first.shade,
            aspect_ratio=first.aspect_ratio,
            radius_m=radius_m * (float(sizes[index]) if difference == "size" else 1.0),
        )
        result.append(replace(look, relief_m=0.3 * look.radius_m))
    return result


def _clip(name: str, base: Clip, bodies: list[Body], length: int) -> Clip:
    scene = base.scene
    restyled = Scene(tuple(bodies), scene.width, scene.height, scene.seed, scene.style, length)
    return Clip(name, base.seed, restyled, length, dict.fromkeys(range(1, len(bodies) + 1), 0))


def staying(difference: str, seed: int) -> Clip:
    """Return a clip of three to five look-alikes that stay in the image and keep clear of each other.

    Args:
        difference: property from `DIFFERENCES` that differs.
        seed: seed of the clip.
    """
    base = make_clip("distractors", seed)
    return _clip(f"staying_{difference}", base, restyle(tuple(base.scene.bodies), difference, seed), base.length)


def returning(difference: str, seed: int) -> Clip:
    """Return a clip of two look-alikes that both leave the image, and return later at places that say nothing about their identity.

    Chance keeps both ids in half of the clips.

    Args:
        difference: property from `DIFFERENCES` that differs.
        seed: seed of the clip.
    """
    base = make_clip("distractors", seed)
    rng = np.random.default_rng([len(DIFFERENCES), seed])
    leave = rng.integers(20, 31, 2)
    back = max(leave) + _MIN_ABSENCE + rng.integers(0, 15, 2)
    sides = rng.permutation([0.28, 0.72]), rng.permutation([0.28, 0.72])
    bodies = restyle(tuple(base.scene.bodies[:2]), difference, seed)
    moving = []
    for index, body in enumerate(bodies):
        radius = np.array([1, base.scene.width / base.scene.height]) * body.radius_m / body.position(0)[2] * 0.95
        path = _return_path(rng, radius, (float(sides[0][index]), float(sides[1][index])), int(leave[index]), int(back[index]))
        depth = np.full((RETURN_LENGTH, 1), body.position(0)[2])
        moving.append(replace(body, path=np.hstack((path, depth))))
    return _clip(f"returning_{difference}", base, moving, RETURN_LENGTH)


def _return_path(
    rng: np.random.Generator, radius: NDArray[np.float64], columns: tuple[float, float], leave: int, back: int
) -> NDArray[np.float64]:
    """Draw a path [T, 2] that leaves the image and returns, in fractions of the image.

    Args:
        rng: source of randomness.
        radius: radius of the object as a fraction of image width and height.
        columns: x of the object before it leaves and after its return.
        leave: frame on which the object is outside.
        back: frame on which it starts to return.
    """
    start, end = (np.array([column, rng.uniform(0.3, 0.7)]) for column in columns)

    def outside(column: float) -> NDArray[np.float64]:
        """Return a point above, below or beside the image on the near side."""
        side = rng.integers(3)
        x = column + rng.uniform(-0.1, 0.1)
        if side == 0:
            near = -_OUTSIDE * radius[0] if column < 0.5 else 1 + _OUTSIDE * radius[0]
            return np.array([near, rng.uniform(0.3, 0.7)])
        return np.array([x, -_OUTSIDE * radius[1] if side == 1 else 1 + _OUTSIDE * radius[1]])

    path = np.full((RETURN_LENGTH, 2), -10.0)
    path[:leave] = np.linspace(start, outside(columns[0]), leave)
    arrived = back + 15
    path[back:arrived] = np.linspace(outside(columns[1]), end, 15)
    path[arrived:] = np.linspace(end, end + rng.uniform(-0.08, 0.08, 2), RETURN_LENGTH - arrived)
    return path
