# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The states of all tracks on all images, without masks: one byte for each. Edits are checked on it before they are written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lang2segtrack_ros.recordings.review.edits import Correct, Delete, Edit, EditError, Merge, Rename, Split
from lang2segtrack_ros.types.results import TrackStatus

States = NDArray[np.uint8]
"""The states of one track, by image: 0 without a record, else a code of `state_code`."""
VISIBLE = 16
"""Added to the code of a track with a mask."""
_CODES = {state.name.lower(): state.value + 1 for state in TrackStatus}
REMOVED, LOST = _CODES["removed"], _CODES["lost"]
STATE_NAMES = {code: name for name, code in _CODES.items()}


def state_code(track: Mapping[str, Any]) -> int:
    """Return the code of an object's record. Raises KeyError for an unknown state."""
    return _CODES[track["state"]] + (VISIBLE if track["box"] is not None else 0)


def is_visible(states: States) -> NDArray[np.bool_]:
    """Return True for each image that shows the track: bool, in the shape of the states."""
    return np.asarray(states & VISIBLE != 0)


def last_presence(states: States) -> int:
    """Return the last image on which a track is present and not removed; -1 if there is none."""
    present = np.flatnonzero((states != 0) & (states != REMOVED))
    return int(present[-1]) if len(present) else -1


def _removed_last(states: States) -> States:
    """Return the states of a joined track, changed in place: a removal before its last image becomes a loss, because the object goes on."""
    before_end = np.arange(len(states)) < last_presence(states)
    states[(states == REMOVED) & before_end] = LOST
    return states


@dataclass(frozen=True, eq=False)
class Timeline:
    """The states of all tracks. Edits return a new timeline, which has the unchanged arrays in common with this one.

    Attributes:
        images: number of images.
        states: uint8 [images] for each track by id. They must not be changed.
        labels: label of each track by id.
    """

    images: int
    states: Mapping[int, States]
    labels: Mapping[int, str]

    def require(self, track: int) -> States:
        """Return the states of a track. Raises EditError if there is no such track."""
        if track not in self.states:
            listing = ", ".join(map(str, sorted(self.states))) or "none"
            raise EditError(f"there is no track {track}; the tracks are {listing}")
        return self.states[track]

    def after(self, edit: Edit, segment: States | None = None) -> Timeline:
        """Return the timeline after an edit.

        Args:
            edit: the edit.
            segment: for a correction, the states of its masks: uint8 [last - first + 1].

        Raises:
            EditError: the trace does not allow the edit.
        """
        if isinstance(edit, Rename):
            self.require(edit.track)
            return Timeline(self.images, self.states, {**self.labels, edit.track: edit.label})
        if isinstance(edit, Merge):
            return self._merged(edit)
        if isinstance(edit, Split):
            return self._split(edit)
        if isinstance(edit, Delete):
            return self._deleted(edit)
        return self._corrected(edit, segment)

    def _with(self, states: dict[int, States], labels: Mapping[int, str]) -> Timeline:
        """Return a timeline with some other states. Tracks without a record are left out."""
        kept = {track: values for track, values in {**self.states, **states}.items() if values.any()}
        return Timeline(self.images, kept, {track: label for track, label in {**self.labels, **labels}.items() if track in kept})

    def _merged(self, edit: Merge) -> Timeline:
        one, other = self.require(edit.track), self.require(edit.into)
        both = np.flatnonzero(is_visible(one) & is_visible(other))
        if len(both):
            more = f" and {len(both) - 1} more" if len(both) > 1 else ""
            raise EditError(
                f"tracks {edit.track} and {edit.into} are both visible on image {both[0]}{more}, so they cannot be one object: "
                "split or delete one of them there first"
            )
        hidden = np.where((other != 0) & (other != REMOVED), other, np.where(one != 0, one, other))
        merged = np.where(is_visible(one), one, np.where(is_visible(other), other, hidden)).astype(np.uint8)
        return self._with({edit.into: _removed_last(merged), edit.track: np.zeros_like(one)}, {})

    def _split(self, edit: Split) -> Timeline:
        states = self.require(edit.track)
        if edit.new in self.states:
            raise EditError(f"track {edit.new} exists already: choose a new id for the split")
        self._check_image(edit.at)
        visible = is_visible(states)
        for part, name in ((visible[: edit.at], f"before image {edit.at}"), (visible[edit.at :], f"from image {edit.at} on")):
            if not part.any():
                raise EditError(f"track {edit.track} is not visible {name}, so there is nothing to split: choose another image")
        first, second = states.copy(), states.copy()
        first[edit.at :], second[: edit.at] = 0, 0
        return self._with({edit.track: first, edit.new: second}, {edit.new: self.labels[edit.track]})

    def _deleted(self, edit: Delete) -> Timeline:
        states = self.require(edit.track).copy()
        self._check_image(edit.last)
        if not states[edit.first : edit.last + 1].any():
            raise EditError(f"track {edit.track} is absent on images {edit.first} to {edit.last}, so there is nothing to delete")
        states[edit.first : edit.last + 1] = 0
        return self._with({edit.track: states}, {})

    def _corrected(self, edit: Correct, segment: States | None) -> Timeline:
        self._check_image(edit.last)
        if segment is None or len(segment) != edit.last - edit.first + 1:
            raise EditError(f"{edit.segment} does not hold the images {edit.first} to {edit.last}: correct the track again")
        states = self.states[edit.track].copy() if edit.track in self.states else np.zeros(self.images, np.uint8)
        states[edit.first : edit.last + 1] = segment
        if not states.any():
            raise EditError(f"the correction shows track {edit.track} on no image, so there is nothing to write")
        return self._with({edit.track: _removed_last(states)}, {edit.track: self.labels.get(edit.track, edit.label)})

    def _check_image(self, image: int) -> None:
        if image >= self.images:
            raise EditError(f"there is no image {image}: the trace has the images 0 to {self.images - 1}")

    def spans(self, track: int) -> list[tuple[int, int, int]]:
        """Return the spans of equal states of a track: first image, last image, code; without the absence."""
        states = self.require(track)
        begins = np.flatnonzero(np.diff(states, prepend=np.uint8(255)))
        ends = [*(begins[1:] - 1).tolist(), self.images - 1]
        return [(begin, end, int(states[begin])) for begin, end in zip(begins.tolist(), ends) if states[begin]]
