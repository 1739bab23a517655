# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Boxes of known size and rotation, as a ray hits them."""

from __future__ import annotations

import numpy as np

from test.geometry.surfaces import Hit


def box(center: tuple[float, float, float], size: tuple[float, float, float], rotation: np.ndarray) -> Hit:
    """Return a solid box. The columns of `rotation` are its axes in the camera's optical frame."""

    def hit(ray: np.ndarray) -> np.ndarray:
        direction = np.concatenate((ray, np.ones((*ray.shape[:2], 1))), axis=2) @ rotation
        start = -np.array(center) @ rotation
        half = np.array(size) / 2
        with np.errstate(divide="ignore", invalid="ignore"):
            near, far = (-half - start) / direction, (half - start) / direction
        enter, leave = np.minimum(near, far).max(axis=2), np.maximum(near, far).min(axis=2)
        return np.where((enter <= leave) & (enter > 0), enter, np.inf)

    return hit
