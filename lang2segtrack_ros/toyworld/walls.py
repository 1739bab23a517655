# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The style of a scene, and the wall behind its bodies."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class SceneStyle:
    """Lighting, wall and camera effects of a scene.

    Attributes:
        noise: standard deviation of the color noise, on a scale of 255.
        coarse_noise: True for noise with a grain of two pixels.
        gain: [T] brightness factor of each frame, followed to its end and back again; None for 1.
        blur: standard deviation of a Gaussian blur in pixels at an image height of 192; 0 disables it.
        wall: brightness of the wall, on a scale of 255; None draws it from the seed.
        clutter: number of gray lines and blobs on the wall.
        stripes: contrast of the wall's stripes, on a scale of 255.
        camera_path: float64 [T, 3], shift as a fraction of image width and height, and roll in radians, of each frame. The path is
            followed to its end and back again.
        surface: True for a table or a wall of `things.surfaces` instead of the gray wall.
        shadow: darkness of the shadows of things, 0..1.
        light: (x, y) shift of these shadows in radii.
        exposure: part of the time between two frames in which things blur by their motion, 0..1.
    """

    noise: float = 6.0
    coarse_noise: bool = False
    gain: NDArray[np.float64] | None = None
    blur: float = 0.0
    wall: float | None = None
    clutter: int = 6
    stripes: float = 0.0
    camera_path: NDArray[np.float64] | None = None
    surface: bool = False
    shadow: float = 0.0
    light: tuple[float, float] = (0.0, 0.0)
    exposure: float = 0.0


def make_wall(rng: np.random.Generator, width: int, height: int, style: SceneStyle) -> NDArray[np.float32]:
    """Return a gray wall with clutter and stripes, float32 [H, W, 3].

    Args:
        rng: random generator.
        width: width in pixels.
        height: height in pixels.
        style: brightness, clutter and stripes.
    """
    size = (width, height)
    bright = rng.uniform(90, 150) if style.wall is None else style.wall
    wall = np.full((height, width, 3), bright + rng.uniform(-14, 14, 3), np.float32)
    grid = int(rng.integers(3, 14))
    coarse = cv2.resize(rng.normal(0, 1, (grid, grid, 3)).astype(np.float32), size, interpolation=cv2.INTER_CUBIC)
    wall += coarse.mean(axis=2, keepdims=True) * rng.uniform(6, 30) + coarse * rng.uniform(0, 7)
    slope = rng.uniform(-25, 25, 2)
    wall += np.linspace(-1, 1, width, dtype=np.float32)[None, :, None] * np.float32(slope[0])
    wall += np.linspace(-1, 1, height, dtype=np.float32)[:, None, None] * np.float32(slope[1])
    for _ in range(style.clutter):
        ends = rng.integers(0, size, (2, 2))
        gray = float(rng.uniform(30, 215))
        paint = tuple(float(np.clip(gray + rng.uniform(-10, 10), 0, 255)) for _ in range(3))
        if rng.random() < 0.6:
            cv2.line(wall, ends[0].tolist(), ends[1].tolist(), paint, max(1, int(height * rng.uniform(0.004, 0.02))), cv2.LINE_AA)
        else:
            axes = (height * rng.uniform(0.02, 0.12, 2)).astype(int) + 1
            cv2.ellipse(wall, ends[0].tolist(), axes.tolist(), float(rng.uniform(0, 180)), 0, 360, paint, -1, cv2.LINE_AA)
    if style.stripes:
        pitch = max(2, int(height * rng.uniform(0.03, 0.12)))
        rows, columns = np.arange(height)[:, None] // pitch, np.arange(width)[None] // pitch
        wall += (((columns + (rows if rng.random() < 0.5 else 0)) % 2) * np.float32(style.stripes))[..., None]
    clipped: NDArray[np.float32] = np.clip(wall, 0, 255).astype(np.float32, copy=False)
    return clipped
