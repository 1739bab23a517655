# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The edits of a tracked recording, and their JSON fields.

Images are positions in the trace, from 0. An edit acts on the trace as the edits before it have left it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from lang2segtrack_ros.types.checks import as_finite

MAX_LABEL = 200
MAX_ID = 2**32 - 1
MAX_IMAGE = 2**31 - 1
MAX_POINTS = 64
SEGMENT_NAME = re.compile(r"segment_[0-9]{6,10}\.jsonl")


class EditError(ValueError):
    """An edit that is not valid, or that the trace does not allow. The message says what to do instead."""


def _check_whole(name: str, value: object, least: int, most: int) -> None:
    if type(value) is not int or not least <= value <= most:
        raise EditError(f"{name} is {value!r}: give a whole number from {least} to {most}")


def _check_label(value: object) -> None:
    if not isinstance(value, str) or len(value) > MAX_LABEL:
        raise EditError(f"a label is a text of at most {MAX_LABEL} characters")
    if not value.isprintable():
        raise EditError("a label must not hold line ends or other control characters")


@dataclass(frozen=True)
class Rename:
    """A new label for a track, on all images.

    Attributes:
        track: id of the track.
        label: the new label; may be empty.

    Raises:
        EditError: a value is not valid. The same holds for the other edits.
    """

    track: int
    label: str

    def __post_init__(self) -> None:
        _check_whole("track", self.track, 1, MAX_ID)
        _check_label(self.label)


@dataclass(frozen=True)
class Merge:
    """Two tracks of one object become one.

    Attributes:
        track: id of the track that ends.
        into: id of the track that takes its images. It keeps its label.
    """

    track: int
    into: int

    def __post_init__(self) -> None:
        _check_whole("track", self.track, 1, MAX_ID)
        _check_whole("into", self.into, 1, MAX_ID)
        if self.track == self.into:
            raise EditError(f"track {self.track} cannot be merged into itself: choose another track")


@dataclass(frozen=True)
class Split:
    """A track that has changed to another object gets a new id from an image on.

    Attributes:
        track: id of the track.
        at: first image of the new track.
        new: id of the new track.
    """

    track: int
    at: int
    new: int

    def __post_init__(self) -> None:
        _check_whole("track", self.track, 1, MAX_ID)
        _check_whole("at", self.at, 0, MAX_IMAGE)
        _check_whole("new", self.new, 1, MAX_ID)


@dataclass(frozen=True)
class Delete:
    """A track is absent on a span of images.

    Attributes:
        track: id of the track.
        first, last: first and last image of the span.
    """

    track: int
    first: int
    last: int

    def __post_init__(self) -> None:
        _check_whole("track", self.track, 1, MAX_ID)
        _check_span(self.first, self.last)


@dataclass(frozen=True)
class Correct:
    """Masks of one track that the tracker has made anew from a correction. They replace those of the track on a span of images.

    Attributes:
        track: id of the track; a new id starts a track.
        label: label of the track.
        image: image of the correction.
        first, last: first and last image of the new masks.
        segment: name of the file with the new masks, in the folder of segments.
        box: (x_min, y_min, x_max, y_max) of the correction in pixels; None for points.
        points: (x, y, on) of the correction, where `on` is 1 on the object and 0 off it; empty for a box.
    """

    track: int
    label: str
    image: int
    first: int
    last: int
    segment: str
    box: tuple[float, float, float, float] | None = None
    points: tuple[tuple[float, float, int], ...] = ()

    def __post_init__(self) -> None:
        _check_whole("track", self.track, 1, MAX_ID)
        _check_label(self.label)
        _check_span(self.first, self.last)
        _check_whole("image", self.image, self.first, self.last)
        if not isinstance(self.segment, str) or not SEGMENT_NAME.fullmatch(self.segment):
            raise EditError(f"segment is {self.segment!r}: give a name such as segment_000001.jsonl")
        object.__setattr__(self, "box", checked_box(self.box))
        object.__setattr__(self, "points", checked_points(self.points))
        if (self.box is None) == (not self.points):
            raise EditError("a correction has either a box or points")


