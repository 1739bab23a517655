# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""A clip under construction, with paths that suites have in common."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lang2segtrack_ros.toyworld.body import Body
from lang2segtrack_ros.toyworld.shapes import PILLAR
from lang2segtrack_ros.toyworld.walls import SceneStyle

Kind = tuple[str, str]
"""Color and shape of an object; a thing has no color, and its name as shape."""
Path = NDArray[np.float64]


@dataclass
class Draft:
    """Clip under construction.

    Attributes:
        rng: random generator of the clip.
        aspect: width over height of the image.
        all_kinds: kinds from which the objects are drawn.
        length: number of frames.
        bodies: bodies so far.
        prompts: frame on which each body is prompted, by number.
        style: style of the scene.
        cuts: frames from which on another wall is visible.
    """

    rng: np.random.Generator
    aspect: float
    all_kinds: tuple[Kind, ...]
    length: int = 60
    bodies: list[Body] = field(default_factory=list)
    prompts: dict[int, int] = field(default_factory=dict)
    style: SceneStyle = field(default_factory=SceneStyle)
    cuts: tuple[int, ...] = ()

    def uniform(self, low: float, high: float) -> float:
        """Draw a number between two limits."""
        return float(self.rng.uniform(low, high))

    def kinds(self, count: int) -> list[Kind]:
        """Draw different combinations of color and shape."""
        return [self.all_kinds[i] for i in self.rng.choice(len(self.all_kinds), count, replace=False)]

    def bounce(self, start: ArrayLike, velocity: ArrayLike, radius: float) -> Path:
        """Return a straight path [T, 2] that reflects at the image's edges."""
        time = np.arange(self.length)[:, None]
        low = np.full(2, 0.7 * radius)
        room = np.array([self.aspect, 1.0]) - 2 * low
        travel = np.mod(np.asarray(start) - low + np.asarray(velocity) * time, 2 * room)
        path: Path = np.minimum(travel, 2 * room - travel) + low
        return path

    def random_path(self, radius: float, slow: float = 0.004, fast: float = 0.02) -> Path:
        """Draw a bouncing path with a random start and direction."""
        speed, heading = self.uniform(slow, fast), self.uniform(0, 2 * np.pi)
        start = self.rng.uniform([radius, radius], [self.aspect - radius, 1 - radius])
        return self.bounce(start, (speed * np.cos(heading), speed * np.sin(heading)), radius)

    def random_clear_path(self, radius: float, others: Sequence[tuple[Path, float]], slow: float = 0.004, fast: float = 0.02) -> Path:
        """Draw a path that begins clear of other objects and then moves freely.

        Args:
            radius: radius of the object.
            others: path and radius of each other object.
            slow: lowest speed.
            fast: highest speed.

        Returns:
            The first of 30 random paths that begins clear, else the last. 30 attempts nearly always suffice.
        """
        for _ in range(30):
            path = self.random_path(radius, slow, fast)
            if all(np.linalg.norm(path[0] - other[0]) > radius + other_radius for other, other_radius in others):
                break
        return path

    def separate_paths(self, radii: Sequence[float], draw_path: Callable[[float], Path], attempts: int = 40) -> list[Path]:
        """Draw paths that keep clear of each other.

        Args:
            radii: radius of each object.
            draw_path: draws a path for a radius.
            attempts: largest number of draws per object.

        Returns:
            One path per object: the first that keeps clear of all earlier ones, else the one with the largest gap.
        """
        paths: list[Path] = []
        for number, radius in enumerate(radii):
            best: tuple[float, Path] | None = None
            for _ in range(attempts):
                path = draw_path(radius)
                gaps = [np.linalg.norm(path - other, axis=1).min() - 1.15 * (radius + radii[i]) for i, other in enumerate(paths[:number])]
                room = float(min(gaps, default=1.0))
                if best is None or room > best[0]:
                    best = (room, path)
                if room > 0:
                    break
            assert best is not None
            paths.append(best[1])
        return paths

    def add(
        self, kind: Kind, path: Path, radius: float, depth: float | None = None, depth_varies: bool = True, prompt: int | None = 0
    ) -> None:
        """Add a body.

        Args:
            kind: color and shape.
            path: [T, 2], positions in image heights.
            radius: apparent radius in image heights.
            depth: distance in meters; None draws one.
            depth_varies: True lets the distance vary over time.
            prompt: frame on which the body is prompted; None for a body without a prompt.
        """
        rng = self.rng
        depth = self.uniform(1.3, 3.2) if depth is None else depth
        depths = depth * (1 + (self.uniform(0, 0.15) * np.sin(np.arange(self.length) * self.uniform(0.02, 0.08)) if depth_varies else 0.0))
        radius_m = radius * depth / (0.95 * self.aspect)
        full_path = np.column_stack([path[:, 0] / self.aspect, path[:, 1], np.broadcast_to(depths, self.length)])
        color_gain = np.clip(self.uniform(0.74, 1.12) + rng.normal(0, 0.035, 3), 0.6, 1.2)
        rotates = rng.random() < 0.7
        self.bodies.append(
            Body(
                *kind,
                path=full_path,
                radius_m=radius_m,
                spin=float(rng.normal(0, 0.05)) if rotates else 0.0,
                rotation=self.uniform(-np.pi, np.pi) if rotates else 0.0,
                aspect_ratio=self.uniform(0.85, 1.18),
                relief_m=0.3 * radius_m,
                color_gain=(float(color_gain[0]), float(color_gain[1]), float(color_gain[2])),
                texture=self.uniform(0, 14),
                shade=self.uniform(-22, 22),
            )
        )
        if prompt is not None:
            self.prompts[len(self.bodies)] = prompt

    def occluder(self, shape: str, path: Path, radius: float, rotation: float, gain: tuple[float, float, float], texture: float) -> None:
        """Add a body without a label in front of all objects.

        Args:
            shape: its outline, a key of `OCCLUDERS`.
            path: [T, 2], positions in image heights.
            radius: apparent radius in image heights.
            rotation: rotation in radians.
            gain: factor of each channel of its color.
            texture: standard deviation of its texture noise, on a scale of 255.
        """
        depth = 1.0
        full_path = np.column_stack([path[:, 0] / self.aspect, path[:, 1], np.full(self.length, depth)])
        radius_m = radius * depth / (0.95 * self.aspect)
        self.bodies.append(Body("", shape, path=full_path, radius_m=radius_m, rotation=rotation, color_gain=gain, texture=texture))

    def pillar(self, x: float, half_width: float) -> None:
        """Add a gray vertical bar in front of all objects."""
        gray = self.uniform(0.25, 1.4)
        red, green, blue = (float(gray + shift) for shift in self.rng.normal(0, 0.05, 3))
        self.occluder(PILLAR, np.tile([x, 0.5], (self.length, 1)), half_width, rotation=0.0, gain=(red, green, blue), texture=8.0)
