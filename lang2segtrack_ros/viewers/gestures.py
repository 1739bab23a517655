# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""What a mouse does on a picture in a window, as a prompt. The web page does the same in `viewers/web/page/page.js`."""

from __future__ import annotations

from dataclasses import dataclass

from lang2segtrack_ros.types.prompts import BoxPrompt, PointPrompt

DRAG = 8
"""Pixels of the window a mouse moves, along one side, before a click is a box."""
Place = tuple[float, float]


@dataclass(frozen=True)
class Fit:
    """Where a picture lies in a window: as large as it fits, in the middle.

    Attributes:
        image: (width, height) of the picture in pixels.
        window: (width, height) of the window.
    """

    image: tuple[int, int]
    window: tuple[int, int]

    @property
    def scale(self) -> float:
        """Window pixels for one of the picture."""
        return min(self.window[0] / self.image[0], self.window[1] / self.image[1])

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the picture in the window, at least 1."""
        return max(1, round(self.image[0] * self.scale)), max(1, round(self.image[1] * self.scale))

    def to_image(self, place: Place) -> Place:
        """A place in the window as one on the picture, edges being 0 and its width or height; the nearest one when it is beside it."""
        at = [
            (place[axis] - (self.window[axis] - self.image[axis] * self.scale) / 2) / self.scale for axis in (0, 1)
        ]  # fmt: skip
        return min(max(at[0], 0.0), float(self.image[0])), min(max(at[1], 0.0), float(self.image[1]))


def is_box(press: Place, release: Place) -> bool:
    """Whether a mouse that was pressed and released at these places of the window has drawn a box."""
    return max(abs(press[0] - release[0]), abs(press[1] - release[1])) >= DRAG


def prompt_of(press: Place, release: Place, fit: Fit, label: str = "", track_id: int | None = None) -> BoxPrompt | PointPrompt:
    """The prompt of a mouse that was pressed and released: a box, or a point where it was released.

    Args:
        press: where in the window.
        release: likewise.
        fit: where the picture lay.
        label: of the prompt.
        track_id: of the prompt.

    Raises:
        PromptError: a box without area.
    """
    x, y = fit.to_image(release)
    if not is_box(press, release):
        # Pixel centres are whole numbers: the left edge of the picture is at -0.5, and its right edge is none of its points.
        return PointPrompt([(min(x, fit.image[0] - 0.01) - 0.5, min(y, fit.image[1] - 0.01) - 0.5)], [1], label, track_id)
    x0, y0 = fit.to_image(press)
    return BoxPrompt((min(x0, x), min(y0, y), max(x0, x), max(y0, y)), label, track_id)
