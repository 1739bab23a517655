# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""MOT Challenge: boxes as lines of numbers. Frames and pixels count from 1; see `io.exports.mot`."""

from __future__ import annotations

import configparser
import math
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path

from lang2segtrack_ros.io.exports.trace import LabeledObject
from lang2segtrack_ros.io.imports.labels import (
    LabeledVideo,
    LabelError,
    check_id,
    check_label,
    check_size,
    clip_box,
    find_file,
    numbered_frames,
    object_of_box,
)

IGNORED = "lines that are marked as ignored (seventh number 0)"
OUTSIDE = "boxes outside their image, or without an area"
_CLASSES = [
    "pedestrian",
    "person on vehicle",
    "car",
    "bicycle",
    "motorbike",
    "non-motorized vehicle",
    "static person",
    "distractor",
    "occluder",
    "occluder on the ground",
    "full occluder",
    "reflection",
    "crowd",
]
"""Classes of the MOT Challenge, for sequences without labels.txt (MOTChallengeEvalKit)."""


@dataclass(frozen=True)
class _Sequence:
    name: str
    fps: float
    length: int
    width: int
    height: int


def read_mot(path: Path, video: str) -> LabeledVideo:
    """Read the labels of a sequence.

    Args:
        path: folder of the sequence, with seqinfo.ini and gt/gt.txt, or the file gt.txt in it.
        video: must be empty; a folder has one sequence.

    Raises:
        LabelError: a file is missing, or a line is wrong.
    """
    if video:
        raise LabelError("--video is for files with several videos: name the folder of the sequence instead")
    file = find_file(path, ("gt/gt.txt", "gt.txt"))
    sequence = _sequence(file)
    labels = file.with_name("labels.txt")
    names = labels.read_text(encoding="utf-8", errors="replace").splitlines() if labels.is_file() else _CLASSES
    left_out: Counter[str] = Counter()
    objects: dict[int, list[LabeledObject]] = defaultdict(list)
    with file.open(encoding="ascii", errors="replace") as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                _add(objects, line, f"line {number} of {file}", sequence, (names, left_out))
    return LabeledVideo(
        sequence.name, numbered_frames(objects, sequence.length, (sequence.height, sequence.width), sequence.fps), sequence.fps, left_out
    )


def _sequence(file: Path) -> _Sequence:
    """Return the description beside the labels, in seqinfo.ini."""
    candidates = [file.parent / "seqinfo.ini", file.parent.parent / "seqinfo.ini"]
    ini = next((item for item in candidates if item.is_file()), None)
    if ini is None:
        raise LabelError(
            f"there is no {candidates[-1]}: write one with the section [Sequence] and the keys "
            "name, frameRate, seqLength, imWidth and imHeight"
        )
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read(ini, encoding="utf-8")
        section = parser["Sequence"]
        values = [int(section[key]) for key in ("seqLength", "imWidth", "imHeight")]
        fps = float(section.get("frameRate", "30"))
    except (configparser.Error, KeyError, ValueError, UnicodeDecodeError) as error:
        raise LabelError(f"{ini}: {error}: the section [Sequence] needs whole numbers for seqLength, imWidth and imHeight") from error
    check_size(values[1], values[2], str(ini))
    if values[0] < 1 or not 0 < fps < math.inf:
        raise LabelError(f"{ini}: seqLength is {values[0]} and frameRate {fps}: both must be above 0")
    return _Sequence(section.get("name", file.parent.parent.name), fps, values[0], values[1], values[2])


def _add(
    objects: dict[int, list[LabeledObject]], line: str, place: str, sequence: _Sequence, context: tuple[list[str], Counter[str]]
) -> None:
    """Add the object of a line."""
    names, left_out = context
    try:
        numbers = [float(part) for part in line.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) < 6 or not all(map(math.isfinite, numbers)):
        raise LabelError(f'{place} is "{line.strip()[:60]}": write frame, id, left, top, width, height, 1, class, visibility')
    frame, track_id = numbers[:2]
    if frame != int(frame) or not 1 <= frame <= sequence.length:
        raise LabelError(f"{place}: the frame is {frame:g}, but frames count from 1 to seqLength = {sequence.length}")
    if track_id != int(track_id):
        raise LabelError(f"{place}: the id is {track_id:g}: give a whole number")
    check_id(int(track_id), place)
    if len(numbers) > 6 and numbers[6] == 0:
        left_out[IGNORED] += 1
        return
    kind = int(numbers[7]) if len(numbers) > 7 else -1
    label = check_label(names[kind - 1] if 1 <= kind <= len(names) else f"class {kind}" if kind > 0 else "", place)
    x, y, width, height = numbers[2] - 1, numbers[3] - 1, numbers[4], numbers[5]
    box = clip_box((x, y, x + width, y + height), sequence.width, sequence.height)
    if box is None:
        left_out[OUTSIDE] += 1
        return
    objects[int(frame) - 1].append(object_of_box(int(track_id), label, box, (sequence.height, sequence.width)))
