# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures of a room: color, depth, exact masks and the pose of the camera. Each frame depends on seed and time alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from lang2segtrack_ros.geometry.alignment import RigidTransform
from lang2segtrack_ros.geometry.rays import rays
from lang2segtrack_ros.toyworld.body import BodyTruth
from lang2segtrack_ros.toyworld.room import Block, Item, Room
from lang2segtrack_ros.toyworld.scene import NOISE_MARGIN, SceneFrame, noise_pool
from lang2segtrack_ros.toyworld.shapes import COLORS
from lang2segtrack_ros.types.frame import CameraModel

NEAR_M = 0.05
COLOR_NOISE = 4.0
DEPTH_NOISE = 0.0015  # stereo noise in meters at one meter; it grows with the square of the distance
MAX_DEPTH_M = 8.0
_SUBPIXEL = 4
Image = NDArray[np.float32]
_FLOOR, _CEILING, _WALLS = 105.0, 170.0, (135.0, 128.0, 142.0, 122.0)


@dataclass(frozen=True, eq=False)
class RoomFrame(SceneFrame):
    """A picture of a room.

    Attributes:
        pose: transform from the optical frame to the fixed frame.
        seconds: time of the picture.
    """

    pose: RigidTransform = field(default_factory=RigidTransform.identity)
    seconds: float = 0.0


