# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The interface of detectors, the check of their results, and the suppression of duplicate detections.

Call a detector through `detect`, `detect_batch` and `unknown_words`. They check the result of every detector, built-in or plug-in, in the
same way. The rest of the package then relies on valid detections.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import cv2
import numpy as np
from numpy.typing import NDArray

from lang2segtrack_ros.detection.abilities import has_ability, missing_parts
from lang2segtrack_ros.types.checks import as_finite, as_list, as_number, describe
from lang2segtrack_ros.types.prompts import BoxPrompt, MaskPrompt, PromptError
from lang2segtrack_ros.types.rle import Box

log = logging.getLogger(__name__)
SAME_PHRASE_IOU = 0.5
"""IoU above which two boxes of the same phrase count as one object."""
OTHER_PHRASE_IOU = 0.8
"""IoU above which two boxes of different phrases count as one object. The phrase with the higher score becomes the label."""
SHORT_VOCABULARY = 50
"""Maximum number of words of a detector that a note lists."""
_MAX_ROUNDING = 1e-6  # a mean of scores in float32 may exceed 1 by this much


class DetectorError(ValueError):
    """A detector that lacks a part, or whose result is no list of detections. The message names the fault."""


@dataclass(frozen=True)
class Detection:
    """One detected object. `check_detections` validates it.

    Attributes:
        label: one of the requested phrases.
        score: confidence of the detector, 0..1.
        box: (x_min, y_min, x_max, y_max) in pixels, with exclusive maxima.
        mask: bool [H, W], the pixels of the object. It prompts the tracker instead of the box. None if the detector gives boxes only.
    """

    label: str
    score: float
    box: tuple[float, float, float, float]
    mask: NDArray[np.bool_] | None = field(default=None, compare=False, repr=False)

    @property
    def prompt(self) -> BoxPrompt | MaskPrompt:
        """Return the prompt that starts the object in the tracker."""
        return BoxPrompt(self.box, self.label) if self.mask is None else MaskPrompt(self.mask, self.label)


class Detector(Protocol):
    """A network that finds objects by name.

    Attributes:
        name: name of the detector for messages.
        default_threshold: minimum score of a detection if a prompt gives none, 0..1.

    A detector with few words may name them in an attribute `vocabulary`, a sequence of texts. Notes about unknown words then list them.
    """

    name: str
    default_threshold: float

    def check(self, phrases: Sequence[str]) -> list[str]:
        """Return the words that the detector does not know.

        Args:
            phrases: the phrases of the text prompts.

        Raises:
            PromptError: the detector cannot process these phrases.
        """
        ...

    def detect(self, color: NDArray[np.uint8], phrases: Sequence[str], thresholds: Sequence[float]) -> list[Detection]:
        """Return the objects on one image, in order of falling score.

        Args:
            color: uint8 [H, W, 3], RGB.
            phrases: names of the objects.
            thresholds: minimum score for each phrase, 0..1.
        """
        ...


@runtime_checkable
class BatchDetector(Detector, Protocol):
    """A detector that processes several images in one batch."""

    def detect_batch(
        self, colors: Sequence[NDArray[np.uint8]], phrases: Sequence[str], thresholds: Sequence[float]
    ) -> list[list[Detection]]:
        """Return the detections for each image; see `Detector.detect`."""
        ...


@runtime_checkable
class ShrinkingDetector(Detector, Protocol):
    """A detector that can reduce its memory use."""

    def shrunk(self) -> Detector | None:
        """Return the same network on smaller images, or None at the smallest size. Leave this detector unchanged."""
        ...


@runtime_checkable
class AcceleratedDetector(Detector, Protocol):
    """A detector that makes itself faster by work before its detections, such as the capture of CUDA graphs.

    Attributes:
        acceleration: "off" or "graphs".
    """

    acceleration: str

    def prepare(self, images: Sequence[tuple[int, int]], max_seconds: float, report: Callable[[str], None]) -> None:
        """Do this work for some image sizes. What is not prepared runs as usual.

        Args:
            images: heights and widths of images in pixels.
            max_seconds: time in seconds after which the preparation ends.
            report: called with sentences on the progress.
        """
        ...

    def has_missed(self) -> bool:
        """Return True if recent detections lacked this work often enough to do it."""
        ...

    def prepare_missed(self) -> None:
        """Do the work that recent detections lacked. The detector's thread calls it between two detections."""
        ...

    def acceleration_metrics(self) -> dict[str, object]:
        """Return the acceleration in use and its counters by name, for diagnostics."""
        ...


