# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""A session refuses arguments of a wrong type at once, and logs the outcome of prompts that nobody asks for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from lang2segtrack_ros.detection.detector import DetectorError
from lang2segtrack_ros.detection.grounding_dino import GroundingDinoDetector
from lang2segtrack_ros.history.backward_pass import RefinementError
from lang2segtrack_ros.history.frame_history import FrameHistory
from lang2segtrack_ros.models.catalogue import TOY_FOLDER, WeightsError
from lang2segtrack_ros.models.loading import load_detector, load_segmenter
from lang2segtrack_ros.models.plugins import PluginError
from lang2segtrack_ros.segmentation.sam2 import Sam2Segmenter
from lang2segtrack_ros.session.session import Session
from lang2segtrack_ros.toyworld.scene import SceneFrame
from lang2segtrack_ros.tracking.open_frame import TrackerError
from lang2segtrack_ros.tracking.policies.samurai import SamuraiPolicy
from lang2segtrack_ros.types.checks import ArgumentError
from lang2segtrack_ros.types.frame import Frame, FrameError
from lang2segtrack_ros.types.prompts import BoxPrompt, PromptError, TextPrompt
from test.conftest import body_box


class Uncertain:
    """A detector whose threshold is a text, as from a configuration file."""

    name, default_threshold = "uncertain", "0.3"

    def check(self, phrases: Any) -> list[str]:
        return []

    def detect(self, *_: Any) -> list[Any]:
        return []


class HighBar(SamuraiPolicy):
    """A policy with a text for a number."""

    visible_above = "high"  # type: ignore[assignment]


@pytest.mark.parametrize(
    ("arguments", "error", "sentence"),
    [
        ({"segmenter": "toy"}, ArgumentError, r"segmenter is 'toy' \(str\): give a loaded segmenter, such as load_segmenter"),
        ({"segmenter": load_segmenter}, ArgumentError, "segmenter is the function load_segmenter: give"),
        ({"detector": "toy"}, DetectorError, r"detector is 'toy' .* lacks name, .*: load one, such as load_detector\(.toy.\)"),
        ({"detector": load_detector}, DetectorError, "detector is the function load_detector, which lacks"),
        ({"detector": Uncertain}, DetectorError, r"detector is the class Uncertain: give an object, such as Uncertain\(\)"),
        ({"detector": Uncertain()}, DetectorError, r"has the default_threshold '0.3' \(str\): give a number from 0 to 1"),
        ({"policy": SamuraiPolicy}, PluginError, r"policy is the class SamuraiPolicy: give an object, such as SamuraiPolicy\(\)"),
        ({"policy": None}, PluginError, "policy is None, which lacks name, .*: give a name, such as sam2 or samurai"),
        ({"policy": HighBar("high bar", "high")}, PluginError, "has visible_above 'high' .*: give a number, and True or False"),
        ({"background": "no"}, ArgumentError, r"background is 'no' \(str\): give True or False"),  # a text is true for Python
        ({"options": {}}, ArgumentError, r"options is {} \(dict\): give SessionOptions"),  # an empty dict was taken for the defaults
        ({"history": True}, ArgumentError, r"history is True \(bool\): give a FrameHistory"),
    ],
)
def test_wrong_argument_of_a_session_is_refused(
    segmenter: Sam2Segmenter, arguments: dict[str, Any], error: type[Exception], sentence: str
) -> None:
    with pytest.raises(error, match=sentence):
        Session(**{"segmenter": segmenter, **arguments})


@pytest.mark.parametrize(
    ("call", "error", "sentence"),
    [
        (lambda session: session.prompt("cyan heart"), PromptError, r"prompt is 'cyan heart' \(str\): give a prompt, such as TextPrompt"),
        (lambda session: session.prompt(None), PromptError, "prompt is None: give a prompt"),
        (lambda session: session.prompt(TextPrompt("cup"), "1"), PromptError, "replace_prompt_id is '1' .*: give an id"),
        (lambda session: session.step(np.zeros((4, 4, 3), np.uint8)), FrameError, r"frame is uint8 \[4, 4, 3\] .*: give a Frame, such as"),
        (lambda session: session.remove("1"), TrackerError, r"track_id is '1' \(str\): give an id, which is an integer"),
        (lambda session: session.remove_text("1"), PromptError, "prompt_id is '1' .*: give an id"),
        (lambda session: session.backward(1), RefinementError, "track_ids is 1: give a list of ids, or None for all"),
        (lambda session: session.backward(["1"]), RefinementError, "track_ids is '1'"),
    ],
)
def test_wrong_argument_of_a_call_is_refused_and_changes_nothing(
    segmenter: Sam2Segmenter,
    detector: GroundingDinoDetector,
    frames: list[SceneFrame],
    call: Callable[[Session], Any],
    error: type[Exception],
    sentence: str,
) -> None:
    """The message of `remove("1")` was "there is no track 1; tracked now: 1"."""
    session = Session(segmenter, detector, history=FrameHistory())
    session.prompt(BoxPrompt(body_box(frames[0], 1)))
    session.step(Frame(frames[0].color, 0))
    before = session.state
    with pytest.raises(error, match=sentence):
        call(session)
    assert session.state is before
    assert [track.id for track in session.step(Frame(frames[1].color, 66_000_000)).tracks] == [1]