class RoomScene:
    """Renderer of a room, with the interface of `scene.Scene`.

    Args:
        room: the room.
        width: image width in pixels.
        height: image height in pixels.
        seed: seed of the noise.
        fps: frames per second, for `render`.

    Attributes:
        room: the room.
        bodies: its items. The value of an item in the mask image is 1 + its index.
        length: number of frames of one walk along the path.
        camera: pinhole camera.
    """

    def __init__(self, room: Room, width: int = 640, height: int = 480, seed: int = 0, fps: float = 15.0) -> None:
        self.room = room
        self.bodies = room.items
        self.fps = fps
        self.length: int | None = max(1, round(room.duration * fps))
        focal = 0.95 * width
        self.camera = CameraModel(focal, focal, (width - 1) / 2, (height - 1) / 2, width, height, "camera_color_optical_frame")
        self._seed = seed
        table = rays(self.camera)
        self._rays = np.concatenate([table, np.ones((height, width, 1), np.float32)], axis=2)

    @property
    def labels(self) -> list[str]:
        """Labels of the items, each once."""
        return list(dict.fromkeys(item.label for item in self.bodies))

    def render(self, index: int) -> RoomFrame:
        """Render the frame with an index, at the time index / fps."""
        seconds = index / self.fps
        return self.render_from(self.room.camera_pose(seconds), seconds)

    def render_from(self, pose: RigidTransform, seconds: float) -> RoomFrame:
        """Render the room at a time, from any pose.

        Args:
            pose: transform from the optical frame to the fixed frame.
            seconds: time.
        """
        height, width = self.camera.height, self.camera.width
        depth, gray = self._background(pose, seconds)
        color = np.repeat(gray[..., None], 3, axis=2)
        instances = np.zeros((height, width), np.uint16)
        edges = np.zeros((height, width), bool)
        truth = {}
        for number, item in enumerate(self.bodies, start=1):
            center = item.place_at(seconds)
            if center is not None:
                truth[number] = self._paint(number, item, np.array(center), pose, (color, depth, instances, edges))
        return self._photograph(color, depth, instances, edges, self._with_pixels(truth, instances), pose, seconds)

    def _background(self, pose: RigidTransform, seconds: float) -> tuple[Image, Image]:
        """Return the distance along the optical axis and the brightness of each pixel, without items."""
        directions = np.moveaxis(self._rays @ pose.rotation.T.astype(np.float32), 2, 0)
        origin = pose.translation.astype(np.float32)
        with np.errstate(divide="ignore", invalid="ignore"):
            inverse = (1.0 / np.ascontiguousarray(directions)).astype(np.float32, copy=False)
            is_up = inverse > 0
            sides: list[NDArray[Any]] = [
                np.where(is_up[axis], self.room.size[axis] - origin[axis], -origin[axis]) * inverse[axis] for axis in range(3)
            ]
            depth = np.minimum(np.minimum(sides[0], sides[1]), sides[2]).astype(np.float32)
            gray = np.where(is_up[2], np.float32(_CEILING), np.float32(_FLOOR))
            gray = np.where(depth == sides[1], np.where(is_up[1], *_WALLS[2:]), gray)
            gray = np.where(depth == sides[0], np.where(is_up[0], *_WALLS[:2]), gray).astype(np.float32)
            for block in self.room.blocks:
                window = self._window_of(block, pose)
                if block.is_there(seconds) and window is not None:
                    _add_block(block, origin, inverse[:, window[0], window[1]], depth[window], gray[window])
        return depth, gray

    def _window_of(self, block: Block, pose: RigidTransform) -> tuple[slice, slice] | None:
        """Return the rows and columns that may show a block. None if no pixel does."""
        corners = np.array([[block.low, block.high][n >> axis & 1][axis] for n in range(8) for axis in range(3)]).reshape(8, 3)
        local = (corners - pose.translation) @ pose.rotation
        if (local[:, 2] < NEAR_M).all():
            return None
        if (local[:, 2] < NEAR_M).any():
            return np.s_[:, :]
        low, high = self._limits(self._project(local), 1)
        return np.s_[low[1] : high[1], low[0] : high[0]] if (low < high).all() else None

    def _project(self, local: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the pixels [K, 2] of points [K, 3] in the optical frame."""
        camera = self.camera
        return np.column_stack([local[:, 0] / local[:, 2] * camera.fx + camera.cx, local[:, 1] / local[:, 2] * camera.fy + camera.cy])

    def _limits(self, pixels: NDArray[np.float64], margin: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the first and the exclusive last (column, row) in the image around some pixels."""
        size = (self.camera.width, self.camera.height)
        low = np.clip(np.floor(pixels.min(axis=0)) - margin, 0, size).astype(np.int64)
        return low, np.clip(np.ceil(pixels.max(axis=0)) + margin + 1, 0, size).astype(np.int64)

    def _paint(
        self,
        number: int,
        item: Item,
        center: NDArray[np.float64],
        pose: RigidTransform,
        images: tuple[Image, Image, NDArray[np.uint16], NDArray[np.bool_]],
    ) -> BodyTruth:
        color, depth, instances, edges = images
        towards = center - pose.translation
        right = np.array([towards[1], -towards[0], 0.0])
        right /= max(float(np.linalg.norm(right)), 1e-9)
        corners = item.corners()
        points = center + corners[:, :1] * right + corners[:, 1:] * np.array([0.0, 0.0, -1.0])
        local = (points - pose.translation) @ pose.rotation
        x, y, z = pose.rotation.T @ towards
        extent = np.ptp(corners, axis=0)
        truth = BodyTruth(number, item.label, 0, 0.0, None, (float(x), float(y), float(z)), (float(extent[0]), float(extent[1]), 0.0))
        if (local[:, 2] < NEAR_M).any():
            return truth
        pixels = self._project(local)
        low, high = self._limits(pixels, 2)
        if (high <= low).any():
            return truth
        window = np.s_[low[1] : high[1], low[0] : high[0]]
        polygon = np.round((pixels - low) * (1 << _SUBPIXEL)).astype(np.int32)
        coverage = np.zeros((high[1] - low[1], high[0] - low[0]), np.uint8)
        cv2.fillPoly(coverage, [polygon], 255, cv2.LINE_AA, _SUBPIXEL)
        normal = pose.rotation.T @ np.cross(right, [0.0, 0.0, 1.0])
        surface = (normal @ np.array([x, y, z])) / (self._rays[window] @ normal)
        in_front = surface < depth[window]
        alpha = (coverage * in_front)[..., None] / 255.0
        color[window] += ((np.array(COLORS[item.color]) - color[window]) * alpha).astype(np.float32)
        inside = (coverage > 127) & in_front
        depth[window][inside] = surface[inside]
        instances[window][inside] = number
        outline = np.zeros_like(coverage)
        cv2.polylines(outline, [polygon], True, 1, 1, cv2.LINE_8, _SUBPIXEL)
        edges[window] |= (outline > 0) & in_front
        area = float(cv2.contourArea(pixels.astype(np.float32)))
        return BodyTruth(number, item.label, 0, area, None, truth.center, truth.extent)

    @staticmethod
    def _with_pixels(truth: dict[int, BodyTruth], instances: NDArray[np.uint16]) -> dict[int, BodyTruth]:
        """Return the truth with the visible pixels, which are known after all items are painted."""
        complete = {}
        for number, item in truth.items():
            mask = (instances == number).astype(np.uint8)
            x, y, width, height = cv2.boundingRect(mask)
            visible = int(np.count_nonzero(mask))
            fraction = min(visible / max(item.fraction, 1.0), 1.0)
            box = (x, y, x + width, y + height) if visible else None
            complete[number] = BodyTruth(number, item.label, visible, fraction, box, item.center, item.extent)
        return complete

    def _photograph(
        self,
        color: Image,
        depth: Image,
        instances: NDArray[np.uint16],
        edges: NDArray[np.bool_],
        truth: dict[int, BodyTruth],
        pose: RigidTransform,
        seconds: float,
    ) -> RoomFrame:
        rng = np.random.default_rng([self._seed, round(seconds * 1000)])
        noise, depth_noise, holes = noise_pool(*depth.shape)
        row, column = rng.integers(0, NOISE_MARGIN, 2)
        window = np.s_[row : row + depth.shape[0], column : column + depth.shape[1]]
        color += noise[window] * np.float32(COLOR_NOISE)
        depth += depth_noise[window] * (np.float32(DEPTH_NOISE) * depth * depth)
        millimeters = np.where(depth < MAX_DEPTH_M, depth * 1000, 0).astype(np.uint16)
        millimeters[edges | holes[window]] = 0
        return RoomFrame(np.clip(color, 0, 255).astype(np.uint8), millimeters, instances, truth, pose, seconds)


def _add_block(block: Block, origin: NDArray[np.float32], inverse: NDArray[np.float32], depth: Image, gray: Image) -> None:
    """Intersect the rays of a window with a box by its slabs (Kay and Kajiya, SIGGRAPH 1986)."""
    ends = [
        ((np.float32(block.low[axis]) - origin[axis]) * inverse[axis], (np.float32(block.high[axis]) - origin[axis]) * inverse[axis])
        for axis in range(3)
    ]
    entries = np.stack([np.minimum(*pair) for pair in ends])
    near, far = entries.max(axis=0), np.minimum.reduce([np.maximum(*pair) for pair in ends])
    hit = (near < far) & (near > NEAR_M) & (near < depth)
    depth[hit] = near[hit]
    gray[hit] = block.gray + 12.0 * entries.argmax(axis=0)[hit]
