# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Coloured shapes that move before a textured wall, as an RGB-D camera sees them, with the truth of every pixel.

Everything is a function of the seed and the frame number, so frames may be asked for in any order. Coordinates are those of the
optical frame: x right, y down, z forward, metres.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from lang2segtrack_ros.toyworld.shapes import COLORS, PILLAR, outline
from lang2segtrack_ros.types.frame import CameraModel

WALL_M = 4.0
_SUBPIXEL = 4  # fractional bits of cv2's polygon coordinates
_RIM = 0.55  # pixels by which a polygon that cv2 fills reaches beyond its corners on each side, as it paints the rim as well
_NOISE_MARGIN = 64  # the noise images are this much larger than the picture, and each frame shows another part of them


def _to_and_fro(index: int, length: int) -> int:
    turn = max(length - 1, 1)
    at = index % (2 * turn)
    return min(at, 2 * turn - at, length - 1)


@dataclass(frozen=True, eq=False)
class Body:
    """A shape that moves: along a path, or for ever around a point.

    Attributes:
        color, shape: names; the label is both. A pillar has no name and only hides.
        centre: (x, y) of the middle of its path, in parts of the image's width and height.
        swing: (x, y) amplitudes of the path, likewise.
        period: (x, y) frames of one swing.
        phase: (x, y) radians at frame 0.
        radius_m: half its size in metres.
        depth_m: distance in metres.
        spin: radians a frame.
        path: float64 [T, 3], x and y as in `centre` and the distance in metres on each frame, instead of a swing.
        turn: radians at frame 0.
        stretch: width over height.
        relief_m: how far its middle bulges towards the camera.
        tint: factor on its colour; None for one drawn from the scene's seed.
        texture: standard deviation of its grain, of 255.
        shade: how much brighter its right side is than its middle, of 255.
        first, last: frames on which it exists; last is exclusive, None for ever.
    """

    color: str
    shape: str
    centre: tuple[float, float] = (0.5, 0.5)
    swing: tuple[float, float] = (0.0, 0.0)
    period: tuple[float, float] = (90.0, 70.0)
    phase: tuple[float, float] = (0.0, 0.0)
    radius_m: float = 0.22
    depth_m: float = 2.0
    spin: float = 0.0
    path: NDArray[np.float64] | None = None
    turn: float = 0.0
    stretch: float = 1.0
    relief_m: float = 0.0
    tint: tuple[float, float, float] | None = None
    texture: float = 6.0
    shade: float = 0.0
    first: int = 0
    last: int | None = None

    @property
    def label(self) -> str:
        """Such as "red circle"; empty for a pillar."""
        return f"{self.color} {self.shape}" if self.shape != PILLAR else ""

    def place(self, index: int) -> tuple[float, float, float]:
        """(x, y) in parts of the image and the distance in metres on a frame; a path is walked to its end and back."""
        if self.path is not None:
            x, y, z = self.path[_to_and_fro(index, len(self.path))]
            return float(x), float(y), float(z)
        x, y = (self.centre[a] + self.swing[a] * np.sin(2 * np.pi * index / self.period[a] + self.phase[a]) for a in (0, 1))
        return float(x), float(y), self.depth_m


@dataclass(frozen=True)
class BodyTruth:
    """What is true of one named body on one frame.

    Attributes:
        number: 1 + index of the body; its value in `SceneFrame.instances`.
        label: such as "red circle".
        visible: pixels of it that are seen.
        fraction: seen part of its whole silhouette, the part outside of the image counting as unseen, 0..1.
        box: (x_min, y_min, x_max, y_max) of the seen pixels, maxima exclusive; None when hidden.
        center: (x, y, z) of the middle of its surface's bounding box in the optical frame, metres.
        extent: (x, y, z) size of that box, metres.
    """

    number: int
    label: str
    visible: int
    fraction: float
    box: tuple[int, int, int, int] | None
    center: tuple[float, float, float]
    extent: tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class SceneFrame:
    """One frame and its truth.

    Attributes:
        color: uint8 [H, W, 3], RGB.
        depth_mm: uint16 [H, W], 0 unknown.
        instances: uint16 [H, W], 1 + index of the body that is seen in each pixel, 0 for the wall and pillars.
        bodies: what is true of each named body that exists on the frame, by number.
    """

    color: NDArray[np.uint8]
    depth_mm: NDArray[np.uint16]
    instances: NDArray[np.uint16]
    bodies: dict[int, BodyTruth]

    @property
    def depth_m(self) -> NDArray[np.float32]:
        """float32 [H, W] in metres, NaN where unknown."""
        metres = self.depth_mm.astype(np.float32)
        metres *= 0.001
        metres[self.depth_mm == 0] = np.nan
        return metres