class ExemplarMatcher(Protocol):
    """A network that finds all objects that look like one that is shown.

    Attributes:
        name: name of the matcher for messages.
        default_exemplar_threshold: minimum score of a detection if a prompt gives none, 0..1.
    """

    name: str
    default_exemplar_threshold: float

    def encode_exemplar(self, color: NDArray[np.uint8], box: Box) -> object:
        """Return the features of the object in a box, for any number of calls of `detect_exemplar`.

        Args:
            color: uint8 [H, W, 3], RGB.
            box: (x_min, y_min, x_max, y_max) in pixels, with exclusive maxima.

        Raises:
            PromptError: the box covers no pixel of the image, or shows no object.
        """
        ...

    def detect_exemplar(
        self, color: NDArray[np.uint8], exemplars: Sequence[Any], labels: Sequence[str], thresholds: Sequence[float]
    ) -> list[Detection]:
        """Return the objects on one image that look like an exemplar, in order of falling score.

        Args:
            color: uint8 [H, W, 3], RGB.
            exemplars: results of `encode_exemplar`.
            labels: label of each exemplar. Several exemplars may have the same label.
            thresholds: minimum score for each exemplar, 0..1.
        """
        ...


@runtime_checkable
class ExemplarDetector(Detector, ExemplarMatcher, Protocol):
    """A detector that is a matcher, too."""


def check_detector(detector: Detector) -> None:
    """Check that an object has the parts of a detector.

    Args:
        detector: the object.

    Raises:
        DetectorError: the object is a class, lacks a part, or its default threshold is no number from 0 to 1.
    """
    if isinstance(detector, type):
        raise DetectorError(f"detector is {describe(detector)}: give an object, such as {detector.__name__}()")
    missing = missing_parts(detector)
    if missing:
        raise DetectorError(
            f"detector is {describe(detector)}, which lacks {', '.join(missing)}: "
            'load one, such as load_detector("toy"), or see docs/extend.md for your own'
        )
    threshold = as_number(detector.default_threshold)
    if threshold is None or not 0 <= threshold <= 1:
        raise DetectorError(
            f'detector "{detector.name}" has the default_threshold {describe(detector.default_threshold)}: give a number from 0 to 1'
        )


def detect(detector: Detector, color: NDArray[np.uint8], phrases: Sequence[str], thresholds: Sequence[float]) -> list[Detection]:
    """Return the checked detections on one image, in order of falling score.

    Args:
        detector: any detector.
        color: uint8 [H, W, 3], RGB.
        phrases: names of the objects.
        thresholds: minimum score for each phrase, 0..1.

    Raises:
        DetectorError: the result of the detector is no list of valid detections.
        Exception: any exception of the detector.
    """
    return _checked(detector, detector.detect(color, phrases, thresholds), color, phrases)


def detect_exemplar(
    matcher: ExemplarMatcher, color: NDArray[np.uint8], exemplars: Sequence[Any], labels: Sequence[str], thresholds: Sequence[float]
) -> list[Detection]:
    """Return the checked detections of exemplars on one image, in order of falling score.

    Args:
        matcher: any matcher.
        color: uint8 [H, W, 3], RGB.
        exemplars: results of its `encode_exemplar`.
        labels: label of each exemplar.
        thresholds: minimum score for each exemplar, 0..1.

    Raises:
        DetectorError: the result of the matcher is no list of valid detections.
        Exception: any exception of the matcher.
    """
    return _checked(matcher, matcher.detect_exemplar(color, exemplars, labels, thresholds), color, labels)


def detect_batch(
    detector: Detector, colors: Sequence[NDArray[np.uint8]], phrases: Sequence[str], thresholds: Sequence[float]
) -> list[list[Detection]]:
    """Return the checked detections on each image, in one batch if the detector supports it. See `detect` for the errors.

    Args:
        detector: any detector.
        colors: uint8 [H, W, 3] images, RGB.
        phrases: names of the objects.
        thresholds: minimum score for each phrase, 0..1.
    """
    if not isinstance(detector, BatchDetector):
        return [detect(detector, color, phrases, thresholds) for color in colors]
    found = detector.detect_batch(colors, phrases, thresholds)
    if not isinstance(found, (list, tuple)) or len(found) != len(colors):
        got = f"{len(found)} lists" if isinstance(found, (list, tuple)) else describe(found)
        raise DetectorError(
            f'detector "{detector.name}" returned {got} for {len(colors)} images: detect_batch must return one list of Detection for each'
        )
    return [_checked(detector, items, color, phrases) for items, color in zip(found, colors)]


def _checked(detector: Detector | ExemplarMatcher, found: object, color: NDArray[np.uint8], phrases: Sequence[str]) -> list[Detection]:
    """Return the result of a detector on one image, with plain numbers and in order of falling score. Raise DetectorError for a fault."""
    if not isinstance(found, (list, tuple)):
        raise DetectorError(f'detector "{detector.name}" returned {describe(found)}: it must return a list of Detection')
    checked = []
    for item in found:
        fault = _fault(item, color, phrases)
        if fault:
            raise DetectorError(f'detector "{detector.name}" returned {fault}')
        x1, y1, x2, y2 = map(float, as_list(item.box) or ())
        checked.append(Detection(item.label, min(max(float(item.score), 0.0), 1.0), (x1, y1, x2, y2), item.mask))
    return sorted(checked, key=lambda item: -item.score)


