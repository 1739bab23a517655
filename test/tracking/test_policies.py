# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The state machine of SAMURAI, branch by branch, and defects of its reference that the policy must not repeat."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from lang2segtrack_ros.models.plugins import PluginError
from lang2segtrack_ros.segmentation.candidates import Candidates
from lang2segtrack_ros.segmentation.sam2 import Sam2Segmenter
from lang2segtrack_ros.session.session import Session
from lang2segtrack_ros.toyworld.scene import SceneFrame
from lang2segtrack_ros.tracking import kalman
from lang2segtrack_ros.tracking.kalman import BoxState
from lang2segtrack_ros.tracking.memory_bank import MemoryBank
from lang2segtrack_ros.tracking.policies.base import Choice, Policy, PolicyError
from lang2segtrack_ros.tracking.policies.registry import make_policy
from lang2segtrack_ros.tracking.policies.samurai import SamuraiPolicy
from lang2segtrack_ros.types.frame import Frame
from lang2segtrack_ros.types.prompts import BoxPrompt
from test.conftest import body_box
from test.tracking.recorded import Recorded

POLICY = SamuraiPolicy()
BOXES = [[100, 100, 140, 160], [10, 10, 30, 30], [200, 200, 220, 240]]


def bank_of(count: int = 1) -> MemoryBank:
    return MemoryBank.empty(count, 4, 64, 128, 16, torch.device("cpu"))


def choose(bank: MemoryBank, frame: int, ious: list[float], boxes: list[list[int]] = BOXES, score: float = 5.0) -> Choice:
    recorded = Recorded(
        masks=torch.zeros(1, 3, 64, 64),
        ious=torch.tensor([ious]),
        object_score=torch.tensor([score]),
        image_size=256,
        extents=torch.tensor([boxes]),
    )
    choice = POLICY.choose(bank, frame, recorded)
    bank.filter_mean, bank.filter_covariance = choice.state.mean, choice.state.covariance
    bank.has_filter, bank.stable = choice.has_filter, choice.stable
    bank.frames_unseen = torch.where(torch.tensor(score > POLICY.visible_above), 0, bank.frames_unseen + 1)
    return choice


def warmed(frames: int = 15) -> MemoryBank:
    bank = bank_of()
    for frame in range(1, frames + 1):
        choose(bank, frame, [0.9, 0.1, 0.1])
    return bank


def test_the_first_frame_starts_the_filter_on_the_best_candidate() -> None:
    bank = bank_of()
    choice = choose(bank, 1, [0.2, 0.7, 0.1])
    assert int(choice.index) == 1
    assert bank.stable.tolist() == [1]
    assert torch.allclose(bank.filter_mean[0, :4], kalman.measurement(torch.tensor([BOXES[1]]))[0])


def test_warm_up_counts_steady_frames_and_restarts_after_an_uncertain_frame() -> None:
    bank = bank_of()
    for frame in range(1, 6):
        choose(bank, frame, [0.9, 0.1, 0.1])
    assert bank.stable.tolist() == [5]
    choose(bank, 6, [0.3, 0.1, 0.1])  # 0.3 itself is not above the threshold
    assert bank.stable.tolist() == [0]
    choose(bank, 7, [0.1, 0.9, 0.1])
    assert torch.allclose(bank.filter_mean[0, :4], kalman.measurement(torch.tensor([BOXES[1]]))[0]), "the filter must restart"


def test_after_warm_up_motion_outweighs_a_slightly_better_distractor() -> None:
    bank = warmed()
    choice = choose(bank, 16, [0.80, 0.90, 0.1])
    assert int(choice.index) == 0, "0.75 * 0.80 + 0.25 * 1 beats 0.75 * 0.90 + 0"
    assert float(choice.motion_score) == pytest.approx(1.0, abs=0.05)
    choice = choose(warmed(14), 15, [0.80, 0.90, 0.1])
    assert int(choice.index) == 1, "one frame earlier, motion has no influence"
    assert torch.isnan(choice.motion_score).all()


def test_memory_must_pass_all_gates_strictly() -> None:
    bank = bank_of()
    assert choose(bank, 2, [0.51, 0.1, 0.1]).passed.all()
    assert not choose(bank, 3, [0.5, 0.1, 0.1]).passed.any(), "0.5 itself does not pass"
    assert not choose(bank, 4, [0.9, 0.1, 0.1], score=0.0).passed.any(), "an object score of 0 does not pass"
    assert not choose(warmed(), 16, [0.9, 0.1, 0.1], [[0, 0, 5, 5], *BOXES[1:]]).passed.any(), (
        "a box without overlap with the motion does not pass"
    )


