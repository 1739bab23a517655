# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The prompts of a user: objects by name, box, points or mask.

Each prompt validates itself at construction. `check_fits` validates a prompt against the image to which it is applied.
All coordinates are pixels of the input image. For points, an integer (x, y) is the center of a pixel.
Boxes are edges (x_min, y_min, x_max, y_max) with exclusive maxima. A box around a mask therefore has the width of the mask.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, Union

import numpy as np
from numpy.typing import NDArray

MAX_TEXT_LENGTH = 1000
MAX_POINTS = 64


class PromptError(ValueError):
    """A prompt that the session refuses. The message says how to correct it."""


def split_phrases(text: str) -> tuple[str, ...]:
    """Split a sentence into its phrases, in order and without repeats.

    "Red mug. a box, red mug" gives ("red mug", "a box"). The characters . , ; ? ! with their East Asian forms, and line ends separate
    phrases. A point or comma between two digits becomes a space, because the network reads it as a separator. Case and extra white space
    are ignored.
    """
    text = re.sub(r"(?<=\d)[.,](?=\d)", " ", text)
    parts = map(plain_name, re.split(r"[.,;?!\n\u3001\u3002\uff0c\uff0e\uff1b\uff1f\uff01]", text))
    return tuple(dict.fromkeys(part for part in parts if part))


def plain_name(name: str) -> str:
    """Return a name in lower case with single spaces, as text prompts compare it."""
    return " ".join(name.lower().split())


def check_label(label: str) -> None:
    """Raise PromptError if a label is too long to be published with every image."""
    if len(label) > MAX_TEXT_LENGTH:
        raise PromptError(f"the label has {len(label)} characters; the maximum is {MAX_TEXT_LENGTH}: give a shorter name")


@dataclass(frozen=True)
class TextPrompt:
    """Objects by name.

    Attributes:
        text: one or more phrases, "red mug. cardboard box."
        mode: "continuous" detects new objects again and again. "once" detects on one image.
        threshold: minimum score of a detection, 0..1. None uses the default of the detector.
        interval: frames between two detections for this prompt. None uses `detect_every` of the session.
        phrases: the phrases of the text; see `split_phrases`.

    Raises:
        PromptError: the text is empty or too long, the mode is unknown, the threshold is outside 0..1, or the interval is below 1.
    """

    text: str
    mode: Literal["once", "continuous"] = "continuous"
    threshold: float | None = None
    interval: int | None = None
    phrases: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        if len(self.text) > MAX_TEXT_LENGTH:
            raise PromptError(f"the text has {len(self.text)} characters; the maximum is {MAX_TEXT_LENGTH}: name fewer objects")
        phrases = split_phrases(self.text)
        if not any(re.search(r"\w", phrase) for phrase in phrases):
            raise PromptError('the text names no object; write phrases that end in a dot, such as "red mug. cardboard box."')
        if self.mode not in ("once", "continuous"):
            raise PromptError(f'mode is "{self.mode}"; it must be "once" or "continuous"')
        if self.threshold is not None and not 0 <= self.threshold <= 1:
            raise PromptError(f"threshold is {self.threshold}; it must lie between 0 and 1")
        if self.interval is not None and self.interval < 1:
            raise PromptError(f"interval is {self.interval}; it counts frames and must be 1 or more")
        object.__setattr__(self, "phrases", phrases)


@dataclass(frozen=True)
class BoxPrompt:
    """The object inside a box.

    Attributes:
        box: (x_min, y_min, x_max, y_max) in pixels, with exclusive maxima.
        label: name of the object. May be empty.
        track_id: id of an existing object to correct. None starts a new object. If the prompt covers a tracked object with the same
            label, or one of the two has no label, None corrects that object.

    Raises:
        PromptError: the box is not four finite numbers, the box has no area, or the label is too long.
    """

    box: tuple[float, float, float, float]
    label: str = ""
    track_id: int | None = None

    def __post_init__(self) -> None:
        check_label(self.label)
        if len(self.box) != 4 or not np.isfinite(self.box).all():
            raise PromptError(f"a box is four finite numbers (x_min, y_min, x_max, y_max), not {self.box}")
        x1, y1, x2, y2 = self.box
        if x2 <= x1 or y2 <= y1:
            raise PromptError(
                f"the box ({x1:g}, {y1:g}, {x2:g}, {y2:g}) is inverted or has no area: x_max must be greater than x_min, y_max than y_min"
            )

    def check_fits(self, height: int, width: int) -> BoxPrompt:
        """Return the prompt with its box clipped to the image. Raise PromptError if the clipped box is below 1 pixel."""
        x1, y1, x2, y2 = self.box
        clipped = (max(x1, 0.0), max(y1, 0.0), min(x2, float(width)), min(y2, float(height)))
        box = f"the box ({x1:g}, {y1:g}, {x2:g}, {y2:g})"
        if min(self.box) >= 0 and max(self.box) <= 1 < max(height, width):
            raise PromptError(f"{box} is within one pixel: multiply it by the size of the image, {width} x {height}, if it holds fractions")
        if clipped[2] - clipped[0] < 1 or clipped[3] - clipped[1] < 1:
            raise PromptError(f"{box} lies outside the {width} x {height} image: give a box inside it")
        return BoxPrompt(clipped, self.label, self.track_id)


