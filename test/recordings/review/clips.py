# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""A toy clip whose trace is wrong: from an image on, track 1 is on another object. The truth is known."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lang2segtrack_ros.history.records import dumps, frame_record, read_frame
from lang2segtrack_ros.io.writers import write_png
from lang2segtrack_ros.recordings.review.apply import EditedTrace
from lang2segtrack_ros.toyworld.scene import SceneFrame
from lang2segtrack_ros.types.results import FrameResult, Track, TrackStatus
from lang2segtrack_ros.types.rle import mask_box
from test.conftest import iou

WRONG = range(6, 13)
"""Images on which track 1 shows body 2 instead of body 1."""
COUNT = 20


@dataclass(frozen=True)
class Clip:
    """A recording and its trace.

    Attributes:
        images: folder of the images.
        tracked: folder of the trace.
        truth: the instances of each image.
    """

    images: Path
    tracked: Path
    truth: list[NDArray[np.uint16]]

    def click(self, image: int, body: int = 1) -> tuple[float, float]:
        """Return a point on a body, pixels."""
        rows, columns = np.nonzero(self.truth[image] == body)
        middle = np.argmin(np.hypot(rows - rows.mean(), columns - columns.mean()))
        return float(columns[middle]), float(rows[middle])

    def accuracy(self, edited: EditedTrace, track: int = 1, body: int = 1, images: Sequence[int] = WRONG) -> float:
        """Return the mean IoU of a track with a body."""
        values = []
        for image in images:
            found = read_frame(edited.record(image)).by_id.get(track)
            values.append(0.0 if found is None else iou(found.mask, self.truth[image] == body))
        return float(np.mean(values))


def _track(track_id: int, label: str, mask: NDArray[np.bool_]) -> Track:
    nan = float("nan")
    state = TrackStatus.TRACKED if mask.any() else TrackStatus.OCCLUDED
    return Track(track_id, label, state, 0.9 if mask.any() else 0.0, mask_box(mask), mask, 0.9, 5.0, nan, 0)


def make_clip(folder: Path, frames: Sequence[SceneFrame]) -> Clip:
    """Write the images and the wrong trace of a toy scene, with the note of `lang2segtrack track` on its settings.

    Track 2 is body 2 until image 9, and track 3 is body 2 from image 10 on: two tracks of one object. Track 4 is right.
    """
    clip = Clip(folder / "images", folder / "tracked", [frame.instances for frame in frames[:COUNT]])
    clip.tracked.mkdir(parents=True)
    with (clip.tracked / "tracks.jsonl").open("wb") as file:
        for image, frame in enumerate(frames[:COUNT]):
            write_png(clip.images / f"{image:03}.png", frame.color)
            body = 2 if image in WRONG else 1
            tracks = [_track(1, "red circle", frame.instances == body)]
            tracks.append(_track(2 if image < 10 else 3, "star" if image < 10 else "blue star", frame.instances == 2))
            tracks.append(_track(4, "yellow square", frame.instances == 3))
            height, width = frame.instances.shape
            stamp_ns = round(image * 1e9 / 30)
            file.write(dumps(frame_record(FrameResult(stamp_ns, image, height, width, tuple(tracks), prompted=(1,) if image == 0 else ()))))
    settings = {"source": str(clip.images), "segmenter": "toy", "image_size": None, "policy": "samurai"}
    marker = {"files": [], "key": "made for a test", "complete": True, "settings": settings}
    (clip.tracked / ".lang2segtrack.json").write_text(json.dumps(marker))
    return clip