@dataclass(frozen=True, eq=False)
class Look:
    """How a scene is lit and photographed.

    Attributes:
        noise: standard deviation of the colour noise, of 255.
        coarse_noise: True for noise of two pixels' grain.
        gain: brightness of each frame [T], walked to its end and back; None for 1.
        blur: standard deviation of a Gaussian blur in pixels at a height of 192; 0 for none.
        wall: brightness of the wall, of 255; None for one drawn from the seed.
        clutter: number of grey lines and blobs on the wall.
        stripes: depth of the wall's stripes, of 255.
        camera_path: float64 [T, 3] on each frame, to and fro: shift in parts of the image's width and height, roll in radians.
    """

    noise: float = 6.0
    coarse_noise: bool = False
    gain: NDArray[np.float64] | None = None
    blur: float = 0.0
    wall: float | None = None
    clutter: int = 6
    stripes: float = 0.0
    camera_path: NDArray[np.float64] | None = None


@lru_cache(maxsize=16)
def _noise_pool(height: int, width: int) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]]:
    """Standard normal noise for colour [h, w, 3] and depth [h, w], and holes [h, w]; larger than the picture by a margin."""
    rng = np.random.default_rng([height, width])
    size = (height + _NOISE_MARGIN, width + _NOISE_MARGIN)
    color = rng.standard_normal((*size, 3), dtype=np.float32)
    return color, rng.standard_normal(size, dtype=np.float32), rng.random(size) < 0.004


