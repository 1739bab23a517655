# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The state of each track, by the time since the object was last visible."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from lang2segtrack_ros.types.results import Track, TrackStatus


@dataclass
class Lifecycle:
    """State machine of all tracks.

    Attributes:
        lost_after_s: time in seconds after which an object that is not visible changes from occluded to lost.
        remove_after_s: time in seconds after which an object that is not visible is removed. Set to 0 to keep it forever.
    """

    lost_after_s: float = 2.0
    remove_after_s: float = 0.0
    _unseen_s: dict[int, float] = field(default_factory=dict)

    def update(self, tracks: Sequence[Track], elapsed_s: float) -> list[Track]:
        """Return the tracks with their states. The times of removed tracks are deleted.

        Args:
            tracks: tracks of the current frame.
            elapsed_s: time since the last update in seconds.
        """
        unseen_s = {}
        result = []
        for track in tracks:
            unseen = 0.0 if track.box is not None else self._unseen_s.get(track.id, 0.0) + elapsed_s
            state = TrackStatus.TRACKED
            if track.box is None:
                state = TrackStatus.LOST if unseen >= self.lost_after_s else TrackStatus.OCCLUDED
                if self.remove_after_s and unseen >= self.remove_after_s:
                    state = TrackStatus.REMOVED
            if state is not TrackStatus.REMOVED:
                unseen_s[track.id] = unseen
            result.append(replace(track, state=state))
        self._unseen_s = unseen_s
        return result

    def reset(self) -> None:
        """Delete the times of all objects."""
        self._unseen_s.clear()
