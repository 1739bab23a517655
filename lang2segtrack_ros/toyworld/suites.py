# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Named suites of clips, each for one difficulty; a clip is a function of its suite's name, its seed and its size.

Lengths are in image heights, speeds in image heights a frame: a suite looks the same in 4:3 and 16:9, only wider.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lang2segtrack_ros.toyworld.scene import Body, Look, Scene
from lang2segtrack_ros.toyworld.shapes import COLORS, PILLAR, SHAPES

Kind = tuple[str, str]
Path = NDArray[np.float64]
ALL_KINDS: tuple[Kind, ...] = tuple((color, shape) for color in COLORS for shape in SHAPES)


@dataclass(frozen=True, eq=False)
class Clip:
    """A scene of known length and the objects that are to be followed.

    Attributes:
        suite, seed: its name.
        scene: what is seen.
        length: frames.
        prompts: for each body's number (1 + index) the frame on which it is prompted.
    """

    suite: str
    seed: int
    scene: Scene
    length: int
    prompts: dict[int, int]


@dataclass
class _Draft:
    """A clip being made."""

    rng: np.random.Generator
    aspect: float
    length: int = 60
    bodies: list[Body] = field(default_factory=list)
    prompts: dict[int, int] = field(default_factory=dict)
    look: Look = field(default_factory=Look)
    cuts: tuple[int, ...] = ()

    def uniform(self, low: float, high: float) -> float:
        return float(self.rng.uniform(low, high))

    def kinds(self, count: int) -> list[Kind]:
        """Different colours and shapes."""
        return [ALL_KINDS[i] for i in self.rng.choice(len(ALL_KINDS), count, replace=False)]

    def bounce(self, start: ArrayLike, velocity: ArrayLike, radius: float) -> Path:
        """A straight path [T, 2] that the image's edges throw back."""
        time = np.arange(self.length)[:, None]
        low = np.full(2, 0.7 * radius)
        room = np.array([self.aspect, 1.0]) - 2 * low
        way = np.mod(np.asarray(start) - low + np.asarray(velocity) * time, 2 * room)
        path: Path = np.minimum(way, 2 * room - way) + low
        return path

    def roam(self, radius: float, slow: float = 0.004, fast: float = 0.02) -> Path:
        """A bouncing path from anywhere to anywhere."""
        speed, heading = self.uniform(slow, fast), self.uniform(0, 2 * np.pi)
        start = self.rng.uniform([radius, radius], [self.aspect - radius, 1 - radius])
        return self.bounce(start, (speed * np.cos(heading), speed * np.sin(heading)), radius)

    def roam_clear(self, radius: float, others: Sequence[tuple[Path, float]], slow: float = 0.004, fast: float = 0.02) -> Path:
        """A roaming path that begins clear of the others (path, radius) and goes where it likes; 30 attempts nearly always find one."""
        for _ in range(30):
            path = self.roam(radius, slow, fast)
            if all(np.linalg.norm(path[0] - other[0]) > radius + size for other, size in others):
                break
        return path

    def apart(self, radii: Sequence[float], make: Callable[[float], Path], tries: int = 40) -> list[Path]:
        """Paths of which each keeps clear of the earlier ones as well as `tries` attempts manage."""
        chosen: list[Path] = []
        for number, radius in enumerate(radii):
            best: tuple[float, Path] | None = None
            for _ in range(tries):
                path = make(radius)
                gaps = [np.linalg.norm(path - other, axis=1).min() - 1.15 * (radius + radii[i]) for i, other in enumerate(chosen[:number])]
                room = float(min(gaps, default=1.0))
                if best is None or room > best[0]:
                    best = (room, path)
                if room > 0:
                    break
            assert best is not None
            chosen.append(best[1])
        return chosen

    def add(self, kind: Kind, path: Path, radius: float, depth: float | None = None, swell: bool = True, prompt: int | None = 0) -> None:
        """A body of apparent `radius` on `path` [T, 2]; `prompt` is the frame on which it is named."""
        rng = self.rng
        depth = self.uniform(1.3, 3.2) if depth is None else depth
        away = depth * (1 + (self.uniform(0, 0.15) * np.sin(np.arange(self.length) * self.uniform(0.02, 0.08)) if swell else 0.0))
        radius_m = radius * depth / (0.95 * self.aspect)
        whole = np.column_stack([path[:, 0] / self.aspect, path[:, 1], np.broadcast_to(away, self.length)])
        tint = np.clip(self.uniform(0.74, 1.12) + rng.normal(0, 0.035, 3), 0.6, 1.2)
        turning = rng.random() < 0.7
        self.bodies.append(
            Body(
                *kind,
                path=whole,
                radius_m=radius_m,
                spin=float(rng.normal(0, 0.05)) if turning else 0.0,
                turn=self.uniform(-np.pi, np.pi) if turning else 0.0,
                stretch=self.uniform(0.85, 1.18),
                relief_m=0.3 * radius_m,
                tint=(float(tint[0]), float(tint[1]), float(tint[2])),
                texture=self.uniform(0, 14),
                shade=self.uniform(-22, 22),
            )
        )
        if prompt is not None:
            self.prompts[len(self.bodies)] = prompt

    def pillar(self, x: float, half_width: float, depth: float = 1.0) -> None:
        """A grey upright bar before everything."""
        place = np.tile([x / self.aspect, 0.5, depth], (self.length, 1))
        grey = self.uniform(0.25, 1.4)
        tint = tuple(float(grey + shift) for shift in self.rng.normal(0, 0.05, 3))
        self.bodies.append(
            Body("", PILLAR, path=place, radius_m=half_width * depth / (0.95 * self.aspect), tint=(tint[0], tint[1], tint[2]), texture=8.0)
        )


