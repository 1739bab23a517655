# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The edited trace: the records of the stored trace, changed by the edits image by image. Memory does not depend on the masks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from lang2segtrack_ros.history.records import Record
from lang2segtrack_ros.recordings.review.edits import Correct, Delete, Edit, EditError, Merge, Rename, Split
from lang2segtrack_ros.recordings.review.segments import Segment
from lang2segtrack_ros.recordings.review.stored import StoredTrace
from lang2segtrack_ros.recordings.review.timeline import Timeline, last_presence

Tracks = dict[int, Record]
"""The records of the objects on one image, by id."""
Change = Callable[[int, Tracks, set[int]], None]
"""Changes the objects and the ids with a prompt on an image, in place. The records themselves may not be changed."""


@dataclass(frozen=True)
class _Applied:
    number: int
    edit: Edit
    change: Change
    before: Timeline
    segment: Segment | None


class EditedTrace:
    """A stored trace with edits. Edits are added and taken back at the end only.

    Args:
        stored: the stored trace.
        edits: the edits, each with its number in the journal.

    Attributes:
        stored: the stored trace.
        timeline: the states of the tracks after the edits.

    Raises:
        EditError: the trace does not allow an edit. The message names its number.
        LineError: a segment cannot be read.
    """

    def __init__(self, stored: StoredTrace, edits: Sequence[tuple[int, Edit]] = ()) -> None:
        self.stored = stored
        self.timeline = stored.timeline
        self._applied: tuple[_Applied, ...] = ()
        for number, edit in edits:
            try:
                self.add(number, edit)
            except EditError as error:
                raise EditError(f"edit {number} of the journal does not fit the trace: {error}") from error

    @property
    def edits(self) -> list[tuple[int, Edit]]:
        """Return the edits, each with its number in the journal."""
        return [(item.number, item.edit) for item in self._applied]

    def check(self, edit: Edit) -> None:
        """Raise EditError if the trace does not allow an edit."""
        self._next(0, edit)

    def add(self, number: int, edit: Edit) -> None:
        """Add an edit after the others. Raises EditError if the trace does not allow it.

        Args:
            number: its number in the journal.
            edit: the edit.
        """
        applied, self.timeline = self._next(number, edit)
        self._applied = (*self._applied, applied)

    def _next(self, number: int, edit: Edit) -> tuple[_Applied, Timeline]:
        segment = Segment(self.stored.folder, edit) if isinstance(edit, Correct) else None
        after = self.timeline.after(edit, None if segment is None else segment.states)
        return _Applied(number, edit, _change(edit, after, segment), self.timeline, segment), after

    def take_back(self) -> None:
        """Take the latest edit back. Raises EditError if there is none."""
        if not self._applied:
            raise EditError("there is no edit to undo")
        *rest, last = self._applied
        self.timeline = last.before
        self._applied = tuple(rest)
        if last.segment is not None:
            last.segment.close()

    def record(self, image: int) -> Record:
        """Return the record of an image after the edits. Raises IndexError if there is no such image.

        Without edits of its objects, it equals that of the stored trace.
        """
        record = self.stored.record(image)
        tracks: Tracks = {track["id"]: track for track in record["tracks"]}
        prompted = set(record["prompted"])
        for item in self._applied:
            item.change(image, tracks, prompted)
        return {**record, "prompted": _ordered(record["prompted"], prompted), "tracks": [tracks[key] for key in sorted(tracks)]}

    def records(self) -> Iterator[Record]:
        """Yield the records of all images in order."""
        for image in range(self.stored.images):
            yield self.record(image)


def _ordered(before: Sequence[int], after: set[int]) -> list[int]:
    kept = [item for item in before if item in after]
    return [*kept, *sorted(after - set(kept))]


def _change(edit: Edit, after: Timeline, segment: Segment | None) -> Change:
    """Return the change of an edit.

    Args:
        edit: the edit.
        after: the timeline after it.
        segment: the masks of a correction.
    """
    if isinstance(edit, Rename):
        return _rename(edit)
    if isinstance(edit, Merge):
        return _merge(edit, after)
    if isinstance(edit, Split):
        return _split(edit)
    if isinstance(edit, Delete):
        return _delete(edit)
    assert segment is not None
    return _correct(edit, after, segment)


def _rename(edit: Rename) -> Change:
    def change(_: int, tracks: Tracks, __: set[int]) -> None:
        if edit.track in tracks:
            tracks[edit.track] = {**tracks[edit.track], "label": edit.label}

    return change


def _is_removed(track: Record) -> bool:
    return bool(track["state"] == "removed")


def _keep_until(last: int, image: int, track: int, tracks: Tracks) -> None:
    """Make a removed track a lost one before its last image, because the object goes on."""
    if image < last and track in tracks and _is_removed(tracks[track]):
        tracks[track] = {**tracks[track], "state": "lost"}


def _merge(edit: Merge, after: Timeline) -> Change:
    label, last = after.labels[edit.into], last_presence(after.states[edit.into])

    def change(image: int, tracks: Tracks, prompted: set[int]) -> None:
        one, other = tracks.pop(edit.track, None), tracks.get(edit.into)
        if one is not None and (one["box"] is not None or other is None or (other["box"] is None and _is_removed(other))):
            tracks[edit.into] = {**one, "id": edit.into, "label": label}
        _keep_until(last, image, edit.into, tracks)
        _replace_id(prompted, edit.track, edit.into)

    return change


def _split(edit: Split) -> Change:
    def change(image: int, tracks: Tracks, prompted: set[int]) -> None:
        if image < edit.at:
            return
        track = tracks.pop(edit.track, None)
        if track is not None:
            tracks[edit.new] = {**track, "id": edit.new}
        _replace_id(prompted, edit.track, edit.new)

    return change


def _replace_id(prompted: set[int], track: int, other: int) -> None:
    if track in prompted:
        prompted.remove(track)
        prompted.add(other)


def _delete(edit: Delete) -> Change:
    def change(image: int, tracks: Tracks, prompted: set[int]) -> None:
        if edit.first <= image <= edit.last:
            tracks.pop(edit.track, None)
            prompted.discard(edit.track)

    return change


def _correct(edit: Correct, after: Timeline, segment: Segment) -> Change:
    label, last = after.labels[edit.track], last_presence(after.states[edit.track])

    def change(image: int, tracks: Tracks, prompted: set[int]) -> None:
        if edit.first <= image <= edit.last:
            tracks.pop(edit.track, None)
            prompted.discard(edit.track)
            track = segment.track(image)
            if track is not None:
                tracks[edit.track] = {**track, "id": edit.track, "label": label}
                if image == edit.image:
                    prompted.add(edit.track)
        _keep_until(last, image, edit.track, tracks)

    return change
