# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""A value of a wrong type is refused where it is given, in one sentence. NumPy scalars and arrays are converted.

Users of a notebook mix texts, arrays and numbers. Accepted silently, such a value fails images later, far from the line that gave it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lang2segtrack_ros.session.options import SessionOptions
from lang2segtrack_ros.types.checks import as_finite, as_integer, as_list, as_number, describe
from lang2segtrack_ros.types.frame import CameraModel, Frame, FrameError
from lang2segtrack_ros.types.options import OptionError
from lang2segtrack_ros.types.prompts import BoxPrompt, MaskPrompt, PointPrompt, PromptError, TextPrompt

COLOR = np.zeros((4, 4, 3), np.uint8)
BOX = (1, 2, 3, 4)
IDS = np.array([[0, 1, 2], [7, 7, 2]])


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: TextPrompt(["a", "b"]), r"text is \['a', 'b'\]: give one text, such as"),  # a list of names is not split
        (lambda: TextPrompt(None), "text is None: give one text"),
        (lambda: TextPrompt("a", None), 'mode is None; it must be "once" or "continuous"'),
        (lambda: TextPrompt("a", threshold="0.3"), r"threshold is '0.3' \(str\); it must be a number between 0 and 1"),
        (lambda: TextPrompt("a", threshold=math.nan), "threshold is nan; it must be a number between 0 and 1"),
        (lambda: TextPrompt("a", threshold=True), r"threshold is True \(bool\)"),
        (lambda: TextPrompt("a", interval=1.5), "interval is 1.5; it counts frames and must be an integer"),
        (lambda: BoxPrompt("1,2,3,4"), r"four finite numbers \(x_min, y_min, x_max, y_max\), not '1,2,3,4' \(str\)"),
        (lambda: BoxPrompt("1234"), "four finite numbers"),  # four characters are no four numbers
        (lambda: BoxPrompt(None), "four finite numbers .*, not None"),
        (lambda: BoxPrompt((True, 2, 3, 4)), r"four finite numbers .*, not \(True, 2, 3, 4\)"),
        (lambda: BoxPrompt(np.ones((2, 2))), "four finite numbers"),
        (lambda: BoxPrompt((0, 0, 10**400, 5)), "four finite numbers"),  # too large for a float
        (lambda: BoxPrompt(BOX, label=None), "label is None: give a text, which may be empty"),
        (lambda: BoxPrompt(BOX, track_id="1"), r"track_id is '1' \(str\): give the integer id of a track, or None"),
        (lambda: BoxPrompt(BOX, track_id=1.0), "track_id is 1.0"),
        (lambda: PointPrompt((140, 55)), r"points is \(140, 55\): put one point into a list, \[\(140, 55\)\]"),
        (lambda: PointPrompt("140,55"), "points is '140,55' .*: give a list of points"),
        (lambda: PointPrompt([(1, 2), 3]), "a point is 3, not two finite numbers"),
        (lambda: PointPrompt([(1, "2")]), r"a point is \(1, '2'\), not two finite numbers"),
        (lambda: PointPrompt([(1, 2)], labels="1"), r"labels of points are 1 .*, not '1' \(str\)"),
        (lambda: PointPrompt([(1, 2)], labels=[0.5]), r"labels of points are 1 .*, not \[0.5\]"),  # int(0.5) was 0, off the object
        (lambda: PointPrompt([(1, 2)], labels=[True]), "labels of points are 1"),
        (lambda: PointPrompt([(1, 2)], labels=1), "labels of points are 1"),
        (lambda: PointPrompt([(1, 2)], track_id="1"), "track_id is '1'"),
        (lambda: MaskPrompt("mask.png"), r"the mask is 'mask.png' \(str\): give a bool array \[H, W\]"),
        (lambda: MaskPrompt(Path("mask.png")), r"the mask is PosixPath.*: give a bool array"),
        (lambda: MaskPrompt([[True], [True, False]]), r"the mask is no array .*: give a bool array"),
        (lambda: MaskPrompt(IDS), r"the mask holds several values \(1, 2, 7\): .* such as mask == 1"),  # would merge all objects
        (lambda: MaskPrompt(np.array([[0.2, 0.9]])), r"several values \(0.2, 0.9\): .* such as mask > 0.5"),  # probabilities
        (lambda: MaskPrompt(np.arange(20).reshape(4, 5)), r"\(1, 2, 3, 4, 5, 6, 7, 8, \.\.\.\)"),
        (lambda: MaskPrompt(np.ones((2, 2), bool), track_id="1"), "track_id is '1'"),
    ],
)
def test_prompt_of_wrong_types_is_refused(make: Callable[[], Any], sentence: str) -> None:
    with pytest.raises(PromptError, match=sentence):
        make()


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Frame([[0]]), r"color must be a uint8 array \[H, W, 3\] in RGB order, not \[\[0\]\]"),
        (lambda: Frame(COLOR, None), "stamp_ns is None: give whole nanoseconds"),
        (lambda: Frame(COLOR, 1.5), "stamp_ns is 1.5: give whole nanoseconds, such as round"),  # seconds instead of nanoseconds
        (lambda: Frame(COLOR, math.nan), "stamp_ns is nan"),
        (lambda: Frame(COLOR, True), r"stamp_ns is True \(bool\)"),
        (lambda: Frame(COLOR, depth=[[1.0]]), r"depth must be a float32 array \[h, w\] in meters, not \[\[1.0\]\]"),
        (lambda: Frame(COLOR, camera="x"), r"camera must be a CameraModel or None, not 'x' \(str\)"),
        (lambda: CameraModel("500", 500, 1, 1, 4, 4), "no valid intrinsics .fx='500'"),
        (lambda: CameraModel(500, 500, None, 1, 4, 4), "no valid intrinsics"),
        (lambda: CameraModel(500, 500, 1, 1, "4", 4), "has the size '4' x 4: give whole numbers of pixels"),
        (lambda: CameraModel(500, 500, 1, 1, 4, 4, distortion=0.1), "distortion coefficients that are not finite"),
    ],
)
def test_frame_of_wrong_types_is_refused(make: Callable[[], Any], sentence: str) -> None:
    with pytest.raises(FrameError, match=sentence):
        make()


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"detect_every": "3"}, r"detect_every is '3' \(str\): it must be an integer"),
        ({"detect_every": 2.5}, "detect_every is 2.5: it must be an integer"),
        ({"detect_every": True}, "detect_every is True"),
        ({"reid_threshold": None}, "reid_threshold is None: it must be a number"),
        ({"resolve_crossings": "no"}, "resolve_crossings is 'no' .*: it must be True or False"),  # a text is true for Python
        ({"appearance": 1}, "appearance is 1: it must be a text"),
    ],
)
def test_option_of_a_wrong_type_is_refused(values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(OptionError, match=sentence):
        SessionOptions(**values)


def test_numpy_values_are_converted() -> None:
    """A stamp from an array and a box from a detector are the usual case. Unsigned and 32-bit values would spoil later differences."""
    frame = Frame(COLOR, np.uint64(7))  # type: ignore[arg-type]
    assert (frame.stamp_ns, type(frame.stamp_ns)) == (7, int)
    for box in (np.array(BOX, np.float32), torch.tensor(BOX), [np.float32(value) for value in BOX], list(BOX)):
        prompt = BoxPrompt(box, track_id=np.int64(3))  # type: ignore[arg-type]
        assert (prompt.box, prompt.track_id) == (BOX, 3)
        assert {type(value) for value in (*prompt.box, prompt.track_id)} == {float, int}
    points = PointPrompt(np.array([[1, 2], [3, 4]], np.int32), np.array([1, 0]))  # type: ignore[arg-type]
    assert (points.points, points.labels) == (((1.0, 2.0), (3.0, 4.0)), (1, 0))
    text = TextPrompt("cup", threshold=np.float32(0.5), interval=np.int16(4))  # type: ignore[arg-type]
    assert (text.threshold, text.interval, type(text.interval)) == (0.5, 4, int)
    assert SessionOptions(detect_every=np.int64(3), reid_threshold=1).detect_every == 3  # type: ignore[arg-type]
    CameraModel(np.float64(500), np.float32(500), 1, 1, np.int64(4), 4, distortion=np.zeros(5))  # type: ignore[arg-type]


def test_negative_stamp_is_accepted() -> None:
    """Some videos start at a negative time, and only differences of stamps count."""
    assert Frame(COLOR, -1).stamp_ns == -1


def test_mask_of_one_number_is_accepted() -> None:
    """Masks of other tools hold 0 and 255, 0.0 and 1.0, or one id."""
    for mask in (np.eye(3, dtype=np.uint8) * 255, np.eye(3), np.eye(3, dtype=int) * 7, np.eye(3).tolist()):
        np.testing.assert_array_equal(MaskPrompt(mask).mask, np.eye(3, dtype=bool))  # type: ignore[arg-type]


def test_checks_of_single_values() -> None:
    """All doors use these functions."""
    assert [as_number(value) for value in (1, math.inf, np.float32(0.5), True, "1", None, math.nan, 10**400)] == [
        *(1.0, math.inf, 0.5),
        *(None,) * 5,
    ]
    assert [as_finite(value) for value in (2, math.inf)] == [2.0, None]
    assert [as_integer(value) for value in (np.uint8(3), 3.0, np.True_, "3")] == [3, None, None, None]
    assert [as_list(value) for value in ((1, 2), np.array(1), "12", {1: 2})] == [[1, 2], None, None, None]
    assert describe(iter([])) == "a list_iterator", "an address helps nobody"
    assert describe("x" * 1000) == f"'{'x' * 12}...{'x' * 13}' (str)", "a message stays short"
