# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Colors and outlines of the toy world."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

COLORS: dict[str, tuple[int, int, int]] = {
    "red": (215, 40, 40),
    "green": (40, 170, 60),
    "blue": (45, 80, 215),
    "yellow": (235, 215, 50),
    "purple": (145, 55, 175),
    "orange": (240, 135, 30),
    "cyan": (60, 205, 215),
    "pink": (245, 135, 185),
}
SHAPES = ("circle", "square", "triangle", "star", "cross", "heart")
PILLAR = "pillar"
"""Outline of half width 1, higher than any image. It has no label and occludes bodies behind it."""
HAND = "hand"
"""Outline of a fist and its forearm, which reaches from the fist to the right beyond any image. It has no label, as a pillar."""
OCCLUDERS = {PILLAR: (128, 128, 128), HAND: (206, 150, 120)}
"""Color of each outline without a label."""


def outline(shape: str) -> NDArray[np.float64]:
    """Return the corners [K, 2] of a shape with a radius of about 1 around the origin.

    Args:
        shape: name of the shape.

    Raises:
        KeyError: The shape is unknown.
    """
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
    if shape == "heart":
        t = np.linspace(0, 2 * np.pi, 36, endpoint=False)
        x, y = 16 * np.sin(t) ** 3, -(13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t))
        corners = np.stack([x, y], axis=1) / 15.5
        centered: NDArray[np.float64] = corners - corners.mean(axis=0)
        return centered
    if shape == PILLAR:
        return np.array([[-1, -60], [1, -60], [1, 60], [-1, 60]], float)
    if shape == HAND:
        fist = np.radians(np.linspace(35, 325, 24))
        arm = np.array([[60.0, -1.4], [60.0, 1.4]])
        return np.concatenate([np.stack([np.cos(fist), np.sin(fist) * 0.9], axis=1), arm])
    raise KeyError(f"unknown shape {shape}; the shapes are {', '.join(SHAPES)}")