@dataclass
class Scene:
    """Bodies before a wall, nearer ones in front.

    Attributes:
        bodies: what moves.
        width, height: of the image in pixels.
        seed: of texture and noise.
        look: light and camera.
        length: frames until the paths end; None for a scene without an end.
        cuts: frames from which on another wall is seen.
    """

    bodies: Sequence[Body]
    width: int = 640
    height: int = 480
    seed: int = 0
    look: Look = field(default_factory=Look)
    length: int | None = None
    cuts: tuple[int, ...] = ()
    camera: CameraModel = field(init=False)

    def __post_init__(self) -> None:
        focal = 0.95 * self.width
        center = ((self.width - 1) / 2, (self.height - 1) / 2)
        self.camera = CameraModel(focal, focal, *center, self.width, self.height, "camera_color_optical_frame")
        rng = np.random.default_rng(self.seed)
        self._walls = [self._make_wall(rng) for _ in range(1 + len(self.cuts))]
        tilt = np.linspace(-0.15, 0.15, self.width, dtype=np.float32)
        self._wall_depth = np.broadcast_to(WALL_M + tilt, (self.height, self.width))
        self._tint = [self._paint_of(body, rng) for body in self.bodies]

    @staticmethod
    def _paint_of(body: Body, rng: np.random.Generator) -> NDArray[np.float32]:
        drawn = np.full(3, rng.uniform(0.85, 1.1))
        base = np.array(COLORS[body.color] if body.shape != PILLAR else (128, 128, 128), float)
        paint: NDArray[np.float32] = np.clip(base * (drawn if body.tint is None else np.array(body.tint)), 0, 255).astype(np.float32)
        return paint

    def _make_wall(self, rng: np.random.Generator) -> NDArray[np.float32]:
        size = (self.width, self.height)
        bright = rng.uniform(90, 150) if self.look.wall is None else self.look.wall
        wall = np.full((self.height, self.width, 3), bright + rng.uniform(-14, 14, 3), np.float32)
        grid = int(rng.integers(3, 14))
        coarse = cv2.resize(rng.normal(0, 1, (grid, grid, 3)).astype(np.float32), size, interpolation=cv2.INTER_CUBIC)
        wall += coarse.mean(axis=2, keepdims=True) * rng.uniform(6, 30) + coarse * rng.uniform(0, 7)
        slope = rng.uniform(-25, 25, 2)
        wall += np.linspace(-1, 1, self.width, dtype=np.float32)[None, :, None] * np.float32(slope[0])
        wall += np.linspace(-1, 1, self.height, dtype=np.float32)[:, None, None] * np.float32(slope[1])
        for _ in range(self.look.clutter):
            ends = rng.integers(0, size, (2, 2))
            grey = float(rng.uniform(30, 215))
            paint = tuple(float(np.clip(grey + rng.uniform(-10, 10), 0, 255)) for _ in range(3))
            if rng.random() < 0.6:
                cv2.line(wall, ends[0].tolist(), ends[1].tolist(), paint, max(1, int(self.height * rng.uniform(0.004, 0.02))), cv2.LINE_AA)
            else:
                axes = (self.height * rng.uniform(0.02, 0.12, 2)).astype(int) + 1
                cv2.ellipse(wall, ends[0].tolist(), axes.tolist(), float(rng.uniform(0, 180)), 0, 360, paint, -1, cv2.LINE_AA)
        if self.look.stripes:
            pitch = max(2, int(self.height * rng.uniform(0.03, 0.12)))
            rows, columns = np.arange(self.height)[:, None] // pitch, np.arange(self.width)[None] // pitch
            wall += (((columns + (rows if rng.random() < 0.5 else 0)) % 2) * np.float32(self.look.stripes))[..., None]
        clipped: NDArray[np.float32] = np.clip(wall, 0, 255).astype(np.float32, copy=False)
        return clipped

    def _camera_motion(self, index: int) -> NDArray[np.float64] | None:
        """Affine [2, 3] from a still picture's pixels to this frame's; None when the camera is still."""
        path = self.look.camera_path
        if path is None:
            return None
        dx, dy, roll = path[_to_and_fro(index, len(path))]
        motion = cv2.getRotationMatrix2D((self.camera.cx, self.camera.cy), float(np.degrees(roll)), 1.0)
        motion[:, 2] += dx * self.width, dy * self.height
        return np.asarray(motion, np.float64)

    def render(self, index: int) -> SceneFrame:
        """Frame number `index` with its truth."""
        motion = self._camera_motion(index)
        size = (self.width, self.height)
        wall = self._walls[sum(index >= cut for cut in self.cuts)]
        color = wall.copy() if motion is None else cv2.warpAffine(wall, motion, size, borderMode=cv2.BORDER_REFLECT).astype(np.float32)
        depth = self._wall_depth.copy()
        instances = np.zeros((self.height, self.width), np.uint16)
        edges = np.zeros((self.height, self.width), np.uint8)
        alive = [n for n, b in enumerate(self.bodies) if index >= b.first and (b.last is None or index < b.last)]
        places = {number: self.bodies[number].place(index) for number in alive}
        corners = {number: self._corners(self.bodies[number], places[number], index, motion) for number in alive}
        for number in sorted(alive, key=lambda number: -places[number][2]):
            self._paint(number, places[number][2], corners[number], color, depth, instances, edges)
        rng = np.random.default_rng([self.seed, index])
        window = self._window_of(rng)
        noise, depth_noise, holes = _noise_pool(self.height, self.width)
        truth = {n + 1: self._truth(n, places[n][2], corners[n], instances) for n in alive if self.bodies[n].label}
        depth += depth_noise[window] * (0.0015 * depth * depth)  # stereo noise grows with the square of the distance
        millimetres = (depth * 1000).astype(np.uint16)
        millimetres[holes[window] | (edges > 0)] = 0
        return SceneFrame(self._photograph(color, noise[window], index), millimetres, instances, truth)

    def _window_of(self, rng: np.random.Generator) -> tuple[slice, slice]:
        y, x = rng.integers(0, _NOISE_MARGIN, 2)
        return np.s_[y : y + self.height, x : x + self.width]

    def _photograph(self, color: NDArray[np.float32], noise: NDArray[np.float32], index: int) -> NDArray[np.uint8]:
        look = self.look
        if look.blur:
            color = cv2.GaussianBlur(color, (0, 0), look.blur * self.height / 192).astype(np.float32, copy=False)
        if look.gain is not None:
            color *= np.float32(look.gain[_to_and_fro(index, len(look.gain))])
        if look.coarse_noise:
            noise = cv2.resize(noise[: self.height // 2, : self.width // 2], (self.width, self.height)).astype(np.float32, copy=False)
        return np.clip(color + noise * np.float32(look.noise), 0, 255).astype(np.uint8)

    def _corners(
        self, body: Body, place: tuple[float, float, float], index: int, motion: NDArray[np.float64] | None
    ) -> NDArray[np.float64]:
        """Pixels [K, 2] of a body's outline."""
        x, y, depth = place
        radius = body.radius_m * self.camera.fx / depth
        angle = body.turn + body.spin * index
        sin, cos = np.sin(angle), np.cos(angle)
        squeeze = np.sqrt(body.stretch)
        unit = outline(body.shape) * (radius * squeeze, radius / squeeze)
        corners: NDArray[np.float64] = unit @ np.array([[cos, sin], [-sin, cos]]) + (x * self.width, y * self.height)
        return corners if motion is None else corners @ motion[:, :2].T + motion[:, 2]

    def _paint(
        self,
        number: int,
        distance: float,
        corners: NDArray[np.float64],
        color: NDArray[np.float32],
        depth: NDArray[np.float32],
        instances: NDArray[np.uint16],
        edges: NDArray[np.uint8],
    ) -> None:
        body = self.bodies[number]
        low = np.maximum(np.floor(corners.min(axis=0)).astype(int) - 2, 0)
        high = np.minimum(np.ceil(corners.max(axis=0)).astype(int) + 3, (self.width, self.height))
        if (high <= low).any():
            return
        window = np.s_[low[1] : high[1], low[0] : high[0]]
        polygon = np.round((corners - low) * (1 << _SUBPIXEL)).astype(np.int32)
        cover = np.zeros((high[1] - low[1], high[0] - low[0]), np.uint8)
        cv2.fillPoly(cover, [polygon], 255, cv2.LINE_AA, _SUBPIXEL)
        alpha = cover[..., None].astype(np.float32) / 255
        grain = _noise_pool(self.height, self.width)[1][window]
        middle = (corners.max(axis=0) + corners.min(axis=0)) / 2 - low
        radius = max(body.radius_m * self.camera.fx / distance, 1e-3)
        across = (np.arange(cover.shape[1], dtype=np.float32) - np.float32(middle[0])) / np.float32(radius)
        paint = self._tint[number] + (grain * np.float32(body.texture) + across[None] * np.float32(body.shade))[..., None]
        color[window] += (np.clip(paint, 0, 255) - color[window]) * alpha
        inside = cover > 127
        surface: float | NDArray[np.float32] = distance
        if body.relief_m:
            down = (np.arange(cover.shape[0], dtype=np.float32) - np.float32(middle[1])) / np.float32(radius)
            bulge = np.maximum(1 - across[None] ** 2 - down[:, None] ** 2, 0) * np.float32(body.relief_m)
            surface = (np.float32(distance) - bulge)[inside]
        depth[window][inside] = surface
        instances[window][inside] = number + 1 if body.label else 0
        cv2.polylines(edges[window], [polygon], True, 1, 1, cv2.LINE_8, _SUBPIXEL)

    def _truth(self, number: int, distance: float, corners: NDArray[np.float64], instances: NDArray[np.uint16]) -> BodyTruth:
        body, camera = self.bodies[number], self.camera
        low, high = corners.min(axis=0), corners.max(axis=0)
        near, far = np.maximum(low.astype(int) - 1, 0), np.maximum(high.astype(int) + 2, 0)
        seen = instances[near[1] : far[1], near[0] : far[0]] == number + 1
        rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
        visible = int(np.count_nonzero(seen))
        box = None
        if visible:
            x, y = int(near[0]), int(near[1])
            box = (x + int(columns[0]), y + int(rows[0]), x + int(columns[-1]) + 1, y + int(rows[-1]) + 1)
        rim = corners.astype(np.float32)
        area = float(cv2.contourArea(rim)) + _RIM * float(cv2.arcLength(rim, True))
        middle, size = (low + high) / 2 - (camera.cx, camera.cy), high - low + 2 * _RIM
        return BodyTruth(
            number + 1,
            body.label,
            visible,
            min(visible / max(area, 1.0), 1.0),
            box,
            (float(middle[0] * distance / camera.fx), float(middle[1] * distance / camera.fy), distance - body.relief_m / 2),
            (float(size[0] * distance / camera.fx), float(size[1] * distance / camera.fy), body.relief_m),
        )


def demo_scene(width: int = 640, height: int = 480, seed: int = 4) -> Scene:
    """Four shapes of different colours; two are named in the demo, one is boxed, one is nobody's business."""
    bodies = (
        Body("red", "circle", (0.25, 0.30), (0.12, 0.10), (97, 71), (0.0, 1.0), 0.20, 2.2),
        Body("blue", "star", (0.68, 0.33), (0.14, 0.09), (83, 101), (2.0, 0.3), 0.22, 2.0, 0.02),
        Body("yellow", "square", (0.30, 0.74), (0.13, 0.08), (107, 79), (1.2, 2.4), 0.20, 2.4, -0.015),
        Body("purple", "cross", (0.75, 0.76), (0.12, 0.08), (89, 93), (0.6, 0.0), 0.20, 2.6, 0.01),
    )
    return Scene(bodies, width, height, seed)