def test_integer_of_numpy_is_an_id(segmenter: Sam2Segmenter, frames: list[SceneFrame]) -> None:
    session = Session(segmenter)
    session.prompt(BoxPrompt(body_box(frames[0], 1)))
    session.step(Frame(frames[0].color, 0))
    session.remove(np.int64(1))  # type: ignore[arg-type]
    assert not session.state.tracks


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"max_seconds": "x"}, r"a history of 'x' \(str\) s and \d+ bytes .*: both must be positive numbers"),
        ({"max_seconds": float("nan")}, "a history of nan s"),
        ({"max_bytes": 0}, "and 0 bytes cannot hold a frame"),
        ({"folder": "history"}, r"folder is 'history' \(str\): give a pathlib.Path"),
    ],
)
def test_wrong_argument_of_a_history_is_refused(arguments: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ArgumentError, match=sentence):
        FrameHistory(**arguments)


def test_history_without_a_limit_in_seconds_is_allowed() -> None:
    FrameHistory(max_seconds=float("inf")).close()


@pytest.mark.parametrize(
    ("load", "sentence"),
    [
        (lambda: load_segmenter(3), 'the segmenter name is 3: give a text, such as "toy"'),
        (lambda: load_detector(None), "the detector name is None: give a text"),
        (lambda: load_segmenter("toy", 3), 'device is 3; use "auto", "cpu"'),
        (lambda: load_segmenter("toy", "cpu", "256"), r"image_size '256' \(str\) does not fit this network: use a multiple of 32"),
        (lambda: load_segmenter("toy", "cpu", 256.0), "image_size 256.0 does not fit this network"),
        (lambda: load_detector("toy", "cpu", []), r"dtype is \[\]; it must be"),
        (lambda: load_detector("toy", "cpu", passes="2"), r"passes is '2' \(str\): give an integer"),
    ],
)
def test_wrong_argument_of_loading_is_refused(load: Callable[[], Any], sentence: str) -> None:
    """Callers of `load_*` handle WeightsError only."""
    with pytest.raises(WeightsError, match=sentence):
        load()


def test_network_loads_from_a_path(detector: GroundingDinoDetector) -> None:
    """Users pass a pathlib.Path for the folder of a checkpoint. Messages and logs need its text."""
    folder = TOY_FOLDER
    assert load_segmenter(folder / "segmenter", "cpu").name == str(folder / "segmenter")
    assert load_detector(folder / "detector", "cpu").name == str(folder / "detector")


def test_outcome_without_an_object_is_logged_once(
    segmenter: Sam2Segmenter, detector: GroundingDinoDetector, frames: list[SceneFrame], caplog: pytest.LogCaptureFixture
) -> None:
    """A loop over results that keeps no handle would otherwise be silent about a wrong word or a wrong box."""
    session = Session(segmenter, detector)
    session.prompt(TextPrompt("unicorn."))
    session.prompt(BoxPrompt((900, 900, 950, 950)))
    for index in range(3):
        session.step(Frame(frames[index].color, index * 66_000_000))
    messages = [record.getMessage().partition(". It knows")[0] for record in caplog.records]
    assert messages == [
        "the detector does not know: unicorn; detections for these words are unreliable",
        "not found on this image: unicorn; the detector looks again every 5 images",
        "the session refused a BoxPrompt: the box (900, 900, 950, 950) lies outside the 320 x 240 image: give a box inside it",
    ]


def test_caller_that_reports_the_outcome_turns_the_log_off(
    segmenter: Sam2Segmenter, detector: GroundingDinoDetector, frames: list[SceneFrame], caplog: pytest.LogCaptureFixture
) -> None:
    """Recordings, pages and services show the same sentences themselves."""
    session = Session(segmenter, detector)
    handle = session.prompt(TextPrompt("unicorn."), log_outcome=False)
    session.step(Frame(frames[0].color, 0))
    assert len(handle.notes) == 2
    assert not caplog.records
