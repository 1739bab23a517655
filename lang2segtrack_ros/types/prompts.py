# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The prompts of a user: objects by name or by an exemplar, and one object by box, points or mask.

Each prompt validates itself at construction, and converts NumPy values to plain ones. A value of a wrong type raises PromptError, as a
wrong value does. `check_fits` validates a prompt against the image to which it is applied.
All coordinates are pixels of the input image. For points, an integer (x, y) is the center of a pixel.
Boxes are edges (x_min, y_min, x_max, y_max) with exclusive maxima. A box around a mask therefore has the width of the mask.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Union

import numpy as np
from numpy.typing import NDArray

from lang2segtrack_ros.types.checks import as_finite, as_integer, as_list, as_number, describe

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


def _check_label(label: str) -> None:
    """Raise PromptError if a label is no text, or too long to be published with every image."""
    if not isinstance(label, str):
        raise PromptError(f"label is {describe(label)}: give a text, which may be empty")
    if len(label) > MAX_TEXT_LENGTH:
        raise PromptError(f"the label has {len(label)} characters; the maximum is {MAX_TEXT_LENGTH}: give a shorter name")


def _track_id(track_id: object) -> int | None:
    """Return the id of a track as an int. Raise PromptError if it is neither an integer nor None."""
    number = as_integer(track_id)
    if number is None and track_id is not None:
        raise PromptError(f"track_id is {describe(track_id)}: give the integer id of a track, or None for a new object")
    return number


def _pair(point: object) -> tuple[float, float]:
    """Return a point as two floats. Raise PromptError if it is no pair of finite numbers."""
    x, y = [as_finite(value) for value in items] if len(items := as_list(point) or []) == 2 else (None, None)
    if x is None or y is None:
        raise PromptError(f"a point is {describe(point)}, not two finite numbers: give every point as (x, y)")
    return x, y


def _check_box(value: object) -> tuple[float, float, float, float]:
    """Return a box as four floats. Raise PromptError if it is no box, or has no area."""
    edges = [as_finite(edge) for edge in as_list(value) or ()]
    x1, y1, x2, y2 = edges if len(edges) == 4 else (None,) * 4
    if x1 is None or y1 is None or x2 is None or y2 is None:
        raise PromptError(f"a box is four finite numbers (x_min, y_min, x_max, y_max), not {describe(value)}")
    if x2 <= x1 or y2 <= y1:
        raise PromptError(
            f"the box ({x1:g}, {y1:g}, {x2:g}, {y2:g}) is inverted or has no area: x_max must be greater than x_min, y_max than y_min"
        )
    return x1, y1, x2, y2


def _clip_box(box: tuple[float, float, float, float], height: int, width: int) -> tuple[float, float, float, float]:
    """Return a box clipped to an image. Raise PromptError if the clipped box is below 1 pixel, or the box holds fractions."""
    x1, y1, x2, y2 = box
    clipped = (max(x1, 0.0), max(y1, 0.0), min(x2, float(width)), min(y2, float(height)))
    text = f"the box ({x1:g}, {y1:g}, {x2:g}, {y2:g})"
    if min(box) >= 0 and max(box) <= 1 < max(height, width):
        raise PromptError(f"{text} is within one pixel: multiply it by the size of the image, {width} x {height}, if it holds fractions")
    if clipped[2] - clipped[0] < 1 or clipped[3] - clipped[1] < 1:
        raise PromptError(f"{text} lies outside the {width} x {height} image: give a box inside it")
    return clipped


def _check_detection(prompt: TextPrompt | ExemplarPrompt) -> None:
    """Check mode, threshold and interval of a prompt for the detector, and convert the numbers. Raise PromptError for a wrong one."""
    if not isinstance(prompt.mode, str) or prompt.mode not in ("once", "continuous"):
        raise PromptError(f'mode is {describe(prompt.mode)}; it must be "once" or "continuous"')
    threshold, interval = as_number(prompt.threshold), as_integer(prompt.interval)
    if prompt.threshold is not None and (threshold is None or not 0 <= threshold <= 1):
        raise PromptError(f"threshold is {describe(prompt.threshold)}; it must be a number between 0 and 1")
    if prompt.interval is not None and (interval is None or interval < 1):
        raise PromptError(f"interval is {describe(prompt.interval)}; it counts frames and must be an integer of 1 or more")
    object.__setattr__(prompt, "threshold", threshold)
    object.__setattr__(prompt, "interval", interval)


