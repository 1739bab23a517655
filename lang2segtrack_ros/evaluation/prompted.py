# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Evaluation of tracks that start from a ground-truth box: mask quality, and empty masks of hidden and visible objects."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from lang2segtrack_ros.evaluation.identity import IdentityRecord
from lang2segtrack_ros.evaluation.scores import FRAME_NS, BoxTracker, TrackScore, mean
from lang2segtrack_ros.evaluation.space import EXTENT_TOLERANCE, errors, is_whole
from lang2segtrack_ros.toyworld.suites import Clip
from lang2segtrack_ros.types.frame import Frame
from lang2segtrack_ros.types.prompts import BoxPrompt


@dataclass
class PromptedScore(TrackScore):
    """Scores of prompted tracks on the frames after the prompt. The clip's last frame is left out, as in DAVIS.

    Attributes:
        space: errors of fully visible objects, see `space.errors`.
    """

    space: list[tuple[float, float]] = field(default_factory=list)

    def summary(self) -> dict[str, float]:
        """Return means over objects and frames, 0..1, and identity metrics over clips; NaN for a mean without any entry."""
        return {
            "J": mean(self.j),
            "F": mean(self.f),
            "J&F": (mean(self.j) + mean(self.f)) / 2,
            **super().summary(),
            "center_correct": mean([center_error <= 1.0 for center_error, _ in self.space]),
            "extent_correct": mean([extent_error <= EXTENT_TOLERANCE for _, extent_error in self.space]),
        }


def track_prompted(session: BoxTracker, clip: Clip) -> PromptedScore:
    """Track the prompted objects of a clip from their ground-truth boxes.

    Args:
        session: new session.
        clip: clip to run.
    """
    score = PromptedScore()
    record = IdentityRecord()
    ids: dict[int, int] = {}
    for index in range(clip.length):
        shot = clip.scene.render(index)
        handles = {}
        for number, frame in clip.prompts.items():
            box = shot.bodies[number].box if number in shot.bodies else None
            if frame == index and box is not None:
                handles[number] = session.prompt(BoxPrompt(box, shot.bodies[number].label))
        result = session.step(Frame(shot.color, index * FRAME_NS, shot.depth_m))
        earlier_numbers = list(ids)
        ids |= {number: next(iter(handle.track_ids), 0) for number, handle in handles.items()}  # 0, no track, for a refused prompt
        masks = {track_id: result.by_id[track_id].mask for track_id in ids.values() if track_id in result.by_id}
        record.add(shot.instances, list(ids), masks)
        if index == clip.length - 1:
            break
        for number in earlier_numbers:
            truth = shot.instances == number
            score.add((clip.suite, clip.seed, number), masks.get(ids[number], np.zeros_like(truth)), truth)
            if number in shot.bodies and is_whole(shot.bodies[number]):
                score.space.append(errors(result.by_id.get(ids[number]), result.tracks, shot.bodies[number], shot, clip.scene))
    score.results.append(record.evaluate())
    score.reappearances += [outcome for number in ids for outcome in record.reappearances(number)]
    return score
