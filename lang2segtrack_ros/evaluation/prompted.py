# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Evaluation of tracks that start from a ground-truth box: mask quality, and empty masks of hidden and visible objects."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from lang2segtrack_ros.evaluation.identity import IdentityRecord, combine
from lang2segtrack_ros.evaluation.masks import boundary_f, region_j
from lang2segtrack_ros.evaluation.space import EXTENT_TOLERANCE, errors, is_whole
from lang2segtrack_ros.segmentation.sam2 import Sam2Segmenter
from lang2segtrack_ros.session.session import Session
from lang2segtrack_ros.toyworld.metrics import MIN_PIXELS
from lang2segtrack_ros.toyworld.suites import Clip
from lang2segtrack_ros.types.frame import Frame
from lang2segtrack_ros.types.prompts import BoxPrompt

FRAME_NS = 1_000_000_000 // 15


@dataclass
class PromptedScore:
    """Scores of prompted tracks, one entry per object and frame after the prompt. The clip's last frame is left out, as in DAVIS.

    Attributes:
        j, f: region similarity and boundary accuracy.
        pixels: number of visible pixels of the object in ground truth.
        empty: True for an empty mask.
        space: errors of fully visible objects, see `space.errors`.
        reappearances: see `IdentityRecord.reappearances`.
        results: TrackEval's results of each clip.
    """

    j: list[float] = field(default_factory=list)
    f: list[float] = field(default_factory=list)
    pixels: list[int] = field(default_factory=list)
    empty: list[bool] = field(default_factory=list)
    space: list[tuple[float, float]] = field(default_factory=list)
    reappearances: list[tuple[bool, bool, int]] = field(default_factory=list)
    results: list[dict[str, object]] = field(default_factory=list)

    def summary(self) -> dict[str, float]:
        """Return means over objects and frames, 0..1, and identity metrics over clips; NaN for a mean without any entry."""
        j, f, pixels, empty = (np.array(values) for values in (self.j, self.f, self.pixels, self.empty))
        visible, hidden = pixels >= MIN_PIXELS, pixels == 0
        return {
            "J": _mean(j),
            "F": _mean(f),
            "J&F": (_mean(j) + _mean(f)) / 2,
            "J_visible": _mean(j[visible]),
            "hidden_empty": _mean(empty[hidden]),
            "visible_empty": _mean(empty[visible]),
            "hidden_frames": int(hidden.sum()),
            "center_correct": _mean(np.array([center_error <= 1.0 for center_error, _ in self.space])),
            "extent_correct": _mean(np.array([extent_error <= EXTENT_TOLERANCE for _, extent_error in self.space])),
            **combine(self.results),
            "returns": len(self.reappearances),
            "found_again": _mean(np.array([is_found for is_found, _, _ in self.reappearances])),
            "frames_to_find": _mean(np.array([frames for is_found, _, frames in self.reappearances if is_found])),
        }


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else float("nan")


def track_prompted(segmenter: Sam2Segmenter, clips: Iterable[Clip], policy: str) -> PromptedScore:
    """Track the prompted objects of clips from their ground-truth boxes.

    Args:
        segmenter: segmenter of the sessions.
        clips: clips to run.
        policy: name of the memory policy.
    """
    score = PromptedScore()
    for clip in clips:
        session = Session(segmenter, policy=policy)
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
            ids |= {number: handle.track_ids[0] for number, handle in handles.items()}
            masks = {track_id: result.by_id[track_id].mask for track_id in ids.values() if track_id in result.by_id}
            record.add(shot.instances, list(ids), masks)
            if index == clip.length - 1:
                break
            for number in earlier_numbers:
                truth = shot.instances == number
                mask = masks.get(ids[number], np.zeros_like(truth))
                score.j.append(region_j(mask, truth))
                score.f.append(boundary_f(mask, truth))
                score.pixels.append(int(np.count_nonzero(truth)))
                score.empty.append(not mask.any())
                if number in shot.bodies and is_whole(shot.bodies[number]):
                    score.space.append(errors(result.by_id.get(ids[number]), result.tracks, shot.bodies[number], shot, clip.scene))
        score.results.append(record.evaluate())
        score.reappearances += [outcome for number in ids for outcome in record.reappearances(number)]
    return score
