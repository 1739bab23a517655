# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Scores of tracks that are known in advance."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lang2segtrack_ros.evaluation.identity import IdentityRecord
from lang2segtrack_ros.evaluation.prompted import track_prompted
from lang2segtrack_ros.evaluation.scores import TrackScore, merge
from lang2segtrack_ros.evaluation.texts import names_of, scene_text, track_text
from lang2segtrack_ros.toyworld.scene import SceneFrame
from lang2segtrack_ros.toyworld.suites import Clip, make_clip
from lang2segtrack_ros.types.prompts import TextPrompt
from lang2segtrack_ros.types.results import TrackStatus
from test.evaluation.worlds import Entry, ScriptedTracker

pytest.importorskip("trackeval", reason="the benchmark's library")
TRACKED, TENTATIVE = TrackStatus.TRACKED, TrackStatus.TENTATIVE


@pytest.fixture(scope="module")
def clip() -> Clip:
    """Return two objects that keep clear of each other, on 24 frames."""
    clip = next(clip for clip in (make_clip("easy", seed, 160, 120) for seed in range(20)) if len(clip.scene.bodies) == 2)
    return replace(clip, length=24)


def entry(clip: Clip, shot: SceneFrame, track_id: int, number: int, state: TrackStatus = TRACKED) -> Entry:
    return track_id, names_of(clip).get(number, ""), shot.instances == number, state


def corner(shot: SceneFrame) -> np.ndarray:
    """Return a mask of 4 x 4 pixels of the wall."""
    mask = np.zeros(shot.instances.shape, bool)
    row, column = np.argwhere(shot.instances == 0)[0]
    mask[row : row + 4, column : column + 4] = True
    return mask


def test_j_is_a_mean_over_objects_not_over_frames() -> None:
    """One object is visible on three frames, the other on one. A hidden frame counts for neither."""
    square, nothing = np.zeros((20, 20), bool), np.zeros((20, 20), bool)
    square[5:15, 5:15] = True
    record = IdentityRecord()
    record.add(square.astype(np.uint16), [1], {1: square})
    first, second = (TrackScore(results=[record.evaluate()]) for _ in range(2))
    for _ in range(3):
        first.add(("easy", 0, 1), square, square)
    first.add(("easy", 0, 1), nothing, nothing)
    first.add(("easy", 0, 1), square, nothing)
    second.add(("easy", 1, 1), nothing, square)
    both = merge([first, second])
    assert both.j_by_object == {("easy", 0, 1): 1.0, ("easy", 1, 1): 0.0}
    summary = both.summary()
    assert (summary["J_objects"], summary["J_visible"], summary["hidden_empty"]) == (0.5, 0.75, 0.5)
    assert summary["objects"] == 2
    assert len(first.j) == 5, "merge leaves its inputs as they are"


def test_true_masks_from_boxes_are_perfect(clip: Clip) -> None:
    tracker = ScriptedTracker(clip, lambda _, shot: [entry(clip, shot, 1, 1), entry(clip, shot, 2, 2)])
    score = track_prompted(tracker, clip)
    summary = score.summary()
    assert [index for index, _ in tracker.prompts] == [0, 0]
    assert summary["J_objects"] == summary["IDF1"] == 1.0
    assert summary["switches_per_1000"] == 0
    assert len(score.j) == 2 * (clip.length - 2), "neither the prompted frame nor the last one counts"


def test_tracks_that_swap_halve_idf1(clip: Clip) -> None:
    tracker = ScriptedTracker(clip, lambda t, shot: [entry(clip, shot, 1, 1 if t < 12 else 2), entry(clip, shot, 2, 2 if t < 12 else 1)])
    summary = track_prompted(tracker, clip).summary()
    assert summary["IDF1"] == pytest.approx(0.5)
    assert summary["switches_per_1000"] == pytest.approx(1000 * 2 / 48)
    assert summary["J_objects"] == pytest.approx(0.5)


def test_text_counts_the_wait_and_false_tracks(clip: Clip) -> None:
    """Track 4 lies on the wall, track 5 has the name of no object, and track 6 is not announced."""

    def script(t: int, shot: SceneFrame) -> list[Entry]:
        early = TENTATIVE if t < 6 else TRACKED
        return [
            entry(clip, shot, 1, 1),
            entry(clip, shot, 2, 2, early),
            *([(4, names_of(clip)[1], corner(shot), TRACKED)] if t >= 20 else []),
            *([(5, "gray box", shot.instances == 1, TRACKED)] if t == 3 else []),
            (6, names_of(clip)[2], corner(shot), TENTATIVE),
        ]

    summary = track_text(ScriptedTracker(clip, script), clip, scene_text(clip)).summary()
    assert (summary["false_tracks"], summary["absent_names"], summary["false_frames"]) == (2, 1, 4 + 1)
    assert (summary["found_in_15"], summary["mean_wait"]) == (1.0, 3.0)
    assert summary["J_objects"] == pytest.approx((1.0 + 18 / 24) / 2)


def test_held_back_results_show_an_object_from_its_start_or_never(clip: Clip) -> None:
    """Object 1 is confirmed late, object 2 stays tentative until the end, and the false track 3 ends before it is confirmed."""

    def script(t: int, shot: SceneFrame) -> list[Entry]:
        false = [(3, names_of(clip)[1], corner(shot), TENTATIVE if t < 9 else TrackStatus.REMOVED)] if t < 10 else []
        return [entry(clip, shot, 1, 1, TENTATIVE if t < 14 else TRACKED), entry(clip, shot, 2, 2, TENTATIVE), *false]

    summary = track_text(ScriptedTracker(clip, script), clip, scene_text(clip), hold_back=True).summary()
    assert (summary["false_tracks"], summary["mean_wait"], summary["J_objects"]) == (0, 0.0, 1.0)
    live = track_text(ScriptedTracker(clip, script), clip, scene_text(clip)).summary()
    assert live["mean_wait"] == 14.0


def test_text_waits_for_the_frame_of_the_first_prompt() -> None:
    clip = make_clip("late_prompt", 0, 160, 120)
    tracker = ScriptedTracker(clip, lambda _, shot: [entry(clip, shot, number, number) for number in names_of(clip)])
    score = track_text(tracker, clip, scene_text(clip))
    assert [(index, type(prompt)) for index, prompt in tracker.prompts] == [(clip.length // 2, TextPrompt)]
    assert score.frames == clip.length // 2
    assert len(score.j) == score.frames * len(clip.scene.bodies)
    assert score.summary()["J_objects"] == 1.0


def test_text_counts_hidden_frames_of_a_track_after_it_started() -> None:
    """The track of the object that leaves keeps a mask on the wall for ten frames of its absence."""
    clip = make_clip("exit_return", 0, 160, 120)
    hidden: list[int] = []

    def script(t: int, shot: SceneFrame) -> list[Entry]:
        if not (shot.instances == 1).any():
            hidden.append(t)
            return [entry(clip, shot, 2, 2), *([(1, names_of(clip)[1], corner(shot), TRACKED)] if len(hidden) <= 10 else [])]
        return [entry(clip, shot, 1, 1), entry(clip, shot, 2, 2)]

    summary = track_text(ScriptedTracker(clip, script), clip, scene_text(clip)).summary()
    assert summary["hidden_frames"] == len(hidden) > 20
    assert summary["hidden_empty"] == pytest.approx(1 - 10 / len(hidden))
    assert (summary["returns"], summary["found_again"]) == (1, 1.0)
