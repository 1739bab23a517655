# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The output files of tracking: videos, masks, and tracks as JSON lines and in the format of the MOT challenge.

overlay.webm             masks, boxes and labels drawn on the images
trace.webm               masks on a black image, with the paths of their boxes' centers
masks/<id>/<frame>.png   255 inside the mask; a six-digit frame number; only frames on which the object is visible
tracks.jsonl             one record for each image, see `records`
tracks_mot.txt           frame, id, left, top, width, height, score, -1, -1, -1; frames and pixels count from 1
tracks_mot_labels.txt    id,label for each object in tracks_mot.txt, which has no field for names
"""

from __future__ import annotations

from collections import defaultdict, deque
from pathlib import Path
from types import TracebackType

import cv2
import numpy as np
from numpy.typing import NDArray

from lang2segtrack_ros.history.records import dumps, frame_record
from lang2segtrack_ros.history.trace_counts import TraceCounts
from lang2segtrack_ros.io.rendering import draw_note, draw_overlay, draw_trace
from lang2segtrack_ros.io.writers import VideoWriter
from lang2segtrack_ros.types.frame import Frame
from lang2segtrack_ros.types.results import FrameResult, TrackStatus

PATH_FRAMES = 60
"""Length of the drawn paths, in frames on which the object is visible."""


class TraceFiles:
    """A writer of all output files in a folder, frame by frame.

    Args:
        folder: the folder; it is created if it does not exist.
        fps: images per second of the videos.
        keep_unconfirmed: True also writes objects that were detected but never confirmed. Most of them are false alarms.

    Attributes:
        counts: the images on which each object is seen.

    Raises:
        OSError: a file cannot be written, also from `write`.
    """

    def __init__(self, folder: Path, fps: float, keep_unconfirmed: bool = False) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._overlay = VideoWriter(folder / "overlay.webm", fps)
        self._trace = VideoWriter(folder / "trace.webm", fps)
        self._jsonl = (folder / "tracks.jsonl").open("wb")
        self._mot = (folder / "tracks_mot.txt").open("w", encoding="ascii")
        self._paths: dict[int, deque[tuple[float, float]]] = defaultdict(lambda: deque(maxlen=PATH_FRAMES))
        self.counts = TraceCounts(keep_unconfirmed)

    def write(self, frame: Frame, result: FrameResult, note: str = "") -> None:
        """Write one frame.

        Args:
            frame: the image.
            result: its result. Removed tracks are left out of the videos, the masks and the MOT file.
            note: text for the top left corner of the overlay; empty for none.
        """
        result = self.counts.add(result)
        tracks = [track for track in result.tracks if track.state is not TrackStatus.REMOVED]
        for track in tracks:
            if track.box is None:
                continue
            x1, y1, x2, y2 = track.box
            self._paths[track.id].append(((x1 + x2) / 2, (y1 + y2) / 2))
            self._mot.write(f"{result.index + 1},{track.id},{x1 + 1:g},{y1 + 1:g},{x2 - x1:g},{y2 - y1:g},{track.score:.4f},-1,-1,-1\n")
            _write_mask(self.folder / "masks" / str(track.id) / f"{result.index:06d}.png", track.mask)
        self._jsonl.write(dumps(frame_record(result)))
        overlay = draw_overlay(frame.color, tracks)
        if note:
            draw_note(overlay, note)
        self._overlay.write(overlay)
        self._trace.write(draw_trace(result.height, result.width, tracks, self._paths))

    def sentences(self, has_backward: bool) -> list[str]:
        """Return sentences on the objects, for the user; see `TraceCounts.sentences`."""
        sentences = self.counts.sentences(has_backward)
        if self.counts.unconfirmed:
            sentences[-1] += ": --keep-unconfirmed keeps them"
        return sentences

    def close(self) -> None:
        """Finish all files. Further calls do nothing, because the caller may have moved the folder."""
        if self._jsonl.closed:
            return
        labels = "".join(f"{track_id},{' '.join(count.label.split())}\n" for track_id, count in sorted(self.counts.objects.items()))
        (self.folder / "tracks_mot_labels.txt").write_text(labels, encoding="utf-8")
        for file in (self._overlay, self._trace, self._jsonl, self._mot):
            file.close()

    def __enter__(self) -> TraceFiles:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def _write_mask(path: Path, mask: NDArray[np.bool_]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    encoded, data = cv2.imencode(".png", mask.astype(np.uint8) * 255)
    if not encoded:
        raise OSError(f"{path} cannot be encoded as PNG")
    path.write_bytes(data.tobytes())  # its error gives the reason, which cv2.imwrite does not
