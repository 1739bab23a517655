# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""SAM 2 as published, behind the methods of a session. test/tracking compares its logits with those of the tracker."""

from __future__ import annotations

from lang2segtrack_ros.evaluation.reference import Sam2Reference
from lang2segtrack_ros.segmentation.sam2 import Sam2Segmenter
from lang2segtrack_ros.toyworld.scene import SceneFrame
from lang2segtrack_ros.types.frame import Frame
from lang2segtrack_ros.types.prompts import BoxPrompt
from lang2segtrack_ros.types.results import TrackStatus
from test.conftest import body_box, iou


def test_masks_follow_two_objects_of_which_one_starts_late(segmenter: Sam2Segmenter, frames: list[SceneFrame]) -> None:
    reference = Sam2Reference(segmenter)
    starts = {1: 1, 3: 2}  # frame of the prompt -> number of the object
    ids: dict[int, int] = {}
    for index, frame in enumerate(frames[:5]):
        handle = reference.prompt(BoxPrompt(body_box(frame, starts[index]), f"body {starts[index]}")) if index in starts else None
        result = reference.step(Frame(frame.color, index))
        if handle is not None:
            ids[starts[index]] = handle.track_ids[0]
        assert [track.id for track in result.tracks] == sorted(ids.values())
        for number, track_id in ids.items():
            track = result.by_id[track_id]
            assert (track.label, track.state) == (f"body {number}", TrackStatus.TRACKED)
            assert iou(track.mask, frame.instances == number) > 0.8
    assert len(ids) == 2
