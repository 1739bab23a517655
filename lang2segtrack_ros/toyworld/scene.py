# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Colored shapes that move in front of a textured wall, as an RGB-D camera sees them, with ground truth for every pixel.

Each frame depends on the seed and the frame index alone, so frames may be rendered in any order. Coordinates are those of the
optical frame: x right, y down, z forward, in meters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial

import cv2
import numpy as np
from numpy.typing import NDArray

from lang2segtrack_ros.toyworld.body import Body, BodyTruth, back_and_forth
from lang2segtrack_ros.toyworld.canvas import Canvas
from lang2segtrack_ros.toyworld.shapes import COLORS, OCCLUDERS, outline
from lang2segtrack_ros.toyworld.things.atlas import load_sprite
from lang2segtrack_ros.toyworld.things.names import THINGS
from lang2segtrack_ros.toyworld.things.painting import Appearance, apply, paint_thing, plane_transform
from lang2segtrack_ros.toyworld.things.surfaces import make_background
from lang2segtrack_ros.toyworld.walls import SceneStyle, make_wall
from lang2segtrack_ros.types.frame import CameraModel

WALL_M = 4.0
_SUBPIXEL = 4  # fractional bits of cv2's polygon coordinates
_FILL_MARGIN = 0.55  # pixels by which cv2's filled polygons exceed their corners on each side, since cv2 also fills the outline
NOISE_MARGIN = 64  # pixels by which the noise images exceed the picture; each frame uses another part of them


@dataclass(frozen=True, eq=False)
class SceneFrame:
    """Rendered frame with its ground truth.

    Attributes:
        color: uint8 [H, W, 3], RGB.
        depth_mm: uint16 [H, W] in millimeters, 0 for unknown.
        instances: uint16 [H, W], 1 + index of the body visible at each pixel, 0 for the wall and pillars.
        bodies: ground truth of each labeled body that exists on the frame, by number.
    """

    color: NDArray[np.uint8]
    depth_mm: NDArray[np.uint16]
    instances: NDArray[np.uint16]
    bodies: dict[int, BodyTruth]

    @property
    def depth_m(self) -> NDArray[np.float32]:
        """Return the depth image as float32 [H, W] in meters, NaN where unknown."""
        meters = self.depth_mm.astype(np.float32)
        meters *= 0.001
        meters[self.depth_mm == 0] = np.nan
        return meters


@lru_cache(maxsize=16)
def noise_pool(height: int, width: int) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]]:
    """Return noise that is larger than the picture by a margin.

    Returns:
        Standard normal noise for color [h, w, 3] and for depth [h, w], and a mask [h, w] of holes.
    """
    rng = np.random.default_rng([height, width])
    size = (height + NOISE_MARGIN, width + NOISE_MARGIN)
    color = rng.standard_normal((*size, 3), dtype=np.float32)
    return color, rng.standard_normal(size, dtype=np.float32), rng.random(size) < 0.004


