# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Conversion of mouse gestures in a window into prompts. `viewers/web/page/page.js` does the same for the web page."""

from __future__ import annotations

from dataclasses import dataclass

from lang2segtrack_ros.types.prompts import BoxPrompt, PointPrompt

MIN_DRAG = 8
"""Minimum mouse movement in canvas pixels, along one side, that makes a box. A shorter movement is a click."""
CanvasPoint = tuple[float, float]
"""x and y in canvas pixels."""
ImagePoint = tuple[float, float]
"""x and y in image pixels. The image edges are at 0 and at its width or height."""


@dataclass(frozen=True)
class Fit:
    """The placement of an image on a canvas: centered, and as large as possible.

    Attributes:
        image: (width, height) of the image in pixels.
        canvas: (width, height) of the canvas in pixels.
    """

    image: tuple[int, int]
    canvas: tuple[int, int]

    @property
    def scale(self) -> float:
        """Canvas pixels per image pixel."""
        return min(self.canvas[0] / self.image[0], self.canvas[1] / self.image[1])

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the image on the canvas in canvas pixels, at least 1."""
        return max(1, round(self.image[0] * self.scale)), max(1, round(self.image[1] * self.scale))

    def to_image(self, point: CanvasPoint) -> ImagePoint:
        """Convert a canvas point to an image point, which may lie beside the image."""
        x, y = ((point[axis] - (self.canvas[axis] - self.image[axis] * self.scale) / 2) / self.scale for axis in (0, 1))
        return x, y

    def to_edge(self, point: CanvasPoint) -> ImagePoint:
        """Convert a canvas point to an image point. A point beside the image becomes the nearest point of the image."""
        x, y = self.to_image(point)
        return min(max(x, 0.0), float(self.image[0])), min(max(y, 0.0), float(self.image[1]))


def is_box(press: CanvasPoint, release: CanvasPoint) -> bool:
    """Return whether the mouse drew a box between press and release."""
    return max(abs(press[0] - release[0]), abs(press[1] - release[1])) >= MIN_DRAG


def make_prompt(
    press: CanvasPoint, release: CanvasPoint, fit: Fit, label: str = "", track_id: int | None = None
) -> BoxPrompt | PointPrompt | None:
    """Return the prompt of a mouse gesture: a box, a point at the release position, or None for a gesture beside the image.

    Args:
        press: position of the mouse press.
        release: position of the mouse release.
        fit: placement of the image on the canvas.
        label: label of the prompt.
        track_id: track that the prompt corrects, or None for a new track.
    """
    if is_box(press, release):
        (x0, y0), (x1, y1) = fit.to_edge(press), fit.to_edge(release)
        box = min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)
        return BoxPrompt(box, label, track_id) if box[0] < box[2] and box[1] < box[3] else None
    x, y = fit.to_image(release)
    if not (0 <= x < fit.image[0] and 0 <= y < fit.image[1]):
        return None
    return PointPrompt([(x - 0.5, y - 0.5)], [1], label, track_id)  # pixel centers have integer coordinates
