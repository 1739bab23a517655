# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Comparison of tracks with ground truth, frame by frame."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lang2segtrack_ros.identity.association import mask_iou

MATCH_IOU = 0.5
"""Minimum IoU for a match of a track and a body."""
MIN_PIXELS = 30
"""Minimum number of visible pixels; a body with fewer counts as hidden."""


@dataclass
class IdentityCounter:
    """Overlap of each track with its body, and number of changes of a body's track.

    A track belongs to the body with the largest total overlap over all frames. Each visible frame of that body counts with the actual
    IoU, also frames on which the mask is empty or covers another object.
    """

    frame: int = 0
    switches: int = 0
    _owner: dict[int, int] = field(default_factory=dict)
    _first: dict[int, int] = field(default_factory=dict)
    _last: dict[int, int] = field(default_factory=dict)
    _labels: dict[int, str] = field(default_factory=dict)
    _ious: dict[int, list[dict[int, float]]] = field(default_factory=lambda: defaultdict(list))

    def add(self, truth: NDArray[np.uint16], masks: dict[int, NDArray[np.bool_]], labels: dict[int, str]) -> None:
        """Add one frame.

        Args:
            truth: uint16 [H, W]; 0 for background, else the number of a body.
            masks: bool [H, W] of each track id.
            labels: label of each track id.
        """
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
        """Return one row per track: id, label, body, first and last frame, mean IoU with its body.

        Args:
            names: names of the bodies by number.
        """
        rows = []
        for track_id, history in sorted(self._ious.items()):
            total: Counter[int] = Counter()
            for ious in history:
                total.update(ious)
            body = max(total, key=lambda number: total[number], default=0)
            overlaps = [ious[body] for ious in history if body in ious]
            rows.append(
                {
                    "id": track_id,
                    "label": self._labels[track_id],
                    "body": names.get(body, ""),
                    "first_frame": self._first[track_id],
                    "last_frame": self._last[track_id],
                    "mean_iou": round(float(np.mean(overlaps)), 4) if overlaps else 0.0,
                }
            )
        return rows