def test_first_tracked_frame_fails_the_gates() -> None:
    """The traces require this property of the reference's scan. It is relative to the frame of the prompt."""
    bank = bank_of()
    bank.first_frame += 100
    assert not choose(bank, 101, [0.9, 0.1, 0.1]).passed.any()
    assert choose(bank, 102, [0.9, 0.1, 0.1]).passed.all()
    bank = bank_of()
    bank.first_frame += 100
    assert not choose(bank, 99, [0.9, 0.1, 0.1]).passed.any(), "the rule holds in reversed time too"


def test_empty_mask_never_updates_the_filter() -> None:
    """The reference updates the filter with [0, 0, 0, 1]. Its height changed from 255 to 61, 1 and -14.7 in three frames."""
    bank = warmed(20)
    before = BoxState(bank.filter_mean.clone(), bank.filter_covariance.clone())
    filter_mean: Tensor | None = None
    for frame in range(21, 24):
        choose(bank, frame, [0.9, 0.9, 0.9], [[0, 0, 0, 0]] * 3, score=-5.0)
        before = kalman.predict(before)
        filter_mean = bank.filter_mean
    assert filter_mean is not None
    assert torch.allclose(filter_mean, before.mean), "the filter must continue with its prediction"
    assert bank.stable.tolist() == [15], "a short absence must not end the influence of motion"


def test_long_absence_restarts_the_filter() -> None:
    bank = warmed(20)
    for frame in range(21, 40):
        choose(bank, frame, [0.9, 0.9, 0.9], [[0, 0, 0, 0]] * 3, score=-5.0)
    assert bank.stable.tolist() == [0]
    choose(bank, 40, [0.1, 0.9, 0.1])
    assert torch.allclose(bank.filter_mean[0, :4], kalman.measurement(torch.tensor([BOXES[1]]))[0])


def test_unknown_policy_name_is_refused() -> None:
    with pytest.raises(PluginError, match="sam2, samurai"):
        make_policy("sammy")


class Faulty(SamuraiPolicy):
    """A policy that returns what a test gives it."""

    def __init__(self, choice: Any = None, rows: Any = None) -> None:
        super().__init__()
        object.__setattr__(self, "given", (choice, rows))

    def choose(self, bank: MemoryBank, frame: int, candidates: Candidates) -> Choice:
        given = vars(self)["given"][0]
        return given(super().choose(bank, frame, candidates)) if given else super().choose(bank, frame, candidates)

    def recent_rows(self, bank: MemoryBank, frame: int) -> tuple[Tensor, Tensor]:
        given = vars(self)["given"][1]
        return given(super().recent_rows(bank, frame)) if given else super().recent_rows(bank, frame)


@pytest.mark.parametrize(
    ("policy", "sentence"),
    [
        (Faulty(choice=lambda _: None), 'policy "samurai" returned None from choose: it must return a Choice'),
        (Faulty(choice=lambda it: it.index), r"returned torch.int64 \[1\] \(Tensor\) from choose"),
        (Faulty(choice=lambda it: replace(it, passed=True)), r"a Choice with passed True \(bool\): it must be a tensor \[1\], one value"),
        (Faulty(choice=lambda it: replace(it, index=it.index[:, None])), r"with index torch.int64 \[1, 1\] .*: it must be a tensor \[1\]"),
        (Faulty(rows=lambda _: None), r"returned None from recent_rows: it must return two tensors \[1, \d+\]"),
        (Faulty(rows=lambda it: (it[0], it[1][:, :1])), "from recent_rows: it must return two tensors"),
    ],
)
def test_a_wrong_value_of_a_policy_is_named(segmenter: Sam2Segmenter, frames: list[SceneFrame], policy: Policy, sentence: str) -> None:
    """A policy of one's own first returns the wrong thing. An error deep in the tracker would not name it."""
    session = Session(segmenter, policy=policy)
    session.prompt(BoxPrompt(body_box(frames[0], 1)))
    session.step(Frame(frames[0].color, 0))
    with pytest.raises(PolicyError, match=sentence):
        session.step(Frame(frames[1].color, 66_000_000))
    assert [track.id for track in session.last.tracks] == [1], "the session stays as it was"
