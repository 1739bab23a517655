# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Coloured shapes that move before a textured wall, as an RGB-D camera sees them, with the truth of every pixel.

Everything is a function of the seed and the frame number, so frames may be asked for in any order. Coordinates are those of the
optical frame: x right, y down, z forward, metres.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from lang2segtrack_ros.frame import CameraModel

COLORS: dict[str, tuple[int, int, int]] = {
    "red": (215, 40, 40),
    "green": (40, 170, 60),
    "blue": (45, 80, 215),
    "yellow": (235, 215, 50),
    "purple": (145, 55, 175),
    "orange": (240, 135, 30),
}
SHAPES = ("circle", "square", "triangle", "star", "cross")
WALL_M = 4.0
_NOISE_IMAGES = 8
_SUBPIXEL = 4  # fractional bits of cv2's polygon coordinates


def outline(shape: str) -> NDArray[np.float64]:
    """Corners [K, 2] of a shape of radius about 1 around the origin. Raises KeyError for an unknown shape."""
    if shape == "circle":
        angle = np.linspace(0, 2 * np.pi, 40, endpoint=False)
        return np.stack([np.cos(angle), np.sin(angle)], axis=1) * 0.95
    if shape == "square":
        return np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * 0.84
    if shape == "triangle":
        angle = np.radians([-90, 30, 150])
        return np.stack([np.cos(angle), np.sin(angle)], axis=1) * 1.15
    if shape == "star":
        angle = np.radians(np.arange(10) * 36 - 90)
        radius = np.where(np.arange(10) % 2 == 0, 1.2, 0.5)
        return np.stack([np.cos(angle) * radius, np.sin(angle) * radius], axis=1)
    if shape == "cross":
        a, b = 1.08, 0.36
        return np.array([[-b, -a], [b, -a], [b, -b], [a, -b], [a, b], [b, b], [b, a], [-b, a], [-b, b], [-a, b], [-a, -b], [-b, -b]])
    raise KeyError(f"no shape is called {shape}; there are {', '.join(SHAPES)}")


@dataclass(frozen=True)
class Body:
    """A shape that swings around a point.

    Attributes:
        color, shape: names; the label is both.
        centre: (x, y) of the middle of its path, in parts of the image's width and height.
        swing: (x, y) amplitudes of the path, likewise.
        period: (x, y) frames of one swing.
        phase: (x, y) radians at frame 0.
        radius_m: half its size in metres.
        depth_m: distance in metres.
        spin: radians a frame.
    """

    color: str
    shape: str
    centre: tuple[float, float]
    swing: tuple[float, float] = (0.0, 0.0)
    period: tuple[float, float] = (90.0, 70.0)
    phase: tuple[float, float] = (0.0, 0.0)
    radius_m: float = 0.22
    depth_m: float = 2.0
    spin: float = 0.0

    @property
    def label(self) -> str:
        """Such as "red circle"."""
        return f"{self.color} {self.shape}"


@dataclass(frozen=True, eq=False)
class SceneFrame:
    """One frame and its truth.

    Attributes:
        color: uint8 [H, W, 3], RGB.
        depth_mm: uint16 [H, W], 0 unknown.
        instances: uint16 [H, W], 1 + index of the body that is seen in each pixel, 0 for the wall.
    """

    color: NDArray[np.uint8]
    depth_mm: NDArray[np.uint16]
    instances: NDArray[np.uint16]


