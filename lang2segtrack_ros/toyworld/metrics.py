# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Tracks against the truth, frame by frame."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lang2segtrack_ros.identity.association import mask_iou

MATCH_IOU = 0.5
"""A track is on a body that it overlaps at least this much."""
MIN_PIXELS = 30
"""Bodies of which fewer pixels are seen count as not visible."""


@dataclass
class IdentityCounter:
    """Overlap of each track with the body it follows, and how often a body changed its track.

    A track follows the body that it overlaps best over its whole life; frames on which it is elsewhere, or empty while the body
    is visible, count with the overlap they have.
    """

    frame: int = 0
    switches: int = 0
    _owner: dict[int, int] = field(default_factory=dict)
    _first: dict[int, int] = field(default_factory=dict)
    _last: dict[int, int] = field(default_factory=dict)
    _labels: dict[int, str] = field(default_factory=dict)
    _ious: dict[int, list[dict[int, float]]] = field(default_factory=lambda: defaultdict(list))

    def add(self, truth: NDArray[np.uint16], masks: dict[int, NDArray[np.bool_]], labels: dict[int, str]) -> None:
        """One frame: truth [H, W] (0 background, else a body's number) and the bool [H, W] mask and the label of each track id."""
        bodies = {int(body): truth == body for body in np.unique(truth) if body and np.count_nonzero(truth == body) >= MIN_PIXELS}
        best: dict[int, tuple[float, int]] = {}
        for track_id, mask in masks.items():
            self._first.setdefault(track_id, self.frame)
            self._last[track_id] = self.frame
            self._labels[track_id] = labels.get(track_id, "")
            ious = {}
            for body, pixels in bodies.items():
                ious[body] = mask_iou(mask, pixels)
                if ious[body] >= MATCH_IOU and ious[body] > best.get(body, (0.0, 0))[0]:
                    best[body] = (ious[body], track_id)
            self._ious[track_id].append(ious)
        for body, (_, track_id) in best.items():
            self.switches += self._owner.get(body, track_id) != track_id
            self._owner[body] = track_id
        self.frame += 1

    def tracks(self, names: dict[int, str]) -> list[dict[str, Any]]:
        """One row for each track: id, label, body, first and last frame, mean IoU with its body; `names` are the bodies' names."""
        rows = []
        for track_id, history in sorted(self._ious.items()):
            total: Counter[int] = Counter()
            for ious in history:
                total.update(ious)
            body = max(total, key=lambda number: total[number], default=0)
            seen = [ious[body] for ious in history if body in ious]
            rows.append(
                {
                    "id": track_id,
                    "label": self._labels[track_id],
                    "body": names.get(body, ""),
                    "first_frame": self._first[track_id],
                    "last_frame": self._last[track_id],
                    "mean_iou": round(float(np.mean(seen)), 4) if seen else 0.0,
                }
            )
        return rows