@dataclass
class Scene:
    """Bodies in front of a wall; nearer bodies occlude farther ones.

    Attributes:
        bodies: bodies of the scene.
        width, height: image size in pixels.
        seed: seed of texture and noise.
        style: lighting, wall and camera effects.
        length: number of frames until the paths end; None for a scene without an end.
        cuts: frame indices from which on another wall is visible.
        camera: pinhole camera of the scene.
    """

    bodies: Sequence[Body]
    width: int = 640
    height: int = 480
    seed: int = 0
    style: SceneStyle = field(default_factory=SceneStyle)
    length: int | None = None
    cuts: tuple[int, ...] = ()
    camera: CameraModel = field(init=False)

    def __post_init__(self) -> None:
        focal = 0.95 * self.width
        center = ((self.width - 1) / 2, (self.height - 1) / 2)
        self.camera = CameraModel(focal, focal, *center, self.width, self.height, "camera_color_optical_frame")
        rng = np.random.default_rng(self.seed)
        make = make_background if self.style.surface else partial(make_wall, style=self.style)
        self._walls = [make(rng, self.width, self.height) for _ in range(1 + len(self.cuts))]
        tilt = np.linspace(-0.15, 0.15, self.width, dtype=np.float32)
        self._wall_depth = np.broadcast_to(WALL_M + tilt, (self.height, self.width))
        self._body_colors = [self._draw_body_color(body, rng) for body in self.bodies]

    @property
    def labels(self) -> list[str]:
        """Labels of the bodies, each once."""
        return list(dict.fromkeys(body.label for body in self.bodies if body.label))

    @staticmethod
    def _draw_body_color(body: Body, rng: np.random.Generator) -> NDArray[np.float32]:
        drawn = np.full(3, rng.uniform(0.85, 1.1))
        base = np.array(OCCLUDERS.get(body.shape) or COLORS.get(body.color, (255, 255, 255)), float)
        paint: NDArray[np.float32] = np.clip(base * (drawn if body.color_gain is None else np.array(body.color_gain)), 0, 255).astype(
            np.float32
        )
        return paint

    def _camera_motion(self, index: int) -> NDArray[np.float64] | None:
        """Return the affine transform [2, 3] from pixels of a still picture to those of this frame; None for a still camera."""
        path = self.style.camera_path
        if path is None:
            return None
        dx, dy, roll = path[back_and_forth(index, len(path))]
        motion = cv2.getRotationMatrix2D((self.camera.cx, self.camera.cy), float(np.degrees(roll)), 1.0)
        motion[:, 2] += dx * self.width, dy * self.height
        return np.asarray(motion, np.float64)

    def render(self, index: int) -> SceneFrame:
        """Render the frame with this index and its ground truth."""
        motion = self._camera_motion(index)
        size = (self.width, self.height)
        wall = self._walls[sum(index >= cut for cut in self.cuts)]
        color = wall.copy() if motion is None else cv2.warpAffine(wall, motion, size, borderMode=cv2.BORDER_REFLECT).astype(np.float32)
        shape = (self.height, self.width)
        canvas = Canvas(color, self._wall_depth.copy(), np.zeros(shape, np.uint16), np.zeros(shape, np.uint8))
        existing = [n for n, b in enumerate(self.bodies) if index >= b.first and (b.last is None or index < b.last)]
        positions = {number: self.bodies[number].position(index) for number in existing}
        corners = {number: self._corners(self.bodies[number], positions[number], index, motion) for number in existing}
        for number in sorted(existing, key=lambda number: -positions[number][2]):
            if self.bodies[number].shape in THINGS:
                self._paint_thing(number, index, motion, corners[number], canvas)
            else:
                self._paint_shape(number, positions[number][2], corners[number], canvas)
        rng = np.random.default_rng([self.seed, index])
        window = self._window_of(rng)
        noise, depth_noise, holes = noise_pool(self.height, self.width)
        truth = {n + 1: self._truth(n, positions[n][2], corners[n], canvas.instances) for n in existing if self.bodies[n].label}
        depth = canvas.depth
        depth += depth_noise[window] * (0.0015 * depth * depth)  # stereo noise grows with the square of the distance
        depth_mm = (depth * 1000).astype(np.uint16)
        depth_mm[holes[window] | (canvas.edges > 0)] = 0
        return SceneFrame(self._photograph(color, noise[window], index), depth_mm, canvas.instances, truth)

    def _window_of(self, rng: np.random.Generator) -> tuple[slice, slice]:
        y, x = rng.integers(0, NOISE_MARGIN, 2)
        return np.s_[y : y + self.height, x : x + self.width]

    def _photograph(self, color: NDArray[np.float32], noise: NDArray[np.float32], index: int) -> NDArray[np.uint8]:
        style = self.style
        if style.blur:
            color = cv2.GaussianBlur(color, (0, 0), style.blur * self.height / 192).astype(np.float32, copy=False)
        if style.gain is not None:
            color *= np.float32(style.gain[back_and_forth(index, len(style.gain))])
        if style.coarse_noise:
            noise = cv2.resize(noise[: self.height // 2, : self.width // 2], (self.width, self.height)).astype(np.float32, copy=False)
        return np.clip(color + noise * np.float32(style.noise), 0, 255).astype(np.uint8)

    def _corners(
        self, body: Body, position: tuple[float, float, float], index: int, motion: NDArray[np.float64] | None
    ) -> NDArray[np.float64]:
        """Return the outline of a body in pixels, [K, 2]."""
        if body.shape in THINGS:
            return apply(self._transform(body, index, motion), load_sprite(body.shape).outline)
        x, y, depth = position
        radius = body.radius_m * self.camera.fx / depth
        angle = body.rotation + body.spin * index
        sin, cos = np.sin(angle), np.cos(angle)
        width_factor = np.sqrt(body.aspect_ratio)
        unit = outline(body.shape) * (radius * width_factor, radius / width_factor)
        corners: NDArray[np.float64] = unit @ np.array([[cos, sin], [-sin, cos]]) + (x * self.width, y * self.height)
        return corners if motion is None else corners @ motion[:, :2].T + motion[:, 2]

    def _transform(self, body: Body, index: int, motion: NDArray[np.float64] | None) -> NDArray[np.float64]:
        """Return the transform [3, 3] from unit coordinates on a thing to pixels."""
        x, y, distance = body.position(index)
        stretch = np.sqrt(body.aspect_ratio)
        size = (body.radius_m * stretch, body.radius_m / stretch)
        place = (x * self.width, y * self.height, distance)
        transform = plane_transform(size, body.rotation + body.spin * index, body.tilt, place, self.camera.fx)
        return transform if motion is None else np.vstack([motion, (0, 0, 1)]) @ transform

    def _paint_thing(
        self, number: int, index: int, motion: NDArray[np.float64] | None, corners: NDArray[np.float64], canvas: Canvas
    ) -> None:
        body, style = self.bodies[number], self.style
        x, y, distance = body.position(index)
        next_x, next_y, _ = body.position(index + 1)
        look = Appearance(
            gain=self._body_colors[number] / np.float32(255),
            shade=body.shade,
            shadow=style.shadow,
            light=style.light,
            blur=((next_x - x) * self.width * style.exposure, (next_y - y) * self.height * style.exposure),
            distance=distance,
            relief_m=body.relief_m,
            radius=body.radius_m * self.camera.fx / distance,
            value=number + 1,
        )
        paint_thing(canvas, load_sprite(body.shape), self._transform(body, index, motion), corners, look)

    def _paint_shape(self, number: int, distance: float, corners: NDArray[np.float64], canvas: Canvas) -> None:
        body = self.bodies[number]
        window = canvas.window(corners)
        if window is None:
            return
        low = np.array([window[1].start, window[0].start])
        high = np.array([window[1].stop, window[0].stop])
        polygon = np.round((corners - low) * (1 << _SUBPIXEL)).astype(np.int32)
        coverage = np.zeros((high[1] - low[1], high[0] - low[0]), np.uint8)
        cv2.fillPoly(coverage, [polygon], 255, cv2.LINE_AA, _SUBPIXEL)
        alpha = coverage[..., None].astype(np.float32) / 255
        grain = noise_pool(self.height, self.width)[1][window]
        middle = (corners.max(axis=0) + corners.min(axis=0)) / 2 - low
        radius = max(body.radius_m * self.camera.fx / distance, 1e-3)
        offset_x = (np.arange(coverage.shape[1], dtype=np.float32) - np.float32(middle[0])) / np.float32(radius)
        paint = self._body_colors[number] + (grain * np.float32(body.texture) + offset_x[None] * np.float32(body.shade))[..., None]
        canvas.color[window] += (np.clip(paint, 0, 255) - canvas.color[window]) * alpha
        inside = coverage > 127
        surface: float | NDArray[np.float32] = distance
        if body.relief_m:
            offset_y = (np.arange(coverage.shape[0], dtype=np.float32) - np.float32(middle[1])) / np.float32(radius)
            bulge = np.maximum(1 - offset_x[None] ** 2 - offset_y[:, None] ** 2, 0) * np.float32(body.relief_m)
            surface = (np.float32(distance) - bulge)[inside]
        canvas.depth[window][inside] = surface
        canvas.instances[window][inside] = number + 1 if body.label else 0
        cv2.polylines(canvas.edges[window], [polygon], True, 1, 1, cv2.LINE_8, _SUBPIXEL)

    def _truth(self, number: int, distance: float, corners: NDArray[np.float64], instances: NDArray[np.uint16]) -> BodyTruth:
        body, camera = self.bodies[number], self.camera
        low, high = corners.min(axis=0), corners.max(axis=0)
        window_low, window_high = np.maximum(low.astype(int) - 1, 0), np.maximum(high.astype(int) + 2, 0)
        visible_pixels = instances[window_low[1] : window_high[1], window_low[0] : window_high[0]] == number + 1
        rows, columns = np.flatnonzero(visible_pixels.any(axis=1)), np.flatnonzero(visible_pixels.any(axis=0))
        visible = int(np.count_nonzero(visible_pixels))
        box = None
        if visible:
            x, y = int(window_low[0]), int(window_low[1])
            box = (x + int(columns[0]), y + int(rows[0]), x + int(columns[-1]) + 1, y + int(rows[-1]) + 1)
        area = self._area(body, corners)
        middle, size = (low + high) / 2 - (camera.cx, camera.cy), high - low + 2 * _FILL_MARGIN
        return BodyTruth(
            number + 1,
            body.label,
            visible,
            min(visible / max(area, 1.0), 1.0),
            box,
            (float(middle[0] * distance / camera.fx), float(middle[1] * distance / camera.fy), distance - body.relief_m / 2),
            (float(size[0] * distance / camera.fx), float(size[1] * distance / camera.fy), body.relief_m),
        )

    @staticmethod
    def _area(body: Body, corners: NDArray[np.float64]) -> float:
        """Return the area of the whole silhouette in pixels."""
        if body.shape in THINGS:
            sprite = load_sprite(body.shape)
            hulls = [cv2.convexHull(points.astype(np.float32)) for points in (corners, sprite.outline)]
            return sprite.area * float(cv2.contourArea(hulls[0])) / float(cv2.contourArea(hulls[1]))
        points = corners.astype(np.float32)
        return float(cv2.contourArea(points)) + _FILL_MARGIN * float(cv2.arcLength(points, True))


def demo_scene(width: int = 640, height: int = 480, seed: int = 4) -> Scene:
    """Return a scene with four shapes of different colors. The demo prompts two by text and one by box; one is never prompted."""
    bodies = (
        Body("red", "circle", (0.25, 0.30), (0.12, 0.10), (97, 71), (0.0, 1.0), 0.20, 2.2),
        Body("blue", "star", (0.68, 0.33), (0.14, 0.09), (83, 101), (2.0, 0.3), 0.22, 2.0, 0.02),
        Body("yellow", "square", (0.30, 0.74), (0.13, 0.08), (107, 79), (1.2, 2.4), 0.20, 2.4, -0.015),
        Body("purple", "cross", (0.75, 0.76), (0.12, 0.08), (89, 93), (0.6, 0.0), 0.20, 2.6, 0.01),
    )
    return Scene(bodies, width, height, seed)


def tabletop_scene(width: int = 640, height: int = 480, seed: int = 4) -> Scene:
    """Return a table with everyday things. The red apple passes behind the cardboard box and comes back."""
    bodies = (
        Body("", "hammer", (0.24, 0.26), (0.10, 0.07), (97, 71), (0.0, 1.0), 0.24, 2.2, rotation=0.2, tilt=(0.1, 0.2)),
        Body("", "teapot", (0.74, 0.28), (0.10, 0.07), (83, 101), (2.0, 0.3), 0.22, 2.1, tilt=(-0.15, 0.1)),
        Body("", "red apple", (0.50, 0.72), (0.32, 0.03), (140, 90), (-1.6, 0.0), 0.13, 2.4),
        Body("", "cardboard box", (0.52, 0.72), radius_m=0.24, depth_m=1.9, tilt=(0.1, 0.1)),
    )
    style = SceneStyle(noise=4.0, surface=True, shadow=0.4, light=(0.12, 0.16), exposure=0.4)
    return Scene(bodies, width, height, seed, style)
