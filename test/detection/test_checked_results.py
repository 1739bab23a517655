# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The result of every detector is checked at one place. A fault is reported with the name of the detector, and tracking continues."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

from lang2segtrack_ros.detection.detector import Detection, DetectorError, detect, detect_batch, unknown_words
from lang2segtrack_ros.segmentation.sam2 import Sam2Segmenter
from lang2segtrack_ros.session.engine_thread import EngineThread
from lang2segtrack_ros.session.image_segmentation import segment_images
from lang2segtrack_ros.session.options import SessionOptions
from lang2segtrack_ros.session.session import Session
from lang2segtrack_ros.toyworld.scene import SceneFrame
from lang2segtrack_ros.types.frame import Frame
from lang2segtrack_ros.types.prompts import BoxPrompt, PromptError, TextPrompt
from test.conftest import body_box

COLOR = np.zeros((40, 60, 3), np.uint8)
BOX = (10.0, 10.0, 30.0, 30.0)


class PluginDetector:
    """A detector that returns or raises what a test gives it."""

    name, default_threshold = "plug-in", 0.5

    def __init__(self, result: object = (), words: object = ()) -> None:
        self.result = result
        self.words = words

    def check(self, phrases: Sequence[str]) -> Any:
        return self._give(self.words)

    def detect(self, color: np.ndarray, phrases: Sequence[str], thresholds: Sequence[float]) -> Any:
        return self._give(self.result)

    @staticmethod
    def _give(value: object) -> object:
        if isinstance(value, Exception):
            raise value
        return value


class BatchPlugin(PluginDetector):
    """The same for several images at once."""

    def detect_batch(self, colors: Sequence[np.ndarray], phrases: Sequence[str], thresholds: Sequence[float]) -> Any:
        return self._give(self.result)


FAULTS: list[tuple[Any, str]] = [
    (None, "returned None: it must return a list of Detection"),  # a detect without a return
    ({"cup": BOX}, "returned {'cup': .*: it must return a list of Detection"),
    ([{"label": "cup", "box": BOX}], "returned a list with {.*: each item must be a Detection"),
    ([Detection("mug", 0.9, BOX)], r"returned the label 'mug' \(str\): it must be one of the phrases, cup, box"),
    ([Detection("cup", 1.7, BOX)], 'returned the score 1.7 for "cup": it must be a number from 0 to 1'),  # a logit
    ([Detection("cup", math.nan, BOX)], "returned the score nan"),
    ([Detection("cup", "0.9", BOX)], r"returned the score '0.9' \(str\)"),  # type: ignore[arg-type]
    ([Detection("cup", 0.9, (1, 2, 3))], r"returned the box \(1, 2, 3\) for \"cup\": it must be four finite numbers"),  # type: ignore[arg-type]
    ([Detection("cup", 0.9, (1, 2, math.nan, 9))], "it must be four finite numbers"),
    ([Detection("cup", 0.9, None)], "returned the box None"),  # type: ignore[arg-type]
    ([Detection("cup", 0.9, (30, 10, 10, 30))], "x_max must be greater than x_min"),
    ([Detection("cup", 0.9, (0.1, 0.2, 0.5, 0.9))], "it must be in pixels, so multiply by the width and height"),
    ([Detection("cup", 0.9, BOX, np.ones((4, 4), bool))], r"returned the mask bool \[4, 4\] .* bool array of the size of the image"),
    ([Detection("cup", 0.9, BOX, np.ones(COLOR.shape[:2]))], "returned the mask float64"),  # type: ignore[arg-type]
    ([Detection("cup", 0.9, BOX, np.zeros(COLOR.shape[:2], bool))], 'returned an empty mask for "cup": leave out the mask'),
]


@pytest.mark.parametrize(("result", "sentence"), FAULTS)
def test_faulty_result_is_refused(result: object, sentence: str) -> None:
    """The faults that a first detector of one's own has."""
    with pytest.raises(DetectorError, match=f'^detector "plug-in" .*{sentence}'):
        detect(PluginDetector(result), COLOR, ("cup", "box"), (0.5, 0.5))


def test_valid_result_is_converted_and_sorted() -> None:
    """Networks return arrays and tensors, in any order. Rounding may lift a mean of probabilities a little above 1."""
    result = [
        Detection("cup", np.float32(0.5), np.array(BOX, np.float32)),  # type: ignore[arg-type]
        Detection("box", 1.0000001, torch.tensor(BOX)),  # type: ignore[arg-type]
    ]
    assert detect(PluginDetector(result), COLOR, ("cup", "box"), (0.5, 0.5)) == [Detection("box", 1.0, BOX), Detection("cup", 0.5, BOX)]


