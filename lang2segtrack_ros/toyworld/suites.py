# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Named suites of clips with one difficulty each. A clip depends on suite name, seed and image size alone.

Lengths are in image heights, speeds in image heights per frame. A suite looks the same in 4:3 and 16:9, only wider.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lang2segtrack_ros.toyworld.body import Body
from lang2segtrack_ros.toyworld.scene import Scene
from lang2segtrack_ros.toyworld.shapes import COLORS, PILLAR, SHAPES
from lang2segtrack_ros.toyworld.walls import SceneStyle

Kind = tuple[str, str]
Path = NDArray[np.float64]
ALL_KINDS: tuple[Kind, ...] = tuple((color, shape) for color in COLORS for shape in SHAPES)


@dataclass(frozen=True, eq=False)
class Clip:
    """Scene of known length with the objects to track.

    Attributes:
        suite, seed: name of the clip.
        scene: scene of the clip.
        length: number of frames.
        prompts: frame on which each body is prompted, by number (1 + index).
    """

    suite: str
    seed: int
    scene: Scene
    length: int
    prompts: dict[int, int]


@dataclass
class _Draft:
    """Clip under construction."""

    rng: np.random.Generator
    aspect: float
    length: int = 60
    bodies: list[Body] = field(default_factory=list)
    prompts: dict[int, int] = field(default_factory=dict)
    style: SceneStyle = field(default_factory=SceneStyle)
    cuts: tuple[int, ...] = ()

    def uniform(self, low: float, high: float) -> float:
        return float(self.rng.uniform(low, high))

    def kinds(self, count: int) -> list[Kind]:
        """Draw different combinations of color and shape."""
        return [ALL_KINDS[i] for i in self.rng.choice(len(ALL_KINDS), count, replace=False)]

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

    def pillar(self, x: float, half_width: float, depth: float = 1.0) -> None:
        """Add a gray vertical bar in front of all objects."""
        path = np.tile([x / self.aspect, 0.5, depth], (self.length, 1))
        gray = self.uniform(0.25, 1.4)
        color_gain = tuple(float(gray + shift) for shift in self.rng.normal(0, 0.05, 3))
        self.bodies.append(
            Body(
                "",
                PILLAR,
                path=path,
                radius_m=half_width * depth / (0.95 * self.aspect),
                color_gain=(color_gain[0], color_gain[1], color_gain[2]),
                texture=8.0,
            )
        )


def _random_radius(d: _Draft) -> float:
    return d.uniform(0.07, 0.165)


def _easy(d: _Draft, count: int | None = None) -> None:
    """Add one to three different objects that keep clear of each other."""
    radii = [_random_radius(d) for _ in range(count or int(d.rng.integers(1, 4)))]
    for kind, path, radius in zip(d.kinds(len(radii)), d.separate_paths(radii, d.random_path), radii):
        d.add(kind, path, radius)


def _crossing_paths(d: _Draft, radius: float) -> tuple[Path, Path]:
    """Draw two paths that cross near the middle of the clip."""
    crossing_time = d.length * d.uniform(0.35, 0.65)
    point = d.rng.uniform([0.35 * d.aspect, 0.3], [0.65 * d.aspect, 0.7])
    first = d.uniform(0, 2 * np.pi)
    second = first + d.uniform(0.5, 1.5) * np.pi
    paths = []
    for heading in (first, second):
        speed = d.uniform(0.010, 0.024)
        velocity = np.array([np.cos(heading), np.sin(heading)]) * speed
        offset = d.rng.normal(0, 0.25, 2) * radius
        start = point + offset - velocity * crossing_time
        inside = d.bounce(start, velocity, radius)
        paths.append(inside)
    return paths[0], paths[1]


def _crossing(d: _Draft, depths: tuple[float, float] = (2.0, 2.08)) -> None:
    """Add look-alikes that pass in front of each other."""
    kind, other = d.kinds(2)
    radius = d.uniform(0.08, 0.14)
    while True:  # the objects must start apart, else the box of one contains the other
        paths = _crossing_paths(d, radius)
        if np.linalg.norm(paths[0][0] - paths[1][0]) > 2.3 * radius:
            break
    for path, depth in zip(paths, depths):
        d.add(kind, path, radius * d.uniform(0.95, 1.05), depth, depth_varies=False)
    if d.rng.random() < 0.5:
        third = _random_radius(d)
        path = d.random_clear_path(third, [(path, radius) for path in paths])
        d.add(other, path, third, d.uniform(2.5, 3.2))


