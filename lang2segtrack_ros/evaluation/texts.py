# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Evaluation of continuous text prompts: detection of each object, duplicate tracks and identity."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lang2segtrack_ros.detection.detector import Detector
from lang2segtrack_ros.evaluation.identity import IdentityRecord, combine
from lang2segtrack_ros.evaluation.masks import boundary_f, region_j
from lang2segtrack_ros.evaluation.prompted import FRAME_NS
from lang2segtrack_ros.segmentation.sam2 import Sam2Segmenter
from lang2segtrack_ros.session.options import SessionOptions
from lang2segtrack_ros.session.session import Session
from lang2segtrack_ros.toyworld.metrics import MATCH_IOU
from lang2segtrack_ros.toyworld.suites import Clip
from lang2segtrack_ros.types.frame import Frame
from lang2segtrack_ros.types.prompts import TextPrompt
from lang2segtrack_ros.types.results import TrackStatus


@dataclass
class TextScore:
    """Scores of a run with text prompts over clips.

    Attributes:
        j, f: agreement of each visible object with its track, on each frame on which the object is visible. Objects and tracks are assigned
            one to one over the clip; see `IdentityRecord.assignment`. A frame without the track counts as 0.
        delays: frames from each object's first visible frame to its first match; None for no match.
        false_tracks: number of tracks that never matched an object.
        frames: number of frames of all clips.
        reappearances: see `IdentityRecord.reappearances`.
        labels: True for a correct label, one entry per matched object and frame.
        stray_frames: for each track, frames on which it matched another object after its own object had left the scene (scene cuts).
        results: TrackEval's results of each clip.
    """

    j: list[float] = field(default_factory=list)
    f: list[float] = field(default_factory=list)
    delays: list[int | None] = field(default_factory=list)
    false_tracks: int = 0
    frames: int = 0
    reappearances: list[tuple[bool, bool, int]] = field(default_factory=list)
    labels: list[bool] = field(default_factory=list)
    stray_frames: list[int] = field(default_factory=list)
    results: list[dict[str, Any]] = field(default_factory=list)

    def add_masks(self, record: IdentityRecord, clip_masks: Sequence[tuple[NDArray[np.uint16], dict[int, NDArray[np.bool_]]]]) -> None:
        """Add the agreement of the objects of a clip with their tracks.

        Args:
            record: identities of the clip.
            clip_masks: for each frame uint16 [H, W], the number of the object at each pixel, and bool [H, W] of each track id.
        """
        assigned = record.assignment()
        for (instances, masks), visible in zip(clip_masks, record.truth):
            for number in visible:
                truth = instances == number
                mask = masks.get(assigned.get(number, 0), np.zeros_like(truth))
                self.j.append(region_j(mask, truth))
                self.f.append(boundary_f(mask, truth))

    def summary(self) -> dict[str, float]:
        """Return means, 0..1, and counts; NaN for a mean without any entry."""
        found = [delay for delay in self.delays if delay is not None]
        identity = combine(self.results)
        return {
            "J": float(np.mean(self.j)) if self.j else float("nan"),
            "J&F": float((np.mean(self.j) + np.mean(self.f)) / 2) if self.j else float("nan"),
            **identity,
            "switches_per_1000": 1000 * identity["id_switches"] / max(identity["object_frames"], 1),
            "objects": len(self.delays),
            "found_in_15": float(np.mean([delay is not None and delay <= 15 for delay in self.delays])) if self.delays else float("nan"),
            "mean_wait": float(np.mean(found)) if found else float("nan"),
            "false_per_minute": self.false_tracks / (self.frames * FRAME_NS / 60e9),
            "label_correct": float(np.mean(self.labels)) if self.labels else float("nan"),
            "returns": len(self.reappearances),
            "old_id": float(np.mean([same_id for _, same_id, _ in self.reappearances])) if self.reappearances else float("nan"),
            "longest_stray": max(self.stray_frames, default=0),
        }


def run_text_prompts(
    segmenter: Sam2Segmenter, detector: Detector, clips: Iterable[Clip], policy: str, options: SessionOptions | None = None
) -> TextScore:
    """Track the objects that the labels of all bodies name, with one continuous text prompt from the first frame on.

    Args:
        segmenter: segmenter of the sessions.
        detector: detector of the sessions.
        clips: clips to run.
        policy: name of the memory policy.
        options: options of the sessions.
    """
    score = TextScore()
    for clip in clips:
        session = Session(segmenter, detector, policy, options=options)
        names = {number: body.label for number, body in enumerate(clip.scene.bodies, start=1) if body.label}
        session.prompt(TextPrompt(". ".join(dict.fromkeys(names.values())) + ".", mode="continuous"))
        record = IdentityRecord()
        first_object: dict[int, int] = {}  # track id -> first matched object
        clip_masks: list[tuple[NDArray[np.uint16], dict[int, NDArray[np.bool_]]]] = []
        stray_counts: Counter[int] = Counter()
        for index in range(clip.length):
            shot = clip.scene.render(index)
            result = session.step(Frame(shot.color, index * FRAME_NS, shot.depth_m, clip.scene.camera))
            hidden = (TrackStatus.REMOVED, TrackStatus.TENTATIVE)
            masks = {track.id: track.mask for track in result.tracks if track.state not in hidden}
            record.add(shot.instances, [number for number in names if number in shot.bodies], masks)
            iou_table, visible = record.ious[-1], record.truth[-1]
            for column, track in enumerate(record.tracks[-1]):
                row = int(iou_table[:, column].argmax()) if visible else 0
                if not visible or iou_table[row, column] < MATCH_IOU:
                    continue
                number = visible[row]
                score.labels.append(result.by_id[track].label == names[number])
                stray_counts[track] += first_object.setdefault(track, number) not in shot.bodies
            clip_masks.append((shot.instances, masks))
        score.add_masks(record, clip_masks)
        score.stray_frames += stray_counts.values()
        score.delays += record.frames_to_first_match().values()
        score.false_tracks += record.false_tracks()
        score.frames += clip.length
        score.reappearances += [outcome for number in names for outcome in record.reappearances(number)]
        score.results.append(record.evaluate())
    return score
