# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Checks of the arguments that a caller gives to a session. Each refusal is one sentence."""

from __future__ import annotations

from collections.abc import Iterable

from lang2segtrack_ros.detection.detector import Detector, check_detector
from lang2segtrack_ros.history.frame_history import FrameHistory
from lang2segtrack_ros.segmentation.sam2 import Sam2Segmenter
from lang2segtrack_ros.session.options import SessionOptions
from lang2segtrack_ros.types.checks import ArgumentError, as_integer, describe


def check_parts(segmenter: object, detector: Detector | None, background: object, options: object, history: object) -> None:
    """Check the types of the arguments of a session.

    Args:
        segmenter: see `Session`.
        detector: see `Session`.
        background: see `Session`.
        options: see `Session`.
        history: see `Session`.

    Raises:
        ArgumentError: an argument has a wrong type.
        DetectorError: the detector lacks a part.
    """
    if not isinstance(segmenter, Sam2Segmenter):
        raise ArgumentError(f'segmenter is {describe(segmenter)}: give a loaded segmenter, such as load_segmenter("toy")')
    if detector is not None:
        check_detector(detector)
    if not isinstance(background, bool):
        raise ArgumentError(f"background is {describe(background)}: give True or False")
    if options is not None and not isinstance(options, SessionOptions):
        raise ArgumentError(f"options is {describe(options)}: give SessionOptions, such as SessionOptions(max_objects=8), or None")
    if history is not None and not isinstance(history, FrameHistory):
        raise ArgumentError(f"history is {describe(history)}: give a FrameHistory, such as FrameHistory(max_seconds=60), or None")


def checked_id(name: str, value: object, error: type[ValueError]) -> int:
    """Return an id as an int.

    Args:
        name: name of the argument for the message.
        value: the id.
        error: class of the error for a value that is no integer.
    """
    number = as_integer(value)
    if number is None:
        raise error(f"{name} is {describe(value)}: give an id, which is an integer")
    return number


def checked_ids(name: str, values: object, error: type[ValueError]) -> list[int]:
    """Return several ids as ints. See `checked_id` for the arguments."""
    if not isinstance(values, Iterable) or isinstance(values, str):
        raise error(f"{name} is {describe(values)}: give a list of ids, or None for all")
    return [checked_id(name, value, error) for value in values]