def _radius(d: _Draft) -> float:
    return d.uniform(0.07, 0.165)


def _easy(d: _Draft, count: int | None = None) -> None:
    """One to three different objects that keep clear of each other."""
    radii = [_radius(d) for _ in range(count or int(d.rng.integers(1, 4)))]
    for kind, path, radius in zip(d.kinds(len(radii)), d.apart(radii, d.roam), radii):
        d.add(kind, path, radius)


def _meeting(d: _Draft, radius: float) -> tuple[Path, Path]:
    """Two paths that cross near the middle of the clip."""
    moment = d.length * d.uniform(0.35, 0.65)
    point = d.rng.uniform([0.35 * d.aspect, 0.3], [0.65 * d.aspect, 0.7])
    first = d.uniform(0, 2 * np.pi)
    second = first + d.uniform(0.5, 1.5) * np.pi
    paths = []
    for heading in (first, second):
        speed = d.uniform(0.010, 0.024)
        velocity = np.array([np.cos(heading), np.sin(heading)]) * speed
        offset = d.rng.normal(0, 0.25, 2) * radius
        start = point + offset - velocity * moment
        inside = d.bounce(start, velocity, radius)
        paths.append(inside)
    return paths[0], paths[1]


def _crossing(d: _Draft, depths: tuple[float, float] = (2.0, 2.08)) -> None:
    """Look-alikes pass in front of each other."""
    kind, other = d.kinds(2)
    radius = d.uniform(0.08, 0.14)
    while True:  # they must start apart, or the box of one shows the other
        paths = _meeting(d, radius)
        if np.linalg.norm(paths[0][0] - paths[1][0]) > 2.3 * radius:
            break
    for path, depth in zip(paths, depths):
        d.add(kind, path, radius * d.uniform(0.95, 1.05), depth, swell=False)
    if d.rng.random() < 0.5:
        third = _radius(d)
        path = d.roam_clear(third, [(path, radius) for path in paths])
        d.add(other, path, third, d.uniform(2.5, 3.2))


def _depth_only_difference(d: _Draft) -> None:
    """Look-alikes of the same apparent size cross at very different distances."""
    _crossing(d, (1.3, 2.9))