def _depth_only_difference(d: _Draft) -> None:
    """Add look-alikes of the same apparent size that cross at very different distances."""
    _crossing(d, (1.3, 2.9))


def _occlusion(d: _Draft) -> None:
    """Add objects that pass behind a pillar and are fully occluded for 5 to 30 frames."""
    lanes = d.rng.permutation([0.2, 0.5, 0.8])[: int(d.rng.integers(1, 3))]
    while True:
        radius = d.uniform(0.07, 0.12)
        hidden_frames, start = int(d.rng.integers(5, 31)), int(d.rng.integers(11, 20))
        speed = d.uniform(2.1 * radius / start, 0.035)
        half = radius * 1.22 + speed * hidden_frames / 2
        low, high = half + speed * start, d.aspect - half - 2.2 * radius
        if speed > 2.1 * radius / start and low < high:
            break
    middle = d.uniform(low, high)
    mirrored = d.rng.random() < 0.5
    for number, (lane, kind) in enumerate(zip(lanes, d.kinds(len(lanes)))):
        object_speed = speed * (1.0 if number == 0 else d.uniform(0.85, 1.0))
        x0 = max(middle - half + 1.22 * radius - speed * start, radius)
        time = np.arange(d.length)
        path = np.column_stack([np.minimum(x0 + object_speed * time, d.aspect - 1.05 * radius), lane + d.uniform(-0.0015, 0.0015) * time])
        if mirrored:
            path[:, 0] = d.aspect - path[:, 0]
        d.add(kind, path, radius, depth_varies=False)
    d.pillar(d.aspect - middle if mirrored else middle, half)


def _exit_return(d: _Draft) -> None:
    """Add an object that leaves the image for two to four seconds at 15 Hz and returns at another place, and one that stays."""
    d.length = 120
    radius, other_radius = _random_radius(d), _random_radius(d)
    kind, other = d.kinds(2)
    leave, depths = int(d.rng.integers(15, 30)), int(d.rng.integers(30, 60))
    sides = d.rng.permutation(4)[:2]

    def outside_point(side: int) -> NDArray[np.float64]:
        along = d.uniform(0.2, 0.8)
        out = 1.4 * radius
        return np.array(
            [(-out, along), (d.aspect + out, along), (along * d.aspect, -out), (along * d.aspect, 1 + out)][side],
        )

    inside = d.rng.uniform([0.3 * d.aspect, 0.3], [0.7 * d.aspect, 0.7], (3, 2))
    path = np.full((d.length, 2), -10.0)
    back = leave + depths
    inside_from = min(back + int(d.rng.integers(15, 30)), d.length - 2)
    path[:leave] = np.linspace(inside[0], outside_point(int(sides[0])), leave)
    path[back:inside_from] = np.linspace(outside_point(int(sides[1])), inside[1], inside_from - back)
    path[inside_from:] = np.linspace(inside[1], inside[2], d.length - inside_from)
    d.add(kind, path, radius, depth_varies=False)
    d.add(other, d.random_clear_path(other_radius, [(path, radius)], 0.002, 0.01), other_radius)


def _crowd(d: _Draft) -> None:
    """Add eight to twelve different objects that start apart and cross freely."""
    placed: list[tuple[Path, float]] = []
    for _ in range(int(d.rng.integers(8, 13))):
        radius = d.uniform(0.06, 0.10)
        placed.append((d.random_clear_path(radius, placed, 0.003, 0.012), radius))
    for kind, (path, radius) in zip(d.kinds(len(placed)), placed):
        d.add(kind, path, radius, d.uniform(1.3, 3.2))


def _distractors(d: _Draft) -> None:
    """Add one prompted object among two to four others of the same label."""
    kind = d.kinds(1)[0]
    radii = [d.uniform(0.07, 0.12) for _ in range(int(d.rng.integers(3, 6)))]
    for number, (path, radius) in enumerate(zip(d.separate_paths(radii, d.random_path, attempts=8), radii)):
        d.add(kind, path, radius, prompt=0 if number == 0 else None)


def _small_fast(d: _Draft) -> None:
    """Add one or two small objects that move by their own size in two frames."""
    radii = [d.uniform(0.035, 0.05) for _ in range(int(d.rng.integers(1, 3)))]
    for kind, path, radius in zip(d.kinds(len(radii)), d.separate_paths(radii, lambda r: d.random_path(r, 0.025, 0.05)), radii):
        d.add(kind, path, radius)