@dataclass
class Scene:
    """Bodies before a wall, nearer ones in front.

    Attributes:
        bodies: what moves.
        width, height: of the image in pixels.
        seed: of texture and noise.
        noise: standard deviation of the colour noise, of 255.
    """

    bodies: Sequence[Body]
    width: int = 640
    height: int = 480
    seed: int = 0
    noise: float = 6.0
    camera: CameraModel = field(init=False)

    def __post_init__(self) -> None:
        focal = 0.95 * self.width
        center = ((self.width - 1) / 2, (self.height - 1) / 2)
        self.camera = CameraModel(focal, focal, *center, self.width, self.height, "camera_color_optical_frame")
        rng = np.random.default_rng(self.seed)
        self._wall = self._make_wall(rng)
        size = (self.height, self.width)
        self._noise = [rng.normal(0, self.noise, (*size, 3)).astype(np.int16) for _ in range(_NOISE_IMAGES)]
        self._depth_noise = [rng.normal(0, 1.0, size).astype(np.float32) for _ in range(_NOISE_IMAGES)]
        self._holes = [rng.random(size) < 0.004 for _ in range(_NOISE_IMAGES)]
        self._grain = rng.normal(0, 6.0, (*size, 1)).astype(np.float32)
        tilt = np.linspace(-0.15, 0.15, self.width, dtype=np.float32)
        self._wall_depth = np.broadcast_to(WALL_M + tilt, size)
        self._tint = [np.clip(np.array(COLORS[b.color]) * rng.uniform(0.85, 1.1), 0, 255).astype(np.float32) for b in self.bodies]

    def _make_wall(self, rng: np.random.Generator) -> NDArray[np.uint8]:
        wall = np.full((self.height, self.width, 3), rng.uniform(90, 150) + rng.uniform(-12, 12, 3), np.float32)
        coarse = rng.normal(0, 1, (6, 8, 3)).astype(np.float32)
        wall += cv2.resize(coarse, (self.width, self.height), interpolation=cv2.INTER_CUBIC).mean(axis=2, keepdims=True) * 16
        for _ in range(6):
            ends = rng.integers(0, [self.width, self.height], (2, 2))
            grey = float(rng.uniform(50, 190))
            cv2.line(wall, ends[0].tolist(), ends[1].tolist(), (grey, grey, grey), int(rng.integers(2, 8)), cv2.LINE_AA)
        return np.clip(wall, 0, 255).astype(np.uint8)

    def position(self, body: Body, index: int) -> tuple[float, float]:
        """Pixel position of a body's centre on a frame."""
        x, y = (body.centre[axis] + body.swing[axis] * np.sin(2 * np.pi * index / body.period[axis] + body.phase[axis]) for axis in (0, 1))
        return float(x * self.width), float(y * self.height)

    def render(self, index: int) -> SceneFrame:
        """Frame number `index` with its truth."""
        color = self._wall.copy()
        depth = self._wall_depth.copy()
        instances = np.zeros((self.height, self.width), np.uint16)
        edges = np.zeros((self.height, self.width), np.uint8)
        order = sorted(range(len(self.bodies)), key=lambda number: -self.bodies[number].depth_m)
        for number in order:
            self._paint(self.bodies[number], number, index, color, depth, instances, edges)
        pick = index * 7 % _NOISE_IMAGES
        color = cv2.add(color, self._noise[pick], dtype=cv2.CV_8U).astype(np.uint8, copy=False)
        depth += self._depth_noise[pick] * (0.0015 * depth * depth)  # stereo noise grows with the square of the distance
        millimetres = (depth * 1000).astype(np.uint16)
        millimetres[self._holes[pick] | (edges > 0)] = 0
        return SceneFrame(color, millimetres, instances)

    def _paint(
        self,
        body: Body,
        number: int,
        index: int,
        color: NDArray[np.uint8],
        depth: NDArray[np.float32],
        instances: NDArray[np.uint16],
        edges: NDArray[np.uint8],
    ) -> None:
        x, y = self.position(body, index)
        radius = body.radius_m * self.camera.fx / body.depth_m
        sin, cos = np.sin(body.spin * index), np.cos(body.spin * index)
        corners = outline(body.shape) * radius @ np.array([[cos, sin], [-sin, cos]]) + (x, y)
        low = np.maximum(np.floor(corners.min(axis=0)).astype(int) - 2, 0)
        high = np.minimum(np.ceil(corners.max(axis=0)).astype(int) + 3, (self.width, self.height))
        if (high <= low).any():
            return
        window = np.s_[low[1] : high[1], low[0] : high[0]]
        polygon = np.round((corners - low) * (1 << _SUBPIXEL)).astype(np.int32)
        cover = np.zeros((high[1] - low[1], high[0] - low[0]), np.uint8)
        cv2.fillPoly(cover, [polygon], 255, cv2.LINE_AA, _SUBPIXEL)
        alpha = cover[..., None].astype(np.float32) / 255
        paint = self._tint[number] + self._grain[window]
        color[window] = np.clip(color[window] * (1 - alpha) + paint * alpha, 0, 255).astype(np.uint8)
        inside = cover > 127
        depth[window][inside] = body.depth_m
        instances[window][inside] = number + 1
        cv2.polylines(edges[window], [polygon], True, 1, 1, cv2.LINE_8, _SUBPIXEL)


def demo_scene(width: int = 640, height: int = 480, seed: int = 4) -> Scene:
    """Four shapes of different colours; two are named in the demo, one is boxed, one is nobody's business."""
    bodies = (
        Body("red", "circle", (0.25, 0.30), (0.12, 0.10), (97, 71), (0.0, 1.0), 0.20, 2.2),
        Body("blue", "star", (0.68, 0.33), (0.14, 0.09), (83, 101), (2.0, 0.3), 0.22, 2.0, 0.02),
        Body("yellow", "square", (0.30, 0.74), (0.13, 0.08), (107, 79), (1.2, 2.4), 0.20, 2.4, -0.015),
        Body("purple", "cross", (0.75, 0.76), (0.12, 0.08), (89, 93), (0.6, 0.0), 0.20, 2.6, 0.01),
    )
    return Scene(bodies, width, height, seed)
