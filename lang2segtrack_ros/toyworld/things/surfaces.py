# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Surfaces behind the things: wood, cloth, tiles, clutter and plain paint. All are computed; no photograph is used."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float32]


def _field(rng: np.random.Generator, width: int, height: int, columns: float, rows: float) -> Image:
    """Return smooth noise with a standard deviation of about 1, float32 [H, W], with some grains along each axis."""
    grid = rng.standard_normal((max(2, round(rows)), max(2, round(columns)))).astype(np.float32)
    return np.asarray(cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC), np.float32)


def _paint(rng: np.random.Generator, low: float, high: float, saturation: float) -> Image:
    """Return a color, float32 [3]: a gray of some brightness, tinted."""
    return np.asarray(rng.uniform(low, high) * (1 + rng.normal(0, saturation, 3)), np.float32)


def _plain(rng: np.random.Generator, width: int, height: int) -> Image:
    """Return paint with soft spots, and a slope of the light."""
    paint = _paint(rng, 70, 225, 0.06)
    spots = 1 + 0.08 * _field(rng, width, height, 5, 4)
    return np.asarray(paint * spots[..., None], np.float32)


def _wood(rng: np.random.Generator, width: int, height: int) -> Image:
    """Return planks with a grain along them."""
    base = np.array([150, 105, 65], np.float32) * np.float32(rng.uniform(0.5, 1.45)) * _paint(rng, 1, 1, 0.07)
    planks = int(rng.integers(2, 8))
    edges = np.sort(rng.uniform(0, height, planks - 1))
    plank = np.searchsorted(edges, np.arange(height))
    image = np.empty((height, width, 3), np.float32)
    for number in range(planks):
        rows = np.flatnonzero(plank == number)
        if not len(rows):
            continue
        bend = _field(rng, width, len(rows), 3, 2)
        fine = _field(rng, width, len(rows), rng.uniform(4, 10), max(2.0, len(rows) / 2))
        rings = np.sin((np.arange(len(rows))[:, None] / height * rng.uniform(60, 160) + 2.5 * bend).astype(np.float32))
        tone = rng.uniform(0.85, 1.12) + 0.07 * rings + 0.06 * fine
        image[rows] = base * tone[..., None]
        image[rows[0]] *= np.float32(0.6)
    return image if rng.random() < 0.5 else np.ascontiguousarray(np.rot90(_wood_turned(image, width, height)))


def _wood_turned(image: Image, width: int, height: int) -> Image:
    return np.asarray(cv2.resize(image, (height, width), interpolation=cv2.INTER_AREA), np.float32)


def _cloth(rng: np.random.Generator, width: int, height: int) -> Image:
    """Return woven cloth with folds, sometimes checked or striped."""
    y, x = np.mgrid[:height, :width].astype(np.float32) / height
    base, other = _paint(rng, 70, 220, 0.18), _paint(rng, 70, 230, 0.18)
    pitch = rng.uniform(0.05, 0.16)
    pattern = rng.choice(["plain", "stripes", "checks"])
    columns = (np.sin(2 * np.pi * x / pitch) > 0).astype(np.float32)
    rows = (np.sin(2 * np.pi * y / pitch) > 0).astype(np.float32)
    mix = {"plain": np.zeros_like(x), "stripes": columns, "checks": (columns + rows) / 2}[str(pattern)][..., None]
    weave = 1 + 0.04 * np.sin(2 * np.pi * x / 0.012) * np.sin(2 * np.pi * y / 0.012)
    folds = 1 + rng.uniform(0.02, 0.12) * _field(rng, width, height, rng.uniform(3, 7), rng.uniform(2, 5))
    return np.asarray((base * (1 - mix) + other * mix) * (weave * folds)[..., None], np.float32)


def _tiles(rng: np.random.Generator, width: int, height: int) -> Image:
    """Return tiles with joints; each has a tone of its own, and some are speckled."""
    pitch = int(height * rng.uniform(0.12, 0.4))
    rows, columns = np.arange(height) + int(rng.integers(pitch)), np.arange(width) + int(rng.integers(pitch))
    tones = 1 + 0.05 * rng.standard_normal((rows[-1] // pitch + 1, columns[-1] // pitch + 1)).astype(np.float32)
    image = _paint(rng, 110, 230, 0.07) * tones[np.ix_(rows // pitch, columns // pitch)][..., None]
    if rng.random() < 0.4:
        image *= 1 + 0.18 * (rng.random((height, width, 1)) < 0.08) * rng.choice([-1, 1])
    joint = max(1, int(height * rng.uniform(0.004, 0.012)))
    is_joint = (rows % pitch < joint)[:, None] | (columns % pitch < joint)[None]
    image[is_joint] = _paint(rng, 60, 200, 0.04)
    return np.asarray(image, np.float32)


def _clutter(rng: np.random.Generator, width: int, height: int) -> Image:
    """Return a surface full of papers, lines and spots in many colors."""
    image = _plain(rng, width, height)
    for _ in range(int(rng.integers(8, 30))):
        paint = tuple(float(value) for value in np.clip(_paint(rng, 40, 235, 0.25), 0, 255))
        center = (float(rng.uniform(0, width)), float(rng.uniform(0, height)))
        size = (float(height * rng.uniform(0.03, 0.35)), float(height * rng.uniform(0.03, 0.25)))
        kind = rng.random()
        if kind < 0.5:
            corners = cv2.boxPoints((center, size, float(rng.uniform(0, 180))))
            cv2.fillPoly(image, [np.round(corners).astype(np.int32)], paint, cv2.LINE_AA)
        elif kind < 0.75:
            axes = (int(size[0] / 3) + 1, int(size[1] / 3) + 1)
            cv2.ellipse(image, (int(center[0]), int(center[1])), axes, float(rng.uniform(0, 180)), 0, 360, paint, -1, cv2.LINE_AA)
        else:
            end = (int(rng.uniform(0, width)), int(rng.uniform(0, height)))
            cv2.line(image, (int(center[0]), int(center[1])), end, paint, max(1, int(height * rng.uniform(0.004, 0.02))), cv2.LINE_AA)
    return image


SURFACES: dict[str, Callable[[np.random.Generator, int, int], Image]] = {
    "plain": _plain,
    "wood": _wood,
    "cloth": _cloth,
    "tiles": _tiles,
    "clutter": _clutter,
}
"""Name -> function that draws a surface of some width and height."""


def make_background(rng: np.random.Generator, width: int, height: int) -> Image:
    """Return a table, or a wall with a table in front of it, float32 [H, W, 3], 0..255.

    Args:
        rng: random generator.
        width: width in pixels.
        height: height in pixels.
    """
    names = list(SURFACES)
    table = SURFACES[str(rng.choice(names))](rng, width, height)
    if rng.random() < 0.4:
        edge = int(height * rng.uniform(0.12, 0.55))
        wall = SURFACES[str(rng.choice(names, p=(0.5, 0.05, 0.1, 0.2, 0.15)))](rng, width, height)
        table[:edge] = wall[:edge] * np.float32(rng.uniform(0.7, 1.1))
        table[edge : edge + max(1, height // 80)] *= np.float32(rng.uniform(0.5, 0.9))
    slope = rng.uniform(-0.18, 0.18, 2)
    light = 1 + slope[0] * np.linspace(-1, 1, width)[None] + slope[1] * np.linspace(-1, 1, height)[:, None]
    return np.asarray(np.clip(table * light[..., None], 0, 255), np.float32)
