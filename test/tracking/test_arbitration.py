# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Who slipped: the one that fell further below its own history, after some frames, and only where masks cover each other."""

from __future__ import annotations

import torch
from torch import Tensor

from lang2segtrack_ros.segmentation.sam2 import Sam2Segmenter
from lang2segtrack_ros.toyworld.scene import SceneFrame
from lang2segtrack_ros.tracking.arbitration import CLAIM_FRAMES, Verdict, arbitrate
from lang2segtrack_ros.tracking.stream_tracker import StreamTracker
from lang2segtrack_ros.types.prompts import BoxPrompt
from test.conftest import body_box, iou


def masks(*boxes: tuple[int, int, int, int]) -> Tensor:
    low = torch.full((len(boxes), 32, 32), -1.0)
    for row, (x1, y1, x2, y2) in enumerate(boxes):
        low[row, y1:y2, x1:x2] = 1.0
    return low


APART = masks((0, 0, 10, 10), (20, 20, 30, 30))
TOGETHER = masks((0, 0, 10, 10), (1, 1, 11, 11))


def watch(history: list[tuple[Tensor, list[float]]]) -> list[Verdict]:
    verdicts = []
    contested, deficit, trust = torch.zeros(2, dtype=torch.int64), torch.zeros(2), torch.full((2,), float("nan"))
    for low, score in history:
        verdict = arbitrate(low, torch.tensor(score), contested, deficit, trust)
        contested, deficit, trust = verdict.contested, verdict.deficit, verdict.trust
        verdicts.append(verdict)
    return verdicts


def test_the_one_that_fell_further_has_slipped() -> None:
    """Object 0 was always mediocre and still is; object 1 was good and is now as mediocre: 1 is not where it belongs."""
    verdicts = watch([(APART, [0.6, 0.95])] * 10 + [(TOGETHER, [0.6, 0.7])] * CLAIM_FRAMES)
    assert [verdict.slipped.tolist() for verdict in verdicts[-2:]] == [[False, False], [False, True]]
    assert verdicts[-1].contested.tolist() == [CLAIM_FRAMES, 0]


def test_a_short_overlap_is_no_matter() -> None:
    verdicts = watch([(APART, [0.9, 0.9]), (TOGETHER, [0.9, 0.3]), (APART, [0.9, 0.9]), (TOGETHER, [0.9, 0.3])])
    assert not any(verdict.slipped.any() for verdict in verdicts)


def test_equal_evidence_gives_one_loser_not_two() -> None:
    verdicts = watch([(TOGETHER, [0.8, 0.8])] * (CLAIM_FRAMES + 1))
    assert sum(int(verdict.slipped.sum()) for verdict in verdicts) == 1


def test_hidden_objects_claim_nothing() -> None:
    nothing = torch.full((2, 32, 32), -1.0)
    assert not any(verdict.slipped.any() for verdict in watch([(nothing, [0.1, 0.9])] * 5))


def test_overlap_does_not_change_trust() -> None:
    verdicts = watch([(APART, [0.5, 0.9])] * 3 + [(TOGETHER, [0.1, 0.1])] * 2)
    assert torch.allclose(verdicts[-1].trust, torch.tensor([0.5, 0.9]))


def test_two_prompts_on_one_object_and_the_memory_of_before(segmenter: Sam2Segmenter, frames: list[SceneFrame]) -> None:
    """A real tracker: object 2 is pushed onto object 1 by exchanging its memory, is found out by its motion, and finds its way back."""
    tracker = StreamTracker(segmenter, arbitration=True)
    first, second = (tracker.add(BoxPrompt(body_box(frames[0], body))) for body in (1, 2))
    for frame in frames[:20]:
        tracker.step(frame.color)
    for name in ("features", "frames", "passed", "pointers", "pointer_frames"):
        exchanged = getattr(tracker.bank, name).clone()
        exchanged[1] = exchanged[0]
        setattr(tracker.bank, name, exchanged)
    states = []
    for frame in frames[20:30]:
        tracks = {track.id: track for track in tracker.step(frame.color)}
        states.append((tracks[second].box is None, iou(tracks[second].mask, frame.instances == 2) > 0.6))
        assert iou(tracks[first].mask, frame.instances == 1) > 0.6
    assert states[0] == (False, False), "it must have slipped for this test to mean something"
    assert (True, False) in states, "hidden when it was found out"
    assert states[-1] == (False, True), "and back on its own object"
