# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Detections with masks prompt the tracker with their masks instead of their boxes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from lang2segtrack_ros.detection.detector import Detection
from lang2segtrack_ros.segmentation.sam2 import Sam2Segmenter
from lang2segtrack_ros.session.options import SessionOptions
from lang2segtrack_ros.session.session import Session
from lang2segtrack_ros.toyworld.scene import SceneFrame
from lang2segtrack_ros.types.frame import Frame
from lang2segtrack_ros.types.prompts import TextPrompt
from test.conftest import body_box, iou

PERIOD_NS = 66_666_667


class MaskDetector:
    """A detector that finds the red circle on any image, and gives the box of the whole left half of the image with it."""

    name, default_threshold = "masks", 0.5

    def __init__(self, frames: Sequence[SceneFrame], with_masks: bool, box: tuple[float, float, float, float] | None) -> None:
        self._masks = {frame.color.tobytes(): frame.instances == 1 for frame in frames}
        self._boxes = {frame.color.tobytes(): box or body_box(frame, 1) for frame in frames}
        self._with_masks = with_masks

    def check(self, phrases: Sequence[str]) -> list[str]:
        return []

    def detect(self, color: np.ndarray, phrases: Sequence[str], thresholds: Sequence[float]) -> list[Detection]:
        key = color.tobytes()
        found = Detection(phrases[0], 0.9, self._boxes[key])
        return [replace(found, mask=self._masks[key]) if self._with_masks else found]


@pytest.mark.parametrize("background", [False, True])
def test_mask_starts_an_object(segmenter: Sam2Segmenter, frames: list[SceneFrame], background: bool) -> None:
    """The box alone covers half of the image, so the segmenter would draw another mask."""
    masks = {}
    for with_masks in (True, False):
        session = Session(segmenter, MaskDetector(frames[:2], with_masks, (0.0, 0.0, 160.0, 240.0)), background=background)
        session.prompt(TextPrompt("red circle", mode="once"))
        session.step(Frame(frames[0].color, 0))
        if session.detections.worker is not None:
            session.detections.worker.wait(10)
        (track,) = session.step(Frame(frames[1].color, PERIOD_NS)).tracks
        masks[with_masks] = track.mask
        session.close()
    assert iou(masks[True], frames[1].instances == 1) > 0.85
    assert iou(masks[False], frames[1].instances == 1) < 0.5


def test_mask_corrects_a_track_that_has_drifted(segmenter: Sam2Segmenter, frames: list[SceneFrame]) -> None:
    """The track starts on half of the object. The next detection shows the whole one."""
    detector = MaskDetector(frames, True, None)
    first = frames[0].color.tobytes()
    left = detector._masks[first].copy()
    columns = np.flatnonzero(left.any(axis=0))
    left[:, columns[len(columns) // 4] :] = False
    detector._masks[first] = left
    session = Session(segmenter, detector, options=SessionOptions(detect_every=1))
    session.prompt(TextPrompt("red circle"))
    results = [session.step(Frame(frame.color, index * PERIOD_NS)) for index, frame in enumerate(frames[:6])]
    session.close()
    assert {track.id for result in results for track in result.tracks} == {results[0].tracks[0].id}
    assert iou(results[0].tracks[0].mask, frames[0].instances == 1) < 0.5
    assert iou(results[5].tracks[0].mask, frames[5].instances == 1) > 0.85