@dataclass(frozen=True)
class PointPrompt:
    """The object under points.

    Attributes:
        points: (x, y) in pixels.
        labels: 1 (on the object) or 0 (off the object) for each point. Empty means that all points are on the object.
        label: name of the object. May be empty.
        track_id: id of an existing object to correct. None starts a new object. If the prompt covers a tracked object with the same
            label, or one of the two has no label, None corrects that object.

    Raises:
        PromptError: the label is too long, the number of points is outside 1..64, a point is not finite, a point label is neither 0
            nor 1, or a new object has no point with label 1.
    """

    points: Sequence[tuple[float, float]]
    labels: Sequence[int] = ()
    label: str = ""
    track_id: int | None = None

    def __post_init__(self) -> None:
        check_label(self.label)
        if not 1 <= len(self.points) <= MAX_POINTS:
            raise PromptError(f"a point prompt takes 1 to {MAX_POINTS} points, not {len(self.points)}")
        if any(len(point) != 2 for point in self.points) or not np.isfinite(np.asarray(self.points, dtype=float)).all():
            raise PromptError("a point is not two finite numbers: give every point as (x, y)")
        labels = tuple(int(value) for value in self.labels) or (1,) * len(self.points)
        if len(labels) != len(self.points):
            raise PromptError(f"{len(self.points)} points came with {len(labels)} labels; give one label for each point, or no labels")
        if set(labels) - {0, 1}:
            raise PromptError(f"labels of points are 1 (on the object) or 0 (off the object), not {sorted(set(labels) - {0, 1})}")
        if self.track_id is None and 1 not in labels:
            raise PromptError("a new object needs at least one point on it: give one point the label 1")
        object.__setattr__(self, "points", tuple((float(x), float(y)) for x, y in self.points))
        object.__setattr__(self, "labels", labels)

    @property
    def pixels(self) -> frozenset[tuple[int, int]]:
        """Return the pixels (x, y) on the object."""
        pairs = zip(self.points, self.labels)
        return frozenset((math.floor(x + 0.5), math.floor(y + 0.5)) for (x, y), label in pairs if label == 1)

    def check_fits(self, height: int, width: int) -> PointPrompt:
        """Return the prompt. Raise PromptError if a point lies off the image."""
        for x, y in self.points:
            if not (-0.5 <= x < width - 0.5 and -0.5 <= y < height - 0.5):
                raise PromptError(f"the point ({x:g}, {y:g}) lies off the {width} x {height} image: give a point inside it")
        return self


@dataclass(frozen=True, eq=False)
class MaskPrompt:
    """The object that a mask covers.

    Attributes:
        mask: bool [H, W], of the size of the image.
        label: name of the object. May be empty.
        track_id: id of an existing object to correct. None starts a new object. If the prompt covers a tracked object with the same
            label, or one of the two has no label, None corrects that object.

    Raises:
        PromptError: the mask is not two-dimensional or has no pixel set, or the label is too long.
    """

    mask: NDArray[np.bool_]
    label: str = ""
    track_id: int | None = None

    def __post_init__(self) -> None:
        check_label(self.label)
        mask = np.asarray(self.mask)
        if mask.ndim != 2 or mask.size == 0:
            raise PromptError(f"a mask is a two-dimensional array, not one of shape {list(mask.shape)}")
        if not mask.any():
            raise PromptError("the mask is empty: set at least one pixel")
        object.__setattr__(self, "mask", np.ascontiguousarray(mask.astype(bool)))

    def check_fits(self, height: int, width: int) -> MaskPrompt:
        """Return the prompt. Raise PromptError if the mask and the image differ in size."""
        if self.mask.shape != (height, width):
            raise PromptError(
                f"the mask is {self.mask.shape[1]} x {self.mask.shape[0]}, the image {width} x {height}: make the sizes equal"
            )
        return self


ObjectPrompt = Union[BoxPrompt, PointPrompt, MaskPrompt]
Prompt = Union[TextPrompt, BoxPrompt, PointPrompt, MaskPrompt]
