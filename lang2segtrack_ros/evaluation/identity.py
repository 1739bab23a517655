# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Identities over time: HOTA, IDF1, id switches and fragments from TrackEval, and what it does not count."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lang2segtrack_ros.toyworld.metrics import MATCH_IOU, MIN_PIXELS


@cache
def _metrics() -> dict[str, Any]:
    """TrackEval's metrics (Luiten et al., arXiv:2009.07736), loaded when needed: it brings matplotlib."""
    from trackeval.metrics import CLEAR, HOTA, Identity

    quiet = {"PRINT_CONFIG": False, "THRESHOLD": MATCH_IOU}
    return {"HOTA": HOTA(), "CLEAR": CLEAR(quiet), "Identity": Identity(quiet)}


@dataclass
class IdentityRecord:
    """Which objects and which tracks were there on each frame of one clip, and their mask IoUs.

    Attributes:
        truth: number of each visible object, for each frame.
        tracks: id of each track with a mask, for each frame.
        ious: float [objects, tracks] for each frame.
    """

    truth: list[list[int]] = field(default_factory=list)
    tracks: list[list[int]] = field(default_factory=list)
    ious: list[NDArray[np.float64]] = field(default_factory=list)

    def add(self, instances: NDArray[np.uint16], numbers: list[int], masks: dict[int, NDArray[np.bool_]]) -> None:
        """One frame: truth [H, W], the numbers of the objects that count, and the masks [H, W] of tracks."""
        areas = np.bincount(instances.reshape(-1), minlength=max([0, *numbers]) + 1)
        seen = [number for number in numbers if areas[number] >= MIN_PIXELS]
        drawn = {track: mask for track, mask in masks.items() if mask.any()}
        table = np.zeros((len(seen), len(drawn)))
        for column, mask in enumerate(drawn.values()):
            hits = np.bincount(instances[mask], minlength=len(areas))
            size = np.count_nonzero(mask)
            for row, number in enumerate(seen):
                table[row, column] = hits[number] / (size + areas[number] - hits[number])
        self.truth.append(seen)
        self.tracks.append(list(drawn))
        self.ious.append(table)

    def matched(self, number: int) -> list[int | None]:
        """For each frame the track that overlaps an object best and enough; None when there is none."""
        rows: list[int | None] = []
        for seen, tracks, table in zip(self.truth, self.tracks, self.ious):
            best = None
            if number in seen and tracks:
                row = table[seen.index(number)]
                best = tracks[int(row.argmax())] if row.max() >= MATCH_IOU else None
            rows.append(best)
        return rows

    def first_match(self) -> dict[int, int | None]:
        """Frames from an object's first sight to its first match; None when it was never matched."""
        waits: dict[int, int | None] = {}
        for number in sorted({n for seen in self.truth for n in seen}):
            first = next(t for t, seen in enumerate(self.truth) if number in seen)
            found = next((t for t, track in enumerate(self.matched(number)) if track is not None), None)
            waits[number] = None if found is None else found - first
        return waits

    def false_tracks(self) -> int:
        """Tracks that never matched any object."""
        ids = {track for tracks in self.tracks for track in tracks}
        true = {
            track
            for tracks, table in zip(self.tracks, self.ious)
            for column, track in enumerate(tracks)
            if len(table) and table[:, column].max() >= MATCH_IOU
        }
        return len(ids - true)

    def returns(self, number: int, gap: int = 3, patience: int = 15) -> list[tuple[bool, bool, int]]:
        """For each absence of at least `gap` frames after which the object was seen again long enough to be found.

        Returns:
            (found again within `patience` frames, under the id it had, frames until then).
        """
        matched = self.matched(number)
        seen = [number in row for row in self.truth]
        outcome = []
        t = 0
        while t < len(seen):
            if seen[t] or not any(seen[:t]):
                t += 1
                continue
            back = next((k for k in range(t, len(seen)) if seen[k]), len(seen))
            before = next((track for track in reversed(matched[:t]) if track is not None), None)
            if back - t >= gap and back + patience <= len(seen) and before is not None and all(seen[back : back + 3]):
                later = next((k for k in range(back, back + patience) if matched[k] is not None), None)
                outcome.append((later is not None, later is not None and matched[later] == before, (later or back) - back))
            t = max(back, t + 1)
        return outcome

    def evaluate(self) -> dict[str, Any]:
        """TrackEval's results of this clip, to be combined by `combine`."""
        objects = {number: index for index, number in enumerate(sorted({n for seen in self.truth for n in seen}))}
        tracks = {track: index for index, track in enumerate(sorted({i for ids in self.tracks for i in ids}))}
        data = {
            "num_timesteps": len(self.truth),
            "num_gt_ids": len(objects),
            "num_tracker_ids": len(tracks),
            "num_gt_dets": sum(map(len, self.truth)),
            "num_tracker_dets": sum(map(len, self.tracks)),
            "gt_ids": [np.array([objects[n] for n in seen], int) for seen in self.truth],
            "tracker_ids": [np.array([tracks[i] for i in ids], int) for ids in self.tracks],
            "similarity_scores": self.ious,
        }
        return {name: metric.eval_sequence(data) for name, metric in _metrics().items()}


def combine(results: list[dict[str, Any]]) -> dict[str, float]:
    """HOTA, IDF1, id switches and fragments over clips, each weighted as TrackEval does."""
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
