# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Synthetic traces for the tests of the review: small squares, whose presence and state each test chooses."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lang2segtrack_ros.history.records import Record, dumps, frame_record, track_record
from lang2segtrack_ros.recordings.review.apply import EditedTrace
from lang2segtrack_ros.recordings.review.timeline import REMOVED, last_presence, state_code
from lang2segtrack_ros.types.results import FrameResult, Track, TrackStatus
from lang2segtrack_ros.types.rle import mask_box

HEIGHT, WIDTH = 24, 32
STATES = {"T": TrackStatus.TRACKED, "O": TrackStatus.OCCLUDED, "L": TrackStatus.LOST, "R": TrackStatus.REMOVED}
"""A letter for each state of a test's track; "T" and "o" have a mask, "." is an image without a record."""


def square(track_id: int, image: int, letter: str, label: str) -> Track:
    """Return a track in a state; its mask moves with the image."""
    mask = np.zeros((HEIGHT, WIDTH), bool)
    if letter in "To":
        left = (3 * track_id + image) % (WIDTH - 4)
        mask[track_id : track_id + 4, left : left + 4] = True
    nan = float("nan")
    state = STATES[letter.upper()]
    return Track(track_id, label, state, 0.9 if mask.any() else 0.0, mask_box(mask), mask, 0.9, 5.0, nan, 0)


def write_trace(folder: Path, tracks: dict[int, str], prompted: int = 1) -> Path:
    """Write a trace.

    Args:
        folder: folder of the trace; created if it does not exist.
        tracks: a letter for each image, by id.
        prompted: id that has a prompt on the first image.
    """
    folder.mkdir(parents=True, exist_ok=True)
    images = len(next(iter(tracks.values())))
    with (folder / "tracks.jsonl").open("wb") as file:
        for image in range(images):
            shown = [square(key, image, text[image], f"thing {key}") for key, text in sorted(tracks.items()) if text[image] != "."]
            ids = (prompted,) if image == 0 and prompted in [track.id for track in shown] else ()
            file.write(dumps(frame_record(FrameResult(image * 10**8, image, HEIGHT, WIDTH, tuple(shown), prompted=ids))))
    return folder


def segment_record(track_id: int, image: int, letter: str) -> Record | None:
    """Return a record for a segment; None for "."."""
    return None if letter == "." else track_record(square(track_id, image, letter, "new"))


def letters(edited: EditedTrace) -> dict[int, str]:
    """Return the states of the edited records as letters, by id, in the form of `write_trace`."""
    found: dict[int, list[str]] = {}
    for image, record in enumerate(edited.records()):
        for track in record["tracks"]:
            letter = track["state"][0].upper()
            shown = "To"["TO".index(letter)] if track["box"] is not None else letter
            found.setdefault(track["id"], ["."] * edited.stored.images)[image] = shown
    return {key: "".join(text) for key, text in sorted(found.items())}


def labels(edited: EditedTrace) -> dict[int, set[str]]:
    """Return all labels of each track in the edited records."""
    found: dict[int, set[str]] = {}
    for record in edited.records():
        for track in record["tracks"]:
            found.setdefault(track["id"], set()).add(track["label"])
    return found


def check_timeline(edited: EditedTrace) -> None:
    """Assert that the timeline is that of the edited records, and that no track goes on after its removal."""
    states = {key: np.zeros(edited.stored.images, np.uint8) for key in edited.timeline.states}
    for image, record in enumerate(edited.records()):
        ids = [track["id"] for track in record["tracks"]]
        assert ids == sorted(set(ids))
        for track in record["tracks"]:
            states[track["id"]][image] = state_code(track)
            assert track["label"] == edited.timeline.labels[track["id"]]
    for key, values in states.items():
        assert values.tolist() == edited.timeline.states[key].tolist()
        (removed,) = np.nonzero(values == REMOVED)
        assert all(image > last_presence(values) for image in removed)


def content(edited: EditedTrace) -> bytes:
    """Return the edited trace as the bytes of its file."""
    return b"".join(dumps(record) for record in edited.records())
