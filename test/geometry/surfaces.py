# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Depth images of surfaces whose truth is known, with the errors of a stereo depth camera."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from lang2segtrack_ros.geometry.rays import rays
from lang2segtrack_ros.types.frame import CameraModel
from lang2segtrack_ros.types.rle import mask_box

CAMERA = CameraModel(610.0, 608.0, 322.5, 241.0, 640, 480, "camera_color_optical_frame")
Hit = Callable[[np.ndarray], np.ndarray]  # rays [H, W, 2] to depth [H, W], inf where missed


@dataclass
class View:
    """What a camera sees: float32 depth, bool mask, and the truth of the surface."""

    depth: np.ndarray
    mask: np.ndarray
    centre: np.ndarray
    size: np.ndarray

    @property
    def box(self) -> tuple[float, float, float, float]:
        box = mask_box(self.mask)
        assert box is not None
        return box


def card(centre: tuple[float, float, float], width: float, height: float, turn: float = 0.0) -> Hit:
    """A rectangle, turned around the upright axis by `turn` radians."""
    normal = np.array([np.sin(turn), 0.0, np.cos(turn)])
    side = np.array([np.cos(turn), 0.0, -np.sin(turn)])

    def hit(ray: np.ndarray) -> np.ndarray:
        direction = np.concatenate((ray, np.ones((*ray.shape[:2], 1))), axis=2)
        z = normal @ np.array(centre) / (direction @ normal)
        off = direction * z[..., None] - centre
        return np.where((np.abs(off @ side) <= width / 2) & (np.abs(off[..., 1]) <= height / 2) & (z > 0), z, np.inf)

    return hit


def ball(centre: tuple[float, float, float], radius: float) -> Hit:
    """A sphere."""

    def hit(ray: np.ndarray) -> np.ndarray:
        direction = np.concatenate((ray, np.ones((*ray.shape[:2], 1))), axis=2)
        a, b = (direction**2).sum(-1), direction @ np.array(centre)
        root = b**2 - a * (np.dot(centre, centre) - radius**2)
        return np.where(root > 0, (b - np.sqrt(np.maximum(root, 0))) / a, np.inf)

    return hit


def look(hit: Hit, camera: CameraModel = CAMERA, wall: float = 5.0) -> View:
    """The perfect view of a surface before a wall; the truth is taken from the perfect points."""
    z = hit(rays(camera).astype(np.float64))
    mask = np.isfinite(z)
    depth = np.where(mask, z, wall)
    x, y = rays(camera)[mask].astype(np.float64).T * z[mask]
    area = z[mask] ** 2
    centre = np.array([np.average(x, weights=area), np.average(y, weights=area), np.median(z[mask])])
    size = np.array([np.ptp(x), np.ptp(y), np.ptp(z[mask])]) + np.array([np.median(z[mask]) / camera.fx, np.median(z[mask]) / camera.fy, 0])
    return View(depth.astype(np.float32), mask, centre, size)


def spoil(view: View, seed: int, holes: float = 0.1, flying: int = 2, mask_error: int = 1) -> View:
    """The view as a stereo camera and a network give it.

    Noise grows with the square of the distance (1.5 mm at 1 m, in patches of a few pixels as matching windows make it); depth is in
    whole millimetres; there are holes of all sizes and a shadow left of the object; near edges, depth is a mixture of both surfaces;
    the mask is off by a pixel and somewhat ragged.
    """
    rng = np.random.default_rng(seed)
    depth = view.depth.copy()
    if flying:
        edge = cv2.morphologyEx(view.mask.astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((2 * flying + 1,) * 2, np.uint8)).astype(bool)
        near, far = cv2.erode(depth, np.ones((2 * flying + 1,) * 2)), cv2.dilate(depth, np.ones((2 * flying + 1,) * 2))
        mixture = rng.random(depth.shape).astype(np.float32)
        spoiled = edge & (rng.random(depth.shape) < 0.7)
        depth[spoiled] = (near + (far - near) * mixture)[spoiled]
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
    return View(depth.astype(np.float32), mask.astype(bool), view.centre, view.size)
