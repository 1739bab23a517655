# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Named suites of clips with one difficulty each. A clip depends on suite name, seed and image size alone.

Lengths are in image heights, speeds in image heights per frame. A suite looks the same in 4:3 and 16:9, only wider.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lang2segtrack_ros.toyworld.draft import Draft, Path
from lang2segtrack_ros.toyworld.families import SHAPES_FAMILY, Family
from lang2segtrack_ros.toyworld.scene import Scene


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


def _random_radius(d: Draft) -> float:
    return d.uniform(0.07, 0.165)


def _easy(d: Draft, count: int | None = None) -> None:
    """Add one to three different objects that keep clear of each other."""
    radii = [_random_radius(d) for _ in range(count or int(d.rng.integers(1, 4)))]
    for kind, path, radius in zip(d.kinds(len(radii)), d.separate_paths(radii, d.random_path), radii):
        d.add(kind, path, radius)


def _crossing_paths(d: Draft, radius: float) -> tuple[Path, Path]:
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


def _crossing(d: Draft, depths: tuple[float, float] = (2.0, 2.08)) -> None:
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


def _depth_only_difference(d: Draft) -> None:
    """Add look-alikes of the same apparent size that cross at very different distances."""
    _crossing(d, (1.3, 2.9))


def _occlusion(d: Draft) -> None:
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


def _exit_return(d: Draft) -> None:
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


def _crowd(d: Draft) -> None:
    """Add eight to twelve different objects that start apart and cross freely."""
    placed: list[tuple[Path, float]] = []
    for _ in range(int(d.rng.integers(8, 13))):
        radius = d.uniform(0.06, 0.10)
        placed.append((d.random_clear_path(radius, placed, 0.003, 0.012), radius))
    for kind, (path, radius) in zip(d.kinds(len(placed)), placed):
        d.add(kind, path, radius, d.uniform(1.3, 3.2))


def _distractors(d: Draft) -> None:
    """Add one prompted object among two to four others of the same label."""
    kind = d.kinds(1)[0]
    radii = [d.uniform(0.07, 0.12) for _ in range(int(d.rng.integers(3, 6)))]
    for number, (path, radius) in enumerate(zip(d.separate_paths(radii, d.random_path, attempts=8), radii)):
        d.add(kind, path, radius, prompt=0 if number == 0 else None)


def _small_fast(d: Draft) -> None:
    """Add one or two small objects that move by their own size in two frames."""
    radii = [d.uniform(0.035, 0.05) for _ in range(int(d.rng.integers(1, 3)))]
    for kind, path, radius in zip(d.kinds(len(radii)), d.separate_paths(radii, lambda r: d.random_path(r, 0.025, 0.05)), radii):
        d.add(kind, path, radius)


def _late_prompt(d: Draft) -> None:
    """Add objects that are prompted in the middle of the clip."""
    _easy(d, int(d.rng.integers(1, 4)))
    d.prompts = dict.fromkeys(d.prompts, d.length // 2)


def _scene_cut(d: Draft) -> None:
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


def _camera_shake(d: Draft) -> None:
    """Add a camera that trembles and gets knocked."""
    _easy(d, int(d.rng.integers(1, 4)))
    steps = d.rng.normal(0, [0.012, 0.012, 0.012], (d.length, 3))
    steps[d.rng.integers(5, d.length, 3)] *= 4
    path = np.zeros((d.length, 3))
    for index in range(1, d.length):
        path[index] = 0.7 * path[index - 1] + steps[index]
    d.style = replace(d.style, camera_path=path)


SUITES: dict[str, Callable[[Draft], None]] = {
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


def make_clip(suite: str, seed: int, width: int = 320, height: int = 240, family: Family = SHAPES_FAMILY) -> Clip:
    """Return the clip of a suite and seed.

    Args:
        suite: name of the suite.
        seed: seed of the clip.
        width: image width in pixels.
        height: image height in pixels.
        family: family of its objects.

    Raises:
        KeyError: The suite is unknown.
    """
    if suite not in SUITES:
        raise KeyError(f"unknown suite {suite}; the suites are {', '.join(SUITES)}")
    rng = np.random.default_rng([list(SUITES).index(suite), seed, *family.seed])
    draft = Draft(rng, width / height, family.kinds)
    draft.style = family.style(rng, 120)
    SUITES[suite](draft)
    family.finish(draft)
    scene = Scene(tuple(draft.bodies), width, height, int(rng.integers(1 << 31)), draft.style, draft.length, draft.cuts)
    return Clip(suite, seed, scene, draft.length, draft.prompts)


def make_still(seed: int, width: int = 256, height: int = 192, max_objects: int = 5, family: Family = SHAPES_FAMILY) -> Clip:
    """Return a scene of one frame with 1 to `max_objects` objects.

    In half of the scenes of shapes, several objects share a color or a shape. In some scenes a pillar occludes objects.

    Args:
        seed: seed of the scene.
        width: image width in pixels.
        height: image height in pixels.
        max_objects: largest number of objects.
        family: family of its objects.
    """
    rng = np.random.default_rng([len(SUITES), seed, *family.seed])
    draft = Draft(rng, width / height, family.kinds, length=1)
    draft.style = family.style(rng, 1)
    kinds = [family.kinds[i] for i in rng.integers(len(family.kinds), size=int(rng.integers(1, max_objects + 1)))]
    if rng.random() < 0.5:
        for index in range(1, len(kinds)):
            kinds[index] = family.alike(rng, kinds[int(rng.integers(index))])
    radii = [draft.uniform(0.045, 0.17) for _ in kinds]
    for kind, path, radius in zip(kinds, draft.separate_paths(radii, draft.random_path, attempts=12), radii):
        draft.add(kind, path, radius)
    if rng.random() < 0.2:
        draft.pillar(draft.uniform(0.1, 0.9) * draft.aspect, draft.uniform(0.04, 0.12))
    family.finish(draft)
    scene = Scene(tuple(draft.bodies), width, height, int(rng.integers(1 << 31)), draft.style, 1)
    return Clip("still", seed, scene, 1, draft.prompts)
