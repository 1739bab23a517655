# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Evaluation of continuous text prompts: detection of each object, false tracks and identity."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from lang2segtrack_ros.evaluation.identity import IdentityRecord
from lang2segtrack_ros.evaluation.scores import FRAME_NS, TrackScore, mean
from lang2segtrack_ros.session.session import Session
from lang2segtrack_ros.toyworld.metrics import MATCH_IOU
from lang2segtrack_ros.toyworld.suites import Clip
from lang2segtrack_ros.types.frame import Frame
from lang2segtrack_ros.types.prompts import TextPrompt
from lang2segtrack_ros.types.results import FrameResult, TrackStatus

FOUND_WITHIN = 15
"""Number of frames in which an object counts as found in time."""


@dataclass
class TextScore(TrackScore):
    """Scores of a run with a text prompt over clips, on the frames from the prompt on.

    Objects and tracks are assigned one to one over the clip; see `IdentityRecord.assignment`. A visible object has an entry on each frame;
    the mask is empty on frames without its track. A fully hidden object has an entry if it was visible before and its track had started.

    Attributes:
        delays: frames from each object's first visible frame to its first match; None for no match.
        false_tracks: number of tracks that never matched an object, or whose label names no object of the clip.
        false_frames: number of frames with a mask of such a track, summed over these tracks.
        absent_names: number of tracks whose label names no object of the clip.
        clips, frames: number of clips and of their evaluated frames.
        labels: True for a correct label, one entry per matched object and frame.
        stray_frames: for each track, frames on which it matched another object after its own object had left the scene (scene cuts).
    """

    delays: list[int | None] = field(default_factory=list)
    false_tracks: int = 0
    false_frames: int = 0
    absent_names: int = 0
    clips: int = 0
    frames: int = 0
    labels: list[bool] = field(default_factory=list)
    stray_frames: list[int] = field(default_factory=list)

    def add_masks(
        self,
        clip: tuple[str, int],
        record: IdentityRecord,
        clip_masks: Sequence[tuple[NDArray[np.uint16], dict[int, NDArray[np.bool_]]]],
    ) -> None:
        """Add the agreement of the objects of a clip with their tracks.

        Args:
            clip: suite and seed.
            record: identities of the clip.
            clip_masks: for each frame uint16 [H, W], the number of the object at each pixel, and bool [H, W] of each track id.
        """
        assigned = record.assignment()
        started: set[int] = set()
        seen: set[int] = set()
        for (instances, masks), visible in zip(clip_masks, record.truth):
            started.update(masks)
            seen.update(visible)
            for number in sorted({*visible, *assigned}):
                truth = instances == number
                track = assigned.get(number, 0)
                if number in visible or (number in seen and track in started and not truth.any()):
                    self.add((*clip, number), masks.get(track, np.zeros_like(truth)), truth)

    def summary(self) -> dict[str, float]:
        """Return means, 0..1, and counts; NaN for a mean without any entry."""
        is_visible = np.array(self.pixels) > 0
        j, f = (mean(np.array(values)[is_visible]) for values in (self.j, self.f))
        return {
            "J": j,
            "J&F": (j + f) / 2,
            **super().summary(),
            "found_in_15": mean([delay is not None and delay <= FOUND_WITHIN for delay in self.delays]),
            "mean_wait": mean([delay for delay in self.delays if delay is not None]),
            "false_tracks": self.false_tracks,
            "false_per_clip": self.false_tracks / max(self.clips, 1),
            "false_per_minute": self.false_tracks / max(self.frames * FRAME_NS / 60e9, 1e-9),
            "false_frames": self.false_frames,
            "absent_names": self.absent_names,
            "label_correct": mean(self.labels),
            "longest_stray": max(self.stray_frames, default=0),
        }


def names_of(clip: Clip) -> dict[int, str]:
    """Return the label of each labeled body of a clip by its number."""
    return {number: body.label for number, body in enumerate(clip.scene.bodies, start=1) if body.label}


def scene_text(clip: Clip) -> TextPrompt:
    """Return the continuous text prompt that names all objects of a clip."""
    return TextPrompt(". ".join(dict.fromkeys(names_of(clip).values())) + ".", mode="continuous")


def track_text(session: Session, clip: Clip, prompt: TextPrompt, hold_back: bool = False) -> TextScore:
    """Track the objects of a clip from a text prompt, given on the frame of the clip's first prompt.

    Args:
        session: new session with a detector.
        clip: clip to run.
        prompt: continuous text prompt.
        hold_back: True evaluates results that are held back until each tentative object is confirmed or removed: an object appears from
            its start on, or never. False evaluates the results of a live stream.
    """
    names = names_of(clip)
    first_frame = min(clip.prompts.values(), default=0)
    score = TextScore(clips=1, frames=clip.length - first_frame)
    record = IdentityRecord()
    first_object: dict[int, int] = {}  # track id -> first matched object
    track_labels: dict[int, str] = {}
    clip_masks: list[tuple[NDArray[np.uint16], dict[int, NDArray[np.bool_]]]] = []
    stray_counts: Counter[int] = Counter()
    frames = []
    for index in range(clip.length):
        shot = clip.scene.render(index)
        if index == first_frame:
            session.prompt(prompt, log_outcome=False)
        frames.append((shot, session.step(Frame(shot.color, index * FRAME_NS, shot.depth_m, clip.scene.camera))))
    shown_early = _never_refused([result for _, result in frames]) if hold_back else set()
    for shot, result in frames[first_frame:]:
        shown = [
            track
            for track in result.tracks
            if track.state is not TrackStatus.REMOVED and (track.state is not TrackStatus.TENTATIVE or track.id in shown_early)
        ]
        masks = {track.id: track.mask for track in shown}
        track_labels |= {track.id: track.label for track in shown if track.box is not None}
        record.add(shot.instances, [number for number in names if number in shot.bodies], masks)
        iou_table, visible = record.ious[-1], record.truth[-1]
        for column, track_id in enumerate(record.tracks[-1]):
            row = int(iou_table[:, column].argmax()) if visible else 0
            if not visible or iou_table[row, column] < MATCH_IOU:
                continue
            number = visible[row]
            score.labels.append(result.by_id[track_id].label == names[number])
            stray_counts[track_id] += first_object.setdefault(track_id, number) not in shot.bodies
        clip_masks.append((shot.instances, masks))
    score.add_masks((clip.suite, clip.seed), record, clip_masks)
    score.stray_frames += stray_counts.values()
    score.delays += record.frames_to_first_match().values()
    misnamed = {track_id for track_id, label in track_labels.items() if label not in names.values()}
    false_ids = record.false_tracks() | misnamed
    score.false_tracks, score.absent_names = len(false_ids), len(misnamed)
    score.false_frames = sum(track_id in false_ids for tracks in record.tracks for track_id in tracks)
    score.reappearances += [outcome for number in names for outcome in record.reappearances(number)]
    score.results.append(record.evaluate())
    return score


def _never_refused(results: Sequence[FrameResult]) -> set[int]:
    """Return the ids of the tracks that were not removed while they were tentative."""
    ended = {track.id for result in results for track in result.tracks if track.state is TrackStatus.REMOVED}
    confirmed = {track.id for result in results for track in result.announced if track.state is not TrackStatus.REMOVED}
    return {track.id for result in results for track in result.tracks} - (ended - confirmed)