def _occlusion(d: _Draft) -> None:
    """Objects pass behind a pillar and are fully hidden for 5 to 30 frames."""
    lanes = d.rng.permutation([0.2, 0.5, 0.8])[: int(d.rng.integers(1, 3))]
    while True:
        radius = d.uniform(0.07, 0.12)
        hidden, start = int(d.rng.integers(5, 31)), int(d.rng.integers(11, 20))
        speed = d.uniform(2.1 * radius / start, 0.035)
        half = radius * 1.22 + speed * hidden / 2
        low, high = half + speed * start, d.aspect - half - 2.2 * radius
        if speed > 2.1 * radius / start and low < high:
            break
    middle = d.uniform(low, high)
    mirrored = d.rng.random() < 0.5
    for number, (lane, kind) in enumerate(zip(lanes, d.kinds(len(lanes)))):
        pace = speed * (1.0 if number == 0 else d.uniform(0.85, 1.0))
        x0 = max(middle - half + 1.22 * radius - speed * start, radius)
        time = np.arange(d.length)
        path = np.column_stack([np.minimum(x0 + pace * time, d.aspect - 1.05 * radius), lane + d.uniform(-0.0015, 0.0015) * time])
        if mirrored:
            path[:, 0] = d.aspect - path[:, 0]
        d.add(kind, path, radius, swell=False)
    d.pillar(d.aspect - middle if mirrored else middle, half)


def _exit_return(d: _Draft) -> None:
    """An object leaves the image for two to four seconds at 15 Hz and comes back elsewhere; another one stays."""
    d.length = 120
    radius, stay = _radius(d), _radius(d)
    kind, other = d.kinds(2)
    leave, away = int(d.rng.integers(15, 30)), int(d.rng.integers(30, 60))
    sides = d.rng.permutation(4)[:2]

    def gate(side: int) -> NDArray[np.float64]:
        along = d.uniform(0.2, 0.8)
        out = 1.4 * radius
        return np.array(
            [(-out, along), (d.aspect + out, along), (along * d.aspect, -out), (along * d.aspect, 1 + out)][side],
        )

    inside = d.rng.uniform([0.3 * d.aspect, 0.3], [0.7 * d.aspect, 0.7], (3, 2))
    path = np.full((d.length, 2), -10.0)
    back = leave + away
    settle = min(back + int(d.rng.integers(15, 30)), d.length - 2)
    path[:leave] = np.linspace(inside[0], gate(int(sides[0])), leave)
    path[back:settle] = np.linspace(gate(int(sides[1])), inside[1], settle - back)
    path[settle:] = np.linspace(inside[1], inside[2], d.length - settle)
    d.add(kind, path, radius, swell=False)
    d.add(other, d.roam_clear(stay, [(path, radius)], 0.002, 0.01), stay)


def _crowd(d: _Draft) -> None:
    """Eight to twelve different objects that start apart and cross as they like."""
    placed: list[tuple[Path, float]] = []
    for _ in range(int(d.rng.integers(8, 13))):
        radius = d.uniform(0.06, 0.10)
        placed.append((d.roam_clear(radius, placed, 0.003, 0.012), radius))
    for kind, (path, radius) in zip(d.kinds(len(placed)), placed):
        d.add(kind, path, radius, d.uniform(1.3, 3.2))


def _distractors(d: _Draft) -> None:
    """One object among two to four others of the same label."""
    kind = d.kinds(1)[0]
    radii = [d.uniform(0.07, 0.12) for _ in range(int(d.rng.integers(3, 6)))]
    for number, (path, radius) in enumerate(zip(d.apart(radii, d.roam, tries=8), radii)):
        d.add(kind, path, radius, prompt=0 if number == 0 else None)


def _small_fast(d: _Draft) -> None:
    """One or two small objects that move by their own size every other frame."""
    radii = [d.uniform(0.035, 0.05) for _ in range(int(d.rng.integers(1, 3)))]
    for kind, path, radius in zip(d.kinds(len(radii)), d.apart(radii, lambda r: d.roam(r, 0.025, 0.05)), radii):
        d.add(kind, path, radius)


