# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Identity metrics over time: HOTA, IDF1, id switches and fragments from TrackEval, and further counts that TrackEval lacks."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from lang2segtrack_ros.toyworld.metrics import MATCH_IOU, MIN_PIXELS


@cache
def _metrics() -> dict[str, Any]:
    """Return TrackEval's metrics (Luiten et al., arXiv:2009.07736). The import is lazy because TrackEval imports matplotlib."""
    from trackeval.metrics import CLEAR, HOTA, Identity

    quiet = {"PRINT_CONFIG": False, "THRESHOLD": MATCH_IOU}
    return {"HOTA": HOTA(), "CLEAR": CLEAR(quiet), "Identity": Identity(quiet)}


class Reappearance(NamedTuple):
    """Outcome of one absence of an object.

    Attributes:
        found: True if any track matched the object in time.
        has_old_id: True if the track from before the absence matched the object in time.
        delay: frames from the return to the first match; 0 without a match.
    """

    found: bool
    has_old_id: bool
    delay: int


@dataclass
class IdentityRecord:
    """Visible objects, tracks and their mask IoUs on each frame of one clip.

    Attributes:
        truth: numbers of the visible objects of each frame.
        tracks: ids of the tracks with a non-empty mask of each frame.
        ious: float [objects, tracks] of each frame.
    """

    truth: list[list[int]] = field(default_factory=list)
    tracks: list[list[int]] = field(default_factory=list)
    ious: list[NDArray[np.float64]] = field(default_factory=list)

    def add(self, instances: NDArray[np.uint16], numbers: list[int], masks: dict[int, NDArray[np.bool_]]) -> None:
        """Add one frame.

        Args:
            instances: uint16 [H, W], ground truth; 0 for background, else the number of an object.
            numbers: numbers of the objects to evaluate.
            masks: bool [H, W] of each track id.
        """
        areas = np.bincount(instances.reshape(-1), minlength=max([0, *numbers]) + 1)
        visible = [number for number in numbers if areas[number] >= MIN_PIXELS]
        non_empty = {track: mask for track, mask in masks.items() if mask.any()}
        iou_table = np.zeros((len(visible), len(non_empty)))
        for column, mask in enumerate(non_empty.values()):
            overlap = np.bincount(instances[mask], minlength=len(areas))
            size = np.count_nonzero(mask)
            for row, number in enumerate(visible):
                iou_table[row, column] = overlap[number] / (size + areas[number] - overlap[number])
        self.truth.append(visible)
        self.tracks.append(list(non_empty))
        self.ious.append(iou_table)

    def matches(self, number: int) -> list[int | None]:
        """Return the id of the best matching track of each frame; None where no track reaches the minimum IoU.

        Args:
            number: number of the object.
        """
        rows: list[int | None] = []
        for visible, tracks, iou_table in zip(self.truth, self.tracks, self.ious):
            best = None
            if number in visible and tracks:
                row = iou_table[visible.index(number)]
                best = tracks[int(row.argmax())] if row.max() >= MATCH_IOU else None
            rows.append(best)
        return rows

    def assignment(self) -> dict[int, int]:
        """Assign tracks to objects one to one over the clip, so that the sum of their IoUs over all frames is largest.

        Returns:
            The id of the track by the number of the object. Objects that no track overlaps are left out.
        """
        numbers = sorted({number for visible in self.truth for number in visible})
        ids = sorted({track for tracks in self.tracks for track in tracks})
        total = np.zeros((len(numbers), len(ids)))
        for visible, tracks, iou_table in zip(self.truth, self.tracks, self.ious):
            rows, columns = [numbers.index(number) for number in visible], [ids.index(track) for track in tracks]
            total[np.ix_(rows, columns)] += iou_table
        pairs = zip(*linear_sum_assignment(total, maximize=True))
        return {numbers[row]: ids[column] for row, column in pairs if total[row, column] > 0}

    def frames_to_first_match(self) -> dict[int, int | None]:
        """Return the frames from each object's first visible frame to its first match; None for an object without a match."""
        delays: dict[int, int | None] = {}
        for number in sorted({n for visible in self.truth for n in visible}):
            first = next(t for t, visible in enumerate(self.truth) if number in visible)
            first_match = next((t for t, track in enumerate(self.matches(number)) if track is not None), None)
            delays[number] = None if first_match is None else first_match - first
        return delays

    def false_tracks(self) -> set[int]:
        """Return the ids of the tracks that never matched any object."""
        ids = {track for tracks in self.tracks for track in tracks}
        true_ids = {
            track
            for tracks, iou_table in zip(self.tracks, self.ious)
            for column, track in enumerate(tracks)
            if len(iou_table) and iou_table[:, column].max() >= MATCH_IOU
        }
        return ids - true_ids

    def reappearances(self, number: int, min_gap: int = 3, max_delay: int = 15) -> list[Reappearance]:
        """Return one entry per absence after which the object stayed visible long enough to be found.

        Args:
            number: number of the object.
            min_gap: shortest absence in frames.
            max_delay: number of frames after the return in which a match counts.
        """
        matches = self.matches(number)
        visible = [number in row for row in self.truth]
        outcomes = []
        t = 0
        while t < len(visible):
            if visible[t] or not any(visible[:t]):
                t += 1
                continue
            reappeared = next((k for k in range(t, len(visible)) if visible[k]), len(visible))
            old_id = next((track for track in reversed(matches[:t]) if track is not None), None)
            is_long_enough = reappeared - t >= min_gap and reappeared + max_delay <= len(visible)
            if is_long_enough and old_id is not None and all(visible[reappeared : reappeared + 3]):
                window = matches[reappeared : reappeared + max_delay]
                delay = next((k for k, track in enumerate(window) if track is not None), None)
                outcomes.append(Reappearance(delay is not None, old_id in window, delay or 0))
            t = max(reappeared, t + 1)
        return outcomes

    def evaluate(self) -> dict[str, Any]:
        """Return TrackEval's results of this clip as input for `combine`."""
        objects = {number: index for index, number in enumerate(sorted({n for visible in self.truth for n in visible}))}
        tracks = {track: index for index, track in enumerate(sorted({i for ids in self.tracks for i in ids}))}
        data = {
            "num_timesteps": len(self.truth),
            "num_gt_ids": len(objects),
            "num_tracker_ids": len(tracks),
            "num_gt_dets": sum(map(len, self.truth)),
            "num_tracker_dets": sum(map(len, self.tracks)),
            "gt_ids": [np.array([objects[n] for n in visible], int) for visible in self.truth],
            "tracker_ids": [np.array([tracks[i] for i in ids], int) for ids in self.tracks],
            "similarity_scores": self.ious,
        }
        return {name: metric.eval_sequence(data) for name, metric in _metrics().items()}


def combine(results: list[dict[str, Any]]) -> dict[str, float]:
    """Combine HOTA, IDF1, id switches and fragments over clips, with TrackEval's weights.

    Args:
        results: results of `IdentityRecord.evaluate`, one per clip.
    """
    total = {
        name: metric.combine_sequences({str(i): result[name] for i, result in enumerate(results)}) for name, metric in _metrics().items()
    }
    return {
        "HOTA": float(np.mean(total["HOTA"]["HOTA"])),
        "IDF1": float(total["Identity"]["IDF1"]),
        "id_switches": int(total["CLEAR"]["IDSW"]),
        "fragments": int(total["CLEAR"]["Frag"]),
        "object_frames": int(total["CLEAR"]["CLR_TP"] + total["CLEAR"]["CLR_FN"]),
    }
