# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The boxes that a planning scene holds, so that only changes are sent."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np

from lang2segtrack_ros.geometry.oriented_box import OrientedBox

MIN_CHANGE_M = 0.01
"""A box that moves or grows by less is not sent again. Each change makes MoveIt check its plans again."""
MIN_CHANGE_RATIO = 0.1
"""Turns and changes of a small box count from this fraction of its longest side, which a turn of 6 degrees moves."""


class CollisionScene:
    """Boxes by track id, as they were sent last."""

    def __init__(self) -> None:
        self._sent: dict[int, OrientedBox] = {}

    @property
    def is_empty(self) -> bool:
        """True if no box was sent."""
        return not self._sent

    def forget(self) -> None:
        """Treat every box as not sent, for a new subscriber."""
        self._sent.clear()

    def removed(self, existing: Collection[int]) -> list[int]:
        """Return the ids that were sent but exist no more, and forget them.

        Args:
            existing: ids of all tracks, also of hidden ones. A hidden object stays an obstacle.
        """
        ended = [track_id for track_id in self._sent if track_id not in existing]
        for track_id in ended:
            del self._sent[track_id]
        return ended

    def changed(self, boxes: Mapping[int, OrientedBox]) -> list[int]:
        """Return the ids of new and changed boxes, and take them as sent.

        Args:
            boxes: box by track id, in the target frame.
        """
        ids = [track_id for track_id, box in boxes.items() if track_id not in self._sent or _differs(self._sent[track_id], box)]
        self._sent.update({track_id: boxes[track_id] for track_id in ids})
        return ids


def _differs(old: OrientedBox, new: OrientedBox) -> bool:
    limit = max(MIN_CHANGE_M, MIN_CHANGE_RATIO * max(new.size))
    corners = [np.array(box.center) + (SIGNS * np.array(box.size) / 2) @ box.rotation.T for box in (old, new)]
    # Noise exchanges the axes of a box with similar sides. The boxes then are the same: compare each corner with the nearest one.
    distances = np.linalg.norm(corners[0][:, None] - corners[1][None], axis=2)
    return bool(distances.min(axis=1).max() > limit or np.linalg.norm(np.subtract(old.center, new.center)) > MIN_CHANGE_M)


SIGNS = np.array([(x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], np.float64)