def _late_prompt(d: _Draft) -> None:
    """Add objects that are prompted in the middle of the clip."""
    _easy(d, int(d.rng.integers(1, 4)))
    d.prompts = dict.fromkeys(d.prompts, d.length // 2)


def _scene_cut(d: _Draft) -> None:
    """Add a scene cut: afterwards other objects move in front of another wall."""
    d.length = 80
    cut = int(d.rng.integers(30, 50))
    kinds = d.kinds(4)
    for half in range(2):
        radii = [_random_radius(d) for _ in range(2)]
        for kind, path, radius in zip(kinds[2 * half :], d.separate_paths(radii, d.random_path), radii):
            d.add(kind, path, radius, prompt=0 if half == 0 else None)
            d.bodies[-1] = replace(d.bodies[-1], first=cut if half else 0, last=None if half else cut)
    d.cuts = (cut,)


def _camera_shake(d: _Draft) -> None:
    """Add a camera that trembles and gets knocked."""
    _easy(d, int(d.rng.integers(1, 4)))
    steps = d.rng.normal(0, [0.012, 0.012, 0.012], (d.length, 3))
    steps[d.rng.integers(5, d.length, 3)] *= 4
    path = np.zeros((d.length, 3))
    for index in range(1, d.length):
        path[index] = 0.7 * path[index - 1] + steps[index]
    d.style = replace(d.style, camera_path=path)


SUITES: dict[str, Callable[[_Draft], None]] = {
    "easy": _easy,
    "crossing": _crossing,
    "occlusion": _occlusion,
    "exit_return": _exit_return,
    "crowd": _crowd,
    "distractors": _distractors,
    "small_fast": _small_fast,
    "late_prompt": _late_prompt,
    "scene_cut": _scene_cut,
    "camera_shake": _camera_shake,
    "depth_only_difference": _depth_only_difference,
}


def _random_style(rng: np.random.Generator, length: int) -> SceneStyle:
    return SceneStyle(
        noise=float(rng.uniform(1, 9)),
        coarse_noise=bool(rng.random() < 0.5),
        gain=rng.uniform(0.75, 1.2) * (1 + rng.normal(0, rng.uniform(0, 0.03), length)),
        blur=float(rng.choice([0.0, 0.6])),
        wall=float(rng.uniform(40, 200)),
        clutter=int(rng.integers(0, 6)),
        stripes=float(rng.uniform(8, 30)) if rng.random() < 0.35 else 0.0,
    )


def make_clip(suite: str, seed: int, width: int = 320, height: int = 240) -> Clip:
    """Return the clip of a suite and seed.

    Args:
        suite: name of the suite.
        seed: seed of the clip.
        width: image width in pixels.
        height: image height in pixels.

    Raises:
        KeyError: The suite is unknown.
    """
    if suite not in SUITES:
        raise KeyError(f"unknown suite {suite}; the suites are {', '.join(SUITES)}")
    rng = np.random.default_rng([list(SUITES).index(suite), seed])
    draft = _Draft(rng, width / height)
    draft.style = _random_style(rng, 120)
    SUITES[suite](draft)
    scene = Scene(tuple(draft.bodies), width, height, int(rng.integers(1 << 31)), draft.style, draft.length, draft.cuts)
    return Clip(suite, seed, scene, draft.length, draft.prompts)


def make_still(seed: int, width: int = 256, height: int = 192, max_objects: int = 5) -> Clip:
    """Return a scene of one frame with 1 to `max_objects` objects; width and height are in pixels.

    In half of the scenes several objects share a color or a shape. In some a pillar occludes objects.
    """
    rng = np.random.default_rng([len(SUITES), seed])
    draft = _Draft(rng, width / height, length=1)
    draft.style = _random_style(rng, 1)
    kinds = [ALL_KINDS[i] for i in rng.integers(len(ALL_KINDS), size=int(rng.integers(1, max_objects + 1)))]
    if rng.random() < 0.5:
        for index in range(1, len(kinds)):
            color, shape = kinds[int(rng.integers(index))]
            other_color, other_shape = ALL_KINDS[rng.integers(len(ALL_KINDS))]
            kinds[index] = (color, other_shape) if rng.random() < 0.65 else (other_color, shape)
    radii = [draft.uniform(0.045, 0.17) for _ in kinds]
    for kind, path, radius in zip(kinds, draft.separate_paths(radii, draft.random_path, attempts=12), radii):
        draft.add(kind, path, radius)
    if rng.random() < 0.2:
        draft.pillar(draft.uniform(0.1, 0.9) * draft.aspect, draft.uniform(0.04, 0.12))
    scene = Scene(tuple(draft.bodies), width, height, int(rng.integers(1 << 31)), draft.style, 1)
    return Clip("still", seed, scene, 1, draft.prompts)