@dataclass(frozen=True)
class Undo:
    """The latest edit that still counts no longer counts.

    Attributes:
        number: number of this edit in the journal, from 1.
    """

    number: int

    def __post_init__(self) -> None:
        _check_whole("number", self.number, 1, MAX_IMAGE)


Edit = Rename | Merge | Split | Delete | Correct
Entry = Edit | Undo
KINDS: dict[str, type[Entry]] = {
    "rename": Rename,
    "merge": Merge,
    "split": Split,
    "delete": Delete,
    "correct": Correct,
    "undo": Undo,
}


def _check_span(first: object, last: object) -> None:
    _check_whole("first", first, 0, MAX_IMAGE)
    _check_whole("last", last, 0, MAX_IMAGE)
    if last < first:  # type: ignore[operator]
        raise EditError(f"the span ends at image {last}, before its begin at image {first}: exchange the two")


def checked_box(value: object) -> tuple[float, float, float, float] | None:
    """Return a box as a tuple, or None. Raises EditError if it is neither None nor 4 finite numbers that enclose an area."""
    if value is None:
        return None
    if not isinstance(value, list | tuple) or len(value) != 4 or None in map(as_finite, value):
        raise EditError("box is no list of 4 finite numbers x_min, y_min, x_max, y_max")
    x1, y1, x2, y2 = map(float, value)
    if not (x1 < x2 and y1 < y2):
        raise EditError(f"the box {x1:g}, {y1:g}, {x2:g}, {y2:g} encloses no area: give x_min, y_min, x_max, y_max")
    return x1, y1, x2, y2


def checked_points(value: object) -> tuple[tuple[float, float, int], ...]:
    """Return points as tuples (x, y, on). Raises EditError if they are not such points, too many, or all off the object."""
    if not isinstance(value, list | tuple) or len(value) > MAX_POINTS:
        raise EditError(f"points is no list of at most {MAX_POINTS} points")
    points: list[tuple[float, float, int]] = []
    for point in value:
        is_point = isinstance(point, list | tuple) and len(point) == 3 and None not in map(as_finite, point[:2])
        if not is_point or type(point[2]) is not int or point[2] not in (0, 1):
            raise EditError("a point is no list of x, y and 1 (on the object) or 0 (off the object)")
        points.append((float(point[0]), float(point[1]), point[2]))
    if points and not any(on for _, _, on in points):
        raise EditError("all points are off the object: add a point on it")
    return tuple(points)


def entry_fields(entry: Entry) -> dict[str, Any]:
    """Return the JSON fields of an entry, with its kind as "edit"."""
    name = next(name for name, kind in KINDS.items() if isinstance(entry, kind))
    return {"edit": name, **asdict(entry)}


def read_entry(values: Mapping[str, Any]) -> Entry:
    """Return the entry of its JSON fields. Raises EditError if a field is missing, unknown or not valid."""
    name = values.get("edit")
    kind = KINDS.get(name) if isinstance(name, str) else None
    if kind is None:
        raise EditError(f"edit is {str(name)[:40]!r}; known edits: {', '.join(KINDS)}")
    given = {key: value for key, value in values.items() if key != "edit"}
    known = {field.name for field in fields(kind)}
    wrong = sorted(set(given) ^ known)
    if wrong:
        raise EditError(f"{wrong[0][:40]!r} is {'missing' if wrong[0] in known else 'unknown'}; {name} takes {', '.join(sorted(known))}")
    return kind(**given)


def sentence(entry: Entry) -> str:
    """Return a short sentence on an entry, for the user."""
    if isinstance(entry, Rename):
        return f'rename {entry.track} to "{entry.label}"'
    if isinstance(entry, Merge):
        return f"merge {entry.track} into {entry.into}"
    if isinstance(entry, Split):
        return f"split {entry.track} at image {entry.at}, new track {entry.new}"
    if isinstance(entry, Delete):
        return f"delete {entry.track} on images {entry.first} to {entry.last}"
    if isinstance(entry, Correct):
        return f"correct {entry.track} on image {entry.image}, new masks on images {entry.first} to {entry.last}"
    return f"undo edit {entry.number}"