@pytest.mark.parametrize(
    ("result", "sentence"),
    [
        (None, "returned None for 2 images: detect_batch must return one list of Detection for each"),
        ([[]], "returned 1 lists for 2 images"),
        ([[], None], "returned None: it must return a list of Detection"),
        ([[], [Detection("mug", 0.9, BOX)]], "returned the label 'mug'"),
    ],
)
def test_faulty_result_for_a_batch_is_refused(result: object, sentence: str) -> None:
    """Lists of another length would give an image the objects of another one."""
    with pytest.raises(DetectorError, match=f'^detector "plug-in" {sentence}'):
        detect_batch(BatchPlugin(result), [COLOR, COLOR], ("cup",), (0.5,))


def test_single_images_are_checked_too(segmenter: Sam2Segmenter) -> None:
    with pytest.raises(DetectorError, match="returned the label 'mug'"):
        segment_images(segmenter, PluginDetector([Detection("mug", 0.9, BOX)]), [COLOR], ["cup"])


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (KeyError("cup"), "detector \"plug-in\" failed to check the text: KeyError: 'cup'"),
        (None, 'detector "plug-in" returned None from check: it must return the unknown words as a list'),
        ([3], r'detector "plug-in" returned \[3\] from check'),
        ("cup", r"returned 'cup' \(str\) from check"),  # would be three unknown words
        (PromptError("too long"), "^too long$"),  # the detector's own refusal
    ],
)
def test_faulty_check_refuses_the_prompt(words: object, sentence: str) -> None:
    with pytest.raises(PromptError, match=sentence):
        unknown_words(PluginDetector(words=words), ("cup",))


def test_exception_of_a_check_is_logged_with_its_traceback(segmenter: Sam2Segmenter, caplog: pytest.LogCaptureFixture) -> None:
    """The author of the detector needs the line that raised."""
    with pytest.raises(PromptError, match="KeyError"):
        Session(segmenter, PluginDetector(words=KeyError("cup"))).prompt(TextPrompt("cup"))
    assert "in _give" in caplog.text


@pytest.mark.parametrize("background", [False, True])
@pytest.mark.parametrize(("result", "reason"), [(RuntimeError("lens cap"), "RuntimeError: lens cap"), (None, "returned None")])
def test_failing_detector_is_reported_and_tracking_continues(
    segmenter: Sam2Segmenter,
    frames: list[SceneFrame],
    caplog: pytest.LogCaptureFixture,
    background: bool,
    result: object,
    reason: str,
) -> None:
    """The prompt, the log and the diagnostics name the reason. The log has it once, with the traceback of an exception."""
    caplog.set_level(logging.ERROR)
    session = Session(segmenter, PluginDetector(result), background=background, options=SessionOptions(detect_every=1))
    session.prompt(BoxPrompt(body_box(frames[0], 1)))
    handle = session.prompt(TextPrompt("cup"), log_outcome=False)
    for index in range(8):
        assert len(session.step(Frame(frames[index].color, index * 66_000_000)).tracks) == 1
        if session.detections.worker is not None:
            session.detections.worker.wait(60)
    assert "the detector failed 3 times, the last time with" in handle.error
    assert reason in handle.error
    (record,) = caplog.records
    assert reason in record.getMessage()
    assert record.getMessage().endswith("; tracking continues")
    assert ("in _give" in caplog.text) is isinstance(result, Exception), "a fault of the result is one sentence"
    engine: EngineThread[int] = EngineThread(session, lambda *_: None)
    metrics, errors = engine.metrics, engine.last_errors
    engine.close()
    assert int(str(metrics["detections_failed"])) >= 3
    assert any(reason in error for error in errors)


def test_detector_that_recovers_finds_its_objects(segmenter: Sam2Segmenter, frames: list[SceneFrame]) -> None:
    """A prompt stays after its first detections failed."""
    detector = PluginDetector(RuntimeError("lens cap"))
    session = Session(segmenter, detector, options=SessionOptions(detect_every=1, confirm_score_ratio=0.0))
    session.prompt(TextPrompt("cup"))
    for index in range(8):
        if index == 5:
            detector.result = [Detection("cup", 0.9, body_box(frames[5], 1))]
        result = session.step(Frame(frames[index].color, index * 66_000_000))
    assert [track.label for track in result.tracks] == ["cup"]