def _check_one_value(mask: NDArray[Any]) -> None:
    """Raise PromptError if the set pixels of an int or float mask [H, W] have several values. They would be several objects."""
    values = np.unique(mask[mask != 0])
    if len(values) > 1 or np.isnan(values[0]):
        listed = ", ".join(f"{value:g}" for value in values[:8]) + (", ..." if len(values) > 8 else "")
        example = f"mask == {values[0]:g}" if mask.dtype.kind in "iu" else "mask > 0.5"
        raise PromptError(f"the mask holds several values ({listed}): give the pixels of one object, such as {example}")


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
        PromptError: the text is empty or too long, the mode is unknown, the threshold is outside 0..1, the interval is below 1, or a
            value has a wrong type.
    """

    text: str
    mode: Literal["once", "continuous"] = "continuous"
    threshold: float | None = None
    interval: int | None = None
    phrases: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        if not isinstance(self.text, str):
            raise PromptError(f'text is {describe(self.text)}: give one text, such as "red mug. cardboard box."')
        if len(self.text) > MAX_TEXT_LENGTH:
            raise PromptError(f"the text has {len(self.text)} characters; the maximum is {MAX_TEXT_LENGTH}: name fewer objects")
        phrases = split_phrases(self.text)
        if not any(re.search(r"\w", phrase) for phrase in phrases):
            raise PromptError('the text names no object; write phrases that end in a dot, such as "red mug. cardboard box."')
        _check_detection(self)
        object.__setattr__(self, "phrases", phrases)


@dataclass(frozen=True, eq=False)
class ExemplarPrompt:
    """Objects that look like one example, the exemplar.

    Attributes:
        box: box around the exemplar: (x_min, y_min, x_max, y_max) in pixels of `image`, with exclusive maxima.
        label: name of the objects. White space around it is removed.
        image: image with the exemplar, uint8 [H, W, 3], RGB. None means the next image of the stream.
        mode: "continuous" detects new objects again and again. "once" detects on one image.
        threshold: minimum similarity of an object, 0..1. None uses the default of the matcher.
        interval: frames between two detections for this prompt. None uses `detect_every` of the session.

    Raises:
        PromptError: the box is not four finite numbers, has no area or lies outside the image, the label is empty or too long, the image
            is no uint8 array [H, W, 3], the mode is unknown, the threshold is outside 0..1, or the interval is below 1.
    """

    box: tuple[float, float, float, float]
    label: str
    image: NDArray[np.uint8] | None = None
    mode: Literal["once", "continuous"] = "continuous"
    threshold: float | None = None
    interval: int | None = None

    def __post_init__(self) -> None:
        _check_label(self.label)
        if not self.label.strip():
            raise PromptError("the exemplar has no label: name the objects that look like it, such as cup")
        image = self.image
        if image is not None:
            is_array = isinstance(image, np.ndarray) and image.dtype == np.uint8 and image.ndim == 3
            if not is_array or image.shape[2] != 3 or image.size == 0:
                raise PromptError(f"the image of the exemplar is {describe(image)}: give a uint8 array [H, W, 3] in RGB order")
        box = _check_box(self.box)
        object.__setattr__(self, "box", box if image is None else _clip_box(box, *image.shape[:2]))
        object.__setattr__(self, "label", self.label.strip())
        _check_detection(self)

    @property
    def phrases(self) -> tuple[str, ...]:
        """Return the label as the only name of the objects."""
        return (self.label,)

    def on(self, image: NDArray[np.uint8]) -> ExemplarPrompt:
        """Return the prompt with an image, RGB uint8 [H, W, 3]. Raise PromptError if the box lies outside it."""
        return replace(self, image=image)

    def __repr__(self) -> str:
        """Return a short text. The pixels would fill pages."""
        size = "" if self.image is None else f" on an image of {self.image.shape[1]} x {self.image.shape[0]}"
        settings = f"mode={self.mode!r}, threshold={self.threshold}, interval={self.interval}"
        return f"ExemplarPrompt({self.box}{size}, {self.label!r}, {settings})"


@dataclass(frozen=True)
class BoxPrompt:
    """The object inside a box.

    Attributes:
        box: (x_min, y_min, x_max, y_max) in pixels, with exclusive maxima.
        label: name of the object. May be empty.
        track_id: id of an existing object to correct. None starts a new object. If the prompt covers a tracked object with the same
            label, or one of the two has no label, None corrects that object.

    Raises:
        PromptError: the box is not four finite numbers, the box has no area, the label is no text or too long, or the id is no integer.
    """

    box: tuple[float, float, float, float]
    label: str = ""
    track_id: int | None = None

    def __post_init__(self) -> None:
        _check_label(self.label)
        object.__setattr__(self, "box", _check_box(self.box))
        object.__setattr__(self, "track_id", _track_id(self.track_id))

    def check_fits(self, height: int, width: int) -> BoxPrompt:
        """Return the prompt with its box clipped to the image. Raise PromptError if the clipped box is below 1 pixel."""
        return BoxPrompt(_clip_box(self.box, height, width), self.label, self.track_id)


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
        PromptError: the number of points is outside 1..64, a point is not two finite numbers, a point label is neither 0 nor 1, a new
            object has no point with label 1, the label is no text or too long, or the id is no integer.
    """

    points: Sequence[tuple[float, float]]
    labels: Sequence[int] = ()
    label: str = ""
    track_id: int | None = None

    def __post_init__(self) -> None:
        _check_label(self.label)
        points = as_list(self.points)
        if points is None:
            raise PromptError(f"points is {describe(self.points)}: give a list of points (x, y), such as [(140, 55)]")
        if len(points) == 2 and None not in map(as_finite, points):
            raise PromptError(f"points is {describe(self.points)}: put one point into a list, [({points[0]:g}, {points[1]:g})]")
        if not 1 <= len(points) <= MAX_POINTS:
            raise PromptError(f"a point prompt takes 1 to {MAX_POINTS} points, not {len(points)}")
        object.__setattr__(self, "points", tuple(map(_pair, points)))
        object.__setattr__(self, "track_id", _track_id(self.track_id))
        object.__setattr__(self, "labels", self._point_labels())

    def _point_labels(self) -> tuple[int, ...]:
        """Return one label for each point. Raise PromptError if they do not fit."""
        given = as_list(self.labels)
        labels = [as_integer(value) for value in given or [1] * len(self.points)]
        if given is None or not {*labels} <= {0, 1}:
            raise PromptError(f"labels of points are 1 (on the object) or 0 (off the object), not {describe(self.labels)}")
        if len(labels) != len(self.points):
            raise PromptError(f"{len(self.points)} points came with {len(labels)} labels; give one label for each point, or no labels")
        if self.track_id is None and 1 not in labels:
            raise PromptError("a new object needs at least one point on it: give one point the label 1")
        return tuple(label for label in labels if label is not None)

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
        mask: bool [H, W], of the size of the image. Numbers are accepted if all pixels of the object have the same value and others are 0.
        label: name of the object. May be empty.
        track_id: id of an existing object to correct. None starts a new object. If the prompt covers a tracked object with the same
            label, or one of the two has no label, None corrects that object.

    Raises:
        PromptError: the mask is no two-dimensional array, has no pixel set or several values, the label is no text or too long, or the
            id is no integer.
    """

    mask: NDArray[np.bool_]
    label: str = ""
    track_id: int | None = None

    def __post_init__(self) -> None:
        _check_label(self.label)
        object.__setattr__(self, "track_id", _track_id(self.track_id))
        try:
            mask = np.asarray(self.mask)
        except Exception as error:  # ragged lists, or a tensor on a GPU
            raise PromptError(f"the mask is no array ({str(error).rstrip('.')}): give a bool array [H, W]") from error
        if mask.dtype.kind not in "biuf":
            raise PromptError(f"the mask is {describe(self.mask)}: give a bool array [H, W]")
        if mask.ndim != 2 or mask.size == 0:
            raise PromptError(f"a mask is a two-dimensional array, not one of shape {list(mask.shape)}")
        if not mask.any():
            raise PromptError("the mask is empty: set at least one pixel")
        if mask.dtype != bool:
            _check_one_value(mask)
        object.__setattr__(self, "mask", np.ascontiguousarray(mask.astype(bool)))

    def check_fits(self, height: int, width: int) -> MaskPrompt:
        """Return the prompt. Raise PromptError if the mask and the image differ in size."""
        if self.mask.shape != (height, width):
            raise PromptError(
                f"the mask is {self.mask.shape[1]} x {self.mask.shape[0]}, the image {width} x {height}: make the sizes equal"
            )
        return self


ObjectPrompt = Union[BoxPrompt, PointPrompt, MaskPrompt]
DetectionPrompt = Union[TextPrompt, ExemplarPrompt]
"""A prompt whose objects a detector finds."""
Prompt = Union[DetectionPrompt, ObjectPrompt]
