# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""A run of a backward pass: one object, refined from one start frame back."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from lang2segtrack_ros.history.merging import VERDICT_FRAMES, PassComparison, TrackSummary, corrected_frames, gap_frames
from lang2segtrack_ros.history.records import Record

MAX_UNSEEN_FRAMES = 30
"""The sweep ends a run that fills a gap after this many confident forward frames on which the backward pass shows no object."""


@dataclass
class Run:
    """One object tracked backward from one start frame.

    Attributes:
        summary: the forward pass's trace of the object.
        gap: first frame of the gap to fill; None for the run that starts on the object's first frame.
        is_correction: True if the run starts on a frame where the user corrected the object.
        comparisons: both directions compared, one entry a frame; empty for the run that starts on the first frame.
    """

    summary: TrackSummary
    gap: int | None = None
    is_correction: bool = False
    comparisons: list[PassComparison] = field(default_factory=list)

    @property
    def agrees(self) -> bool:
        """True if both directions showed the same object on the frame compared last."""
        return bool(self.comparisons) and self.comparisons[-1].agrees is True

    def is_settled(self) -> bool:
        """Return True if further frames cannot change which masks of this run are accepted."""
        if self.gap is None or not self.comparisons:
            return False
        if self.is_correction:
            before_gap = self.comparisons
        else:
            latest = self.comparisons[-MAX_UNSEEN_FRAMES:]
            before_gap = [comparison for comparison in latest if comparison.number < self.gap and comparison.is_confident]
        verdicts = [comparison.agrees for comparison in before_gap[-VERDICT_FRAMES:]]
        if len(verdicts) == VERDICT_FRAMES and (all(verdict is True for verdict in verdicts)):
            return True
        if self.is_correction:
            return False
        if len(verdicts) == VERDICT_FRAMES and all(verdict is False for verdict in verdicts):
            return True
        return len(before_gap) == MAX_UNSEEN_FRAMES and all(comparison.backward == 0 for comparison in before_gap)

    def compare_again(self, number: int, forward: Record | None, backward: Record) -> None:
        """Replace the comparison of a frame on which the backward mask was accepted later."""
        for index, comparison in enumerate(self.comparisons):
            if comparison.number == number:
                same = PassComparison.of(number, forward, backward, False)
                self.comparisons[index] = replace(same, is_confident=comparison.is_confident)

    def accepted_frames(self) -> set[int]:
        """Return the frames on which the masks of this run replace those of the forward pass."""
        return corrected_frames(self.comparisons) if self.is_correction else gap_frames(self.comparisons)
