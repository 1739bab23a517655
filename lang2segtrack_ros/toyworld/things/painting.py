# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Painting of a thing: its drawing in perspective, with light, shadow, motion blur and depth."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from lang2segtrack_ros.toyworld.canvas import Canvas
from lang2segtrack_ros.toyworld.things.atlas import Sprite

_SHADOW_REACH = 0.5
"""Distance, in radii, that a shadow may reach beyond a thing."""
_SHADOW_BLUR = 0.13
"""Standard deviation of the shadow's edge in radii."""


@dataclass(frozen=True, eq=False)
class Appearance:
    """How a thing looks on a frame.

    Attributes:
        gain: factor of each color channel, float32 [3].
        shade: brightness of the right side minus that of the middle, on a scale of 255.
        shadow: darkness of its shadow, 0..1.
        light: (x, y) shift of the shadow in radii.
        blur: (x, y) movement during the exposure in pixels.
        distance: distance from the camera in meters.
        relief_m: height of the middle over the rim, towards the camera, in meters.
        radius: half of its longer side in pixels.
        value: value of its pixels in `Canvas.instances`.
    """

    gain: NDArray[np.float32]
    shade: float
    shadow: float
    light: tuple[float, float]
    blur: tuple[float, float]
    distance: float
    relief_m: float
    radius: float
    value: int


def plane_transform(
    size: tuple[float, float], angle: float, tilt: tuple[float, float], place: tuple[float, float, float], focal: float
) -> NDArray[np.float64]:
    """Return the transform [3, 3] from unit coordinates on a flat thing to pixels.

    Args:
        size: half width and half height in meters.
        angle: rotation in the image in radians.
        tilt: rotation about the vertical and about the horizontal axis in radians.
        place: x and y of its middle in pixels, and its distance in meters.
        focal: focal length of the camera in pixels.
    """
    sin, cos = np.sin(angle), np.cos(angle)
    (sin_yaw, sin_pitch), (cos_yaw, cos_pitch) = np.sin(tilt), np.cos(tilt)
    turned = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
    pitched = np.array([[1, 0, 0], [0, cos_pitch, -sin_pitch], [0, sin_pitch, cos_pitch]])
    yawed = np.array([[cos_yaw, 0, sin_yaw], [0, 1, 0], [-sin_yaw, 0, cos_yaw]])
    axes = (yawed @ pitched @ turned)[:, :2] * size  # directions of both axes of the thing, in meters
    points = np.column_stack([axes, (0.0, 0.0, place[2])])
    project = np.array([[focal, 0, place[0]], [0, focal, place[1]], [0, 0, 1]])
    transform: NDArray[np.float64] = project @ points
    return transform


def apply(transform: NDArray[np.float64], points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return points [K, 2] under a projective transform [3, 3]."""
    mapped = np.column_stack([points, np.ones(len(points))]) @ transform.T
    result: NDArray[np.float64] = mapped[:, :2] / mapped[:, 2:]
    return result


def paint_thing(canvas: Canvas, sprite: Sprite, transform: NDArray[np.float64], corners: NDArray[np.float64], look: Appearance) -> None:
    """Paint a thing and its shadow.

    Args:
        canvas: the picture.
        sprite: the drawing.
        transform: transform [3, 3] from unit coordinates to pixels.
        corners: its outline in pixels, [K, 2].
        look: how it looks.
    """
    margin = 2 + int(np.ceil(_SHADOW_REACH * look.radius if look.shadow else 0)) + int(max(map(abs, look.blur)))
    window = canvas.window(corners, margin)
    if window is None:
        return
    pixels = _warped(sprite, transform, window, look)
    coverage = pixels[..., 3]
    color = canvas.color[window]
    if look.shadow:
        color *= 1 - look.shadow * _shadow_of(coverage, look)[..., None]
    light = look.gain + _slope(pixels.shape[1], window, corners, look)[None, :, None]
    color += pixels[..., :3] * light - color * coverage[..., None]
    np.clip(color, 0, 255, out=color)
    inside = coverage > 0.5
    canvas.depth[window][inside] = look.distance - look.relief_m * pixels[..., 4][inside]
    canvas.instances[window][inside] = look.value
    rim = cv2.morphologyEx(inside.astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))
    canvas.edges[window][rim > 0] = 1


def _warped(sprite: Sprite, transform: NDArray[np.float64], window: tuple[slice, slice], look: Appearance) -> NDArray[np.float32]:
    """Return the pixels of a thing in a window, float32 [h, w, 5]; see `Sprite`."""
    rows, columns = window
    copy, to_unit = sprite.level(look.radius)
    shift = np.array([[1, 0, -columns.start], [0, 1, -rows.start], [0, 0, 1.0]])
    size = (columns.stop - columns.start, rows.stop - rows.start)
    matrix = shift @ transform @ to_unit
    parts = [cv2.warpPerspective(copy[..., part], matrix, size, flags=cv2.INTER_LINEAR) for part in (slice(0, 4), slice(4, 5))]
    pixels = np.dstack(parts).astype(np.float32, copy=False)
    length = float(np.hypot(*look.blur))
    if length > 1:
        pixels = cv2.filter2D(pixels, -1, _line_kernel(look.blur, length)).astype(np.float32, copy=False)
    return pixels


def _line_kernel(blur: tuple[float, float], length: float) -> NDArray[np.float32]:
    side = 2 * int(np.ceil(length / 2)) + 1
    kernel = np.zeros((side, side), np.float32)
    middle = np.array([side // 2, side // 2])
    half = np.array(blur) / 2
    ends = [tuple(int(value) for value in np.round((middle + sign * half) * 16)) for sign in (-1, 1)]
    cv2.line(kernel, ends[0], ends[1], 1.0, 1, cv2.LINE_AA, 4)
    return kernel / max(float(kernel.sum()), 1e-6)


def _shadow_of(coverage: NDArray[np.float32], look: Appearance) -> NDArray[np.float32]:
    """Return the shadow of a thing, float32 [h, w], 0..1."""
    shift = np.array([[1, 0, look.light[0] * look.radius], [0, 1, look.light[1] * look.radius]])
    moved = cv2.warpAffine(coverage, shift, coverage.shape[::-1])
    sigma = max(_SHADOW_BLUR * look.radius, 0.8)
    return np.asarray(cv2.GaussianBlur(moved, (0, 0), sigma), np.float32)


def _slope(width: int, window: tuple[slice, slice], corners: NDArray[np.float64], look: Appearance) -> NDArray[np.float32]:
    """Return the factor that a slope of the light adds to each column, float32 [w]."""
    middle = (corners[:, 0].max() + corners[:, 0].min()) / 2 - window[1].start
    offset = (np.arange(width, dtype=np.float32) - np.float32(middle)) / np.float32(max(look.radius, 1.0))
    return np.asarray(np.clip(offset, -1.5, 1.5) * (look.shade / 255), np.float32)
