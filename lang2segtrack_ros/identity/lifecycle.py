# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Where each object is in its life, by how long it has not been seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from lang2segtrack_ros.types.results import Track, TrackStatus


@dataclass
class Lifecycle:
    """Gives every track its state.

    Attributes:
        lost_after_s: an object unseen for this long is lost rather than occluded.
        remove_after_s: an object unseen for this long is removed; 0 keeps it for ever.
    """

    lost_after_s: float = 2.0
    remove_after_s: float = 0.0
    _unseen_s: dict[int, float] = field(default_factory=dict)

    def update(self, tracks: Sequence[Track], elapsed_s: float) -> list[Track]:
        """The tracks with their states, `elapsed_s` seconds after the last update. Removed ones are forgotten here."""
        known = {}
        result = []
        for track in tracks:
            unseen = 0.0 if track.box is not None else self._unseen_s.get(track.id, 0.0) + elapsed_s
            state = TrackStatus.TRACKED
            if track.box is None:
                state = TrackStatus.LOST if unseen >= self.lost_after_s else TrackStatus.OCCLUDED
                if self.remove_after_s and unseen >= self.remove_after_s:
                    state = TrackStatus.REMOVED
            if state is not TrackStatus.REMOVED:
                known[track.id] = unseen
            result.append(replace(track, state=state))
        self._unseen_s = known
        return result

    def reset(self) -> None:
        """Forgets all objects."""
        self._unseen_s.clear()
