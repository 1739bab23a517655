# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Strict parser of the JSON requests of the review page. It refuses unexpected content with a message."""

from __future__ import annotations

from dataclasses import dataclass

from lang2segtrack_ros.recordings.review.edits import (
    MAX_ID,
    MAX_IMAGE,
    Delete,
    EditError,
    Merge,
    Rename,
    Undo,
    checked_box,
    checked_points,
    read_entry,
)
from lang2segtrack_ros.viewers.web.bodies import read_object, refuse

EDITS = ("rename", "merge", "split", "delete")
"""Edits that the page may send. The server adds the others."""


@dataclass(frozen=True)
class SplitRequest:
    """A split, for which the server chooses the new id."""

    track: int
    at: int


@dataclass(frozen=True)
class CorrectRequest:
    """A correction, for which the tracker makes the masks.

    Attributes:
        track: id of the track; None starts a track.
        label: label of a new track; empty for an existing one.
        image: position of the image.
        box: (x_min, y_min, x_max, y_max) in pixels; None for points.
        points: (x, y, on); empty for a box.
    """

    track: int | None
    label: str
    image: int
    box: tuple[float, float, float, float] | None
    points: tuple[tuple[float, float, int], ...]


def _whole(value: object, name: str, least: int, most: int) -> int:
    if type(value) is not int or not least <= value <= most:
        refuse(f"{name} must be a whole number from {least} to {most}")
    return value


def _check_names(fields: dict[str, object], needed: set[str], optional: frozenset[str] = frozenset()) -> None:
    unknown, missing = sorted(set(fields) - needed - optional), sorted(needed - set(fields))
    if unknown:
        refuse(f"unknown name {unknown[0][:40]!r}; allowed names: {', '.join(sorted(needed | optional))}")
    if missing:
        refuse(f"{missing[0]} is missing")


def read_edit(body: bytes) -> Rename | Merge | Delete | SplitRequest:
    """Parse an edit.

    Args:
        body: JSON object with "edit" and the fields of this edit; a split has no "new".

    Raises:
        RefusedError: the body is not such an object.
    """
    fields = read_object(body)
    if fields.get("edit") not in EDITS:
        refuse(f"edit must be one of {', '.join(EDITS)}")
    if fields["edit"] == "split":
        _check_names(fields, {"edit", "track", "at"})
        return SplitRequest(_whole(fields["track"], "track", 1, MAX_ID), _whole(fields["at"], "at", 0, MAX_IMAGE))
    try:
        entry = read_entry(fields)
    except EditError as error:
        refuse(str(error))
    assert isinstance(entry, Rename | Merge | Delete)
    return entry


def read_undo(body: bytes) -> int:
    """Parse an undo: JSON object with "number", that of an edit in the journal. Raises RefusedError."""
    fields = read_object(body)
    _check_names(fields, {"number"})
    try:
        return Undo(fields["number"]).number
    except EditError as error:
        refuse(str(error))


def read_correction(body: bytes) -> CorrectRequest:
    """Parse a correction.

    Args:
        body: JSON object with "image", and "box" or "points"; with "track" for an existing track, or "label" for a new one.

    Raises:
        RefusedError: the body is not such an object.
    """
    fields = read_object(body)
    _check_names(fields, {"image"}, frozenset({"track", "label", "box", "points"}))
    if "track" in fields and "label" in fields:
        refuse("a track has a label already: give track or label, not both")
    if ("box" in fields) == ("points" in fields):
        refuse("give exactly one of box and points")
    image = _whole(fields["image"], "image", 0, MAX_IMAGE)
    track = _whole(fields["track"], "track", 1, MAX_ID) if "track" in fields else None
    label = fields.get("label", "")
    try:
        Rename(1, label)
        box, points = checked_box(fields.get("box")), checked_points(fields.get("points", []))
    except EditError as error:
        refuse(str(error))
    if box is None and not points:
        refuse("give exactly one of box and points")
    return CorrectRequest(track, label, image, box, points)


def read_empty(body: bytes) -> None:
    """Parse a request without content: an empty JSON object. Raises RefusedError."""
    _check_names(read_object(body), set())


def read_number(text: str | None, name: str, default: int | None = None) -> int:
    """Parse a number of a query, from 0.

    Args:
        text: the text; None if the query does not have it.
        name: its name, for the message.
        default: the number without a text; None refuses this.

    Raises:
        RefusedError: the text is no such number.
    """
    if text is None and default is not None:
        return default
    if text is None or not (text.isascii() and text.isdecimal() and len(text) <= 10):
        refuse(f"{name} must be a whole number from 0")
    return int(text)
