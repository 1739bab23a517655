# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""What a user can ask for: objects by name, by box, by points, by mask.

Every prompt checks itself when it is made; `check_fits` checks it against the image it is about to be applied to.
All coordinates are pixels of the input image: integer (x, y) is the centre of a pixel for points, boxes are edges
(x_min, y_min, x_max, y_max) with the maxima exclusive, so that a box around a mask has the mask's width.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, Union

import numpy as np
from numpy.typing import NDArray

MAX_TEXT_LENGTH = 1000
MAX_POINTS = 64


class PromptError(ValueError):
    """A prompt that cannot be followed; the message says what to change."""


def split_phrases(text: str) -> tuple[str, ...]:
    """The phrases of a sentence, in order and without repeats: "Red mug. a box, red mug" gives ("red mug", "a box").

    Dots, commas, semicolons and line ends separate; case and white space do not count.
    """
    parts = map(plain_name, re.split(r"[.,;?!\n]", text))
    return tuple(dict.fromkeys(part for part in parts if part))


def plain_name(name: str) -> str:
    """A name as text prompts look for it: case and white space do not count."""
    return " ".join(name.lower().split())


def check_label(label: str) -> None:
    """Raises PromptError for a label that is too long to be published with every image."""
    if len(label) > MAX_TEXT_LENGTH:
        raise PromptError(f"the label has {len(label)} characters; at most {MAX_TEXT_LENGTH} are kept: give a shorter name")


@dataclass(frozen=True)
class TextPrompt:
    """Objects by name.

    Attributes:
        text: one or more phrases, "red mug. cardboard box."
        mode: "continuous" keeps looking for new ones, "once" looks on one image.
        threshold: least score of a detection, 0..1; None takes the detector's own.
        every: frames from one look for it to the next; None takes the session's `detect_every`.

    Raises:
        PromptError: empty or overlong text, unknown mode, threshold outside 0..1, every below 1.
    """

    text: str
    mode: Literal["once", "continuous"] = "continuous"
    threshold: float | None = None
    interval: int | None = None
    phrases: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        if len(self.text) > MAX_TEXT_LENGTH:
            raise PromptError(f"the text has {len(self.text)} characters; at most {MAX_TEXT_LENGTH} are read: name fewer objects")
        phrases = split_phrases(self.text)
        if not any(re.search(r"\w", phrase) for phrase in phrases):
            raise PromptError('the text names no object; write phrases that end in a dot, such as "red mug. cardboard box."')
        if self.mode not in ("once", "continuous"):
            raise PromptError(f'mode is "{self.mode}"; it must be "once" or "continuous"')
        if self.threshold is not None and not 0 <= self.threshold <= 1:
            raise PromptError(f"threshold is {self.threshold}; it must lie between 0 and 1")
        if self.interval is not None and self.interval < 1:
            raise PromptError(f"every is {self.interval}; a look comes at most once a frame, so it must be 1 or more")
        object.__setattr__(self, "phrases", phrases)


@dataclass(frozen=True)
class BoxPrompt:
    """What is inside a box.

    Attributes:
        box: (x_min, y_min, x_max, y_max) in pixels, maxima exclusive.
        label: name of the object, may be empty.
        track_id: an existing object to correct; None starts a new one, unless this shows one that is followed already, under
            this label or none.

    Raises:
        PromptError: not four finite numbers, no area, or an overlong label.
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
        """The box cut to the image. Raises PromptError when it lies outside."""
        x1, y1, x2, y2 = self.box
        cut = (max(x1, 0.0), max(y1, 0.0), min(x2, float(width)), min(y2, float(height)))
        if cut[2] - cut[0] < 1 or cut[3] - cut[1] < 1:
            raise PromptError(f"the box ({x1:g}, {y1:g}, {x2:g}, {y2:g}) lies outside the {width} x {height} image")
        return BoxPrompt(cut, self.label, self.track_id)


@dataclass(frozen=True)
class PointPrompt:
    """What is under points.

    Attributes:
        points: (x, y) in pixels.
        labels: for each point 1 (on the object) or 0 (not on it); empty means all on it.
        label: name of the object, may be empty.
        track_id: an existing object to correct; None starts a new one, unless this shows one that is followed already, under
            this label or none.

    Raises:
        PromptError: an overlong label, no points, too many, not finite, other labels than 0 and 1, none of them 1 for a new object.
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
            raise PromptError("every point is two finite numbers (x, y)")
        labels = tuple(int(value) for value in self.labels) or (1,) * len(self.points)
        if len(labels) != len(self.points):
            raise PromptError(f"{len(self.points)} points came with {len(labels)} labels; give one label for each, or none")
        if set(labels) - {0, 1}:
            raise PromptError("labels of points are 1 (on the object) or 0 (not on it)")
        if self.track_id is None and 1 not in labels:
            raise PromptError("a new object needs at least one point on it (label 1)")
        object.__setattr__(self, "points", tuple((float(x), float(y)) for x, y in self.points))
        object.__setattr__(self, "labels", labels)

    def check_fits(self, height: int, width: int) -> PointPrompt:
        """The prompt itself. Raises PromptError when a point lies off the image."""
        for x, y in self.points:
            if not (-0.5 <= x < width - 0.5 and -0.5 <= y < height - 0.5):
                raise PromptError(f"the point ({x:g}, {y:g}) lies off the {width} x {height} image")
        return self


@dataclass(frozen=True, eq=False)
class MaskPrompt:
    """What a mask covers.

    Attributes:
        mask: bool [H, W], of the image's size.
        label: name of the object, may be empty.
        track_id: an existing object to correct; None starts a new one, unless this shows one that is followed already, under
            this label or none.

    Raises:
        PromptError: not two-dimensional, empty, or an overlong label.
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
            raise PromptError("the mask is empty: no pixel is set")
        object.__setattr__(self, "mask", np.ascontiguousarray(mask.astype(bool)))

    def check_fits(self, height: int, width: int) -> MaskPrompt:
        """The prompt itself. Raises PromptError when the mask has another size than the image."""
        if self.mask.shape != (height, width):
            raise PromptError(f"the mask is {self.mask.shape[1]} x {self.mask.shape[0]}, the image {width} x {height}; make them equal")
        return self


ObjectPrompt = Union[BoxPrompt, PointPrompt, MaskPrompt]
Prompt = Union[TextPrompt, BoxPrompt, PointPrompt, MaskPrompt]