def _late_prompt(d: _Draft) -> None:
    """Objects that are named in the middle of the clip."""
    _easy(d, int(d.rng.integers(1, 4)))
    d.prompts = dict.fromkeys(d.prompts, d.length // 2)


def _scene_cut(d: _Draft) -> None:
    """Everything changes at once: other objects before another wall."""
    d.length = 80
    cut = int(d.rng.integers(30, 50))
    kinds = d.kinds(4)
    for half in range(2):
        radii = [_radius(d) for _ in range(2)]
        for kind, path, radius in zip(kinds[2 * half :], d.apart(radii, d.roam), radii):
            d.add(kind, path, radius, prompt=0 if half == 0 else None)
            d.bodies[-1] = replace(d.bodies[-1], first=cut if half else 0, last=None if half else cut)
    d.cuts = (cut,)


def _camera_shake(d: _Draft) -> None:
    """The camera trembles and is knocked."""
    _easy(d, int(d.rng.integers(1, 4)))
    steps = d.rng.normal(0, [0.012, 0.012, 0.012], (d.length, 3))
    steps[d.rng.integers(5, d.length, 3)] *= 4
    path = np.zeros((d.length, 3))
    for index in range(1, d.length):
        path[index] = 0.7 * path[index - 1] + steps[index]
    d.look = replace(d.look, camera_path=path)


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


def _look(rng: np.random.Generator, length: int) -> Look:
    return Look(
        noise=float(rng.uniform(1, 9)),
        coarse_noise=bool(rng.random() < 0.5),
        gain=rng.uniform(0.75, 1.2) * (1 + rng.normal(0, rng.uniform(0, 0.03), length)),
        blur=float(rng.choice([0.0, 0.6])),
        wall=float(rng.uniform(40, 200)),
        clutter=int(rng.integers(0, 6)),
        stripes=float(rng.uniform(8, 30)) if rng.random() < 0.35 else 0.0,
    )


def make_clip(suite: str, seed: int, width: int = 320, height: int = 240) -> Clip:
    """A clip of a suite.

    Raises:
        KeyError: no suite has this name.
    """
    if suite not in SUITES:
        raise KeyError(f"no suite is called {suite}; there are {', '.join(SUITES)}")
    rng = np.random.default_rng([list(SUITES).index(suite), seed])
    draft = _Draft(rng, width / height)
    draft.look = _look(rng, 120)
    SUITES[suite](draft)
    scene = Scene(tuple(draft.bodies), width, height, int(rng.integers(1 << 31)), draft.look, draft.length, draft.cuts)
    return Clip(suite, seed, scene, draft.length, draft.prompts)


def make_still(seed: int, width: int = 256, height: int = 192, most: int = 5) -> Clip:
    """A scene of one frame with 1 to `most` objects, in half of them several of one colour or shape; sometimes a pillar hides some."""
    rng = np.random.default_rng([len(SUITES), seed])
    draft = _Draft(rng, width / height, length=1)
    draft.look = _look(rng, 1)
    kinds = [ALL_KINDS[i] for i in rng.integers(len(ALL_KINDS), size=int(rng.integers(1, most + 1)))]
    if rng.random() < 0.5:
        for index in range(1, len(kinds)):
            color, shape = kinds[int(rng.integers(index))]
            other_color, other_shape = ALL_KINDS[rng.integers(len(ALL_KINDS))]
            kinds[index] = (color, other_shape) if rng.random() < 0.65 else (other_color, shape)
    radii = [draft.uniform(0.045, 0.17) for _ in kinds]
    for kind, path, radius in zip(kinds, draft.apart(radii, draft.roam, tries=12), radii):
        draft.add(kind, path, radius)
    if rng.random() < 0.2:
        draft.pillar(draft.uniform(0.1, 0.9) * draft.aspect, draft.uniform(0.04, 0.12))
    scene = Scene(tuple(draft.bodies), width, height, int(rng.integers(1 << 31)), draft.look, 1)
    return Clip("still", seed, scene, 1, draft.prompts)
