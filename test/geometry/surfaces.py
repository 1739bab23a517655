# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Synthetic depth images of surfaces with known geometry, with the errors of a stereo depth camera."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from lang2segtrack_ros.geometry.rays import rays
from lang2segtrack_ros.types.frame import CameraModel
from lang2segtrack_ros.types.rle import mask_box

CAMERA = CameraModel(610.0, 608.0, 322.5, 241.0, 640, 480, "camera_color_optical_frame")
Hit = Callable[[np.ndarray], np.ndarray]  # maps rays [H, W, 2] to depth [H, W], inf where the ray misses


@dataclass
class View:
    """A rendered view: float32 depth, bool mask, and the true center and size of the surface, in meters."""

    depth: np.ndarray
    mask: np.ndarray
    center: np.ndarray
    size: np.ndarray

    @property
    def box(self) -> tuple[float, float, float, float]:
        box = mask_box(self.mask)
        assert box is not None
        return box


def card(center: tuple[float, float, float], width: float, height: float, turn: float = 0.0) -> Hit:
    """Return a rectangle that is rotated around the vertical axis by `turn` radians."""
    normal = np.array([np.sin(turn), 0.0, np.cos(turn)])
    side = np.array([np.cos(turn), 0.0, -np.sin(turn)])

    def hit(ray: np.ndarray) -> np.ndarray:
        direction = np.concatenate((ray, np.ones((*ray.shape[:2], 1))), axis=2)
        z = normal @ np.array(center) / (direction @ normal)
        off = direction * z[..., None] - center
        return np.where((np.abs(off @ side) <= width / 2) & (np.abs(off[..., 1]) <= height / 2) & (z > 0), z, np.inf)

    return hit


def ball(center: tuple[float, float, float], radius: float) -> Hit:
    """Return a sphere."""

    def hit(ray: np.ndarray) -> np.ndarray:
        direction = np.concatenate((ray, np.ones((*ray.shape[:2], 1))), axis=2)
        a, b = (direction**2).sum(-1), direction @ np.array(center)
        root = b**2 - a * (np.dot(center, center) - radius**2)
        return np.where(root > 0, (b - np.sqrt(np.maximum(root, 0))) / a, np.inf)

    return hit


def render(hit: Hit, camera: CameraModel = CAMERA, wall: float = 5.0) -> View:
    """Render a surface in front of a wall without errors. The true center and size come from the exact points."""
    z = hit(rays(camera).astype(np.float64))
    mask = np.isfinite(z)
    depth = np.where(mask, z, wall)
    x, y = rays(camera)[mask].astype(np.float64).T * z[mask]
    area = z[mask] ** 2
    center = np.array([np.average(x, weights=area), np.average(y, weights=area), np.median(z[mask])])
    size = np.array([np.ptp(x), np.ptp(y), np.ptp(z[mask])]) + np.array([np.median(z[mask]) / camera.fx, np.median(z[mask]) / camera.fy, 0])
    return View(depth.astype(np.float32), mask, center, size)


def add_errors(view: View, seed: int, holes: float = 0.1, flying: int = 2, mask_error: int = 1) -> View:
    """Add the errors of a stereo camera and of a segmentation network to a view.

    Noise grows with the square of the distance: 1.5 mm at 1 m. It comes in patches of a few pixels, as matching windows produce it. Depth
    is in whole millimeters. There are holes of all sizes, and a shadow left of the object. Near edges, depth mixes both surfaces. The mask
    is off by a pixel and has a ragged border.
    """
    rng = np.random.default_rng(seed)
    depth = view.depth.copy()
    if flying:
        edge = cv2.morphologyEx(view.mask.astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((2 * flying + 1,) * 2, np.uint8)).astype(bool)
        near, far = cv2.erode(depth, np.ones((2 * flying + 1,) * 2)), cv2.dilate(depth, np.ones((2 * flying + 1,) * 2))
        mixture = rng.random(depth.shape).astype(np.float32)
        flying_pixels = edge & (rng.random(depth.shape) < 0.7)
        depth[flying_pixels] = (near + (far - near) * mixture)[flying_pixels]
    patches = cv2.GaussianBlur(rng.normal(0, 1, depth.shape).astype(np.float32), (0, 0), 1.2)
    depth += patches / patches.std() * 0.0015 * depth**2
    depth = np.round(depth * 1000) / 1000
    blobs = cv2.GaussianBlur(rng.normal(0, 1, depth.shape).astype(np.float32), (0, 0), 3.0)
    depth[blobs > np.quantile(blobs, 1 - holes)] = np.nan
    shadow = cv2.dilate(view.mask.astype(np.uint8), np.ones((1, 9)), anchor=(0, 0)).astype(bool) & ~view.mask
    depth[shadow] = np.nan
    kernel = np.ones((2 * mask_error + 1,) * 2, np.uint8)
    mask = view.mask.astype(np.uint8)
    if mask_error:
        ragged = cv2.GaussianBlur(rng.normal(0, 1, depth.shape).astype(np.float32), (0, 0), 4.0) > 0
        mask = np.where(ragged, cv2.dilate(mask, kernel), cv2.erode(mask, kernel))
    return View(depth.astype(np.float32), mask.astype(bool), view.center, view.size)