def _fault(item: object, color: NDArray[np.uint8], phrases: Sequence[str]) -> str:
    """Return the fault of one item of a result as the end of a sentence, or an empty text for a valid detection."""
    if not isinstance(item, Detection):
        return f"a list with {describe(item)}: each item must be a Detection"
    if item.label not in phrases:
        return f"the label {describe(item.label)}: it must be one of the phrases, {', '.join(phrases)}"
    score, box = as_number(item.score), [as_finite(value) for value in as_list(item.box) or ()]
    if score is None or not -_MAX_ROUNDING <= score <= 1 + _MAX_ROUNDING:
        return f'the score {describe(item.score)} for "{item.label}": it must be a number from 0 to 1'
    edges = [value for value in box if value is not None]
    if len(box) != 4 or len(edges) != 4:
        return f'the box {describe(item.box)} for "{item.label}": it must be four finite numbers (x_min, y_min, x_max, y_max)'
    if edges[2] <= edges[0] or edges[3] <= edges[1]:
        return f'the box {describe(item.box)} for "{item.label}": x_max must be greater than x_min, and y_max than y_min'
    if max(map(abs, edges)) <= 1 < max(color.shape[:2]):
        return f'the box {describe(item.box)} for "{item.label}": it must be in pixels, so multiply by the width and height of the image'
    return "" if item.mask is None else _mask_fault(item, color.shape[:2])


def _mask_fault(item: Detection, size: tuple[int, ...]) -> str:
    """Return the fault of the mask of a detection on an image of a size, see `_fault`."""
    mask = item.mask
    if not isinstance(mask, np.ndarray) or mask.dtype != bool or mask.shape != size:
        return f'the mask {describe(mask)} for "{item.label}": it must be a bool array of the size of the image, {list(size)}'
    return "" if mask.any() else f'an empty mask for "{item.label}": leave out the mask, or the detection'


def unknown_words(detector: Detector, phrases: Sequence[str]) -> list[str]:
    """Return the words that a detector does not know.

    Args:
        detector: any detector.
        phrases: the phrases of the text prompts.

    Raises:
        PromptError: the detector finds nothing by text or cannot process these phrases, its check raised another exception, or it
            returned no list of words.
    """
    if not has_ability(detector, "text"):
        raise PromptError(
            f'detector "{detector.name}" finds no objects by text: load a detector with the ability text, see lang2segtrack models'
        )
    try:
        unknown = detector.check(phrases)
    except PromptError:
        raise
    except Exception as error:  # the check may be code of a plug-in, which may raise anything
        raise PromptError(f'detector "{detector.name}" failed to check the text: {type(error).__name__}: {error}') from error
    if not isinstance(unknown, (list, tuple)) or not all(isinstance(word, str) for word in unknown):
        raise PromptError(f'detector "{detector.name}" returned {describe(unknown)} from check: it must return the unknown words as a list')
    return list(unknown)


def vocabulary_notes(detector: Detector, phrases: Sequence[str]) -> list[str]:
    """Return a sentence for the user if the detector does not know some words.

    Args:
        detector: any detector.
        phrases: the phrases of a text prompt.

    Raises:
        PromptError: see `unknown_words`. The traceback of the detector's own exception is logged.
    """
    try:
        unknown = unknown_words(detector, phrases)
    except PromptError as error:
        if error.__cause__ is not None:
            log.error("the check of a text by the detector failed", exc_info=error.__cause__)
        raise
    if not unknown:
        return []
    known = list(getattr(detector, "vocabulary", ()))
    words = f". It knows: {', '.join(known)}" if 0 < len(known) <= SHORT_VOCABULARY else ""
    return [f"the detector does not know: {', '.join(unknown)}; detections for these words are unreliable{words}"]


def suppress_duplicates(detections: Sequence[Detection]) -> list[Detection]:
    """Keep one detection of each object, in order of falling score.

    Non-maximum suppression runs first within each phrase (`SAME_PHRASE_IOU`), then across phrases (`OTHER_PHRASE_IOU`).

    Args:
        detections: all detections on one image.
    """

    def suppressed(items: list[Detection], iou: float) -> list[Detection]:
        boxes = [(x1, y1, x2 - x1, y2 - y1) for x1, y1, x2, y2 in (item.box for item in items)]
        kept = cv2.dnn.NMSBoxes(boxes, [item.score for item in items], 0.0, iou)
        return [items[int(index)] for index in np.asarray(kept).ravel()]

    by_label: dict[str, list[Detection]] = {}
    for item in detections:
        by_label.setdefault(item.label, []).append(item)
    remaining = [item for items in by_label.values() for item in suppressed(items, SAME_PHRASE_IOU)]
    return sorted(suppressed(remaining, OTHER_PHRASE_IOU) if remaining else [], key=lambda item: -item.score)
