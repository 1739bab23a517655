# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""A corrected object, tracked again: forward and backward from the image of the correction, until its masks agree with the trace."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pycocotools import mask as coco_mask

from lang2segtrack_ros.history.records import Record, track_record
from lang2segtrack_ros.recordings.review.apply import EditedTrace
from lang2segtrack_ros.recordings.review.edits import Correct, EditError
from lang2segtrack_ros.recordings.review.images import RecordingImages
from lang2segtrack_ros.types.prompts import BoxPrompt, PointPrompt, PromptError
from lang2segtrack_ros.types.results import Track, TrackStatus

if TYPE_CHECKING:
    from lang2segtrack_ros.session.session import Session

AGREEMENT = 0.9
"""IoU from which the new mask and that of the trace agree."""
AGREEING_IMAGES = 3
"""Number of consecutive images on which they agree, after which the tracker stops."""


class CanceledError(Exception):
    """The user has canceled a correction. Nothing is written."""


@dataclass(frozen=True)
class Correction:
    """A correction by the user.

    Attributes:
        track: id of the track; a new id starts a track.
        label: label of the track.
        image: position of the image in the trace.
        box: (x_min, y_min, x_max, y_max) in pixels; None for points.
        points: (x, y, on), where `on` is 1 on the object and 0 off it; empty for a box.
    """

    track: int
    label: str
    image: int
    box: tuple[float, float, float, float] | None = None
    points: tuple[tuple[float, float, int], ...] = ()

    def prompt(self) -> BoxPrompt | PointPrompt:
        """Return the prompt of the tracker. Raises PromptError if it is not valid."""
        if self.box is not None:
            return BoxPrompt(self.box, self.label)
        return PointPrompt([(x, y) for x, y, _ in self.points], [on for _, _, on in self.points], self.label)


@dataclass(frozen=True)
class NewMasks:
    """The result of a correction.

    Attributes:
        first: first image of the new masks.
        tracks: the record of the object on each image from there on; None if it is absent.
    """

    first: int
    tracks: list[Record | None]

    @property
    def last(self) -> int:
        """Last image of the new masks."""
        return self.first + len(self.tracks) - 1


class Retracker:
    """A tracker of corrected objects, one at a time.

    Args:
        images: the recording.
        make_session: returns a new session; called twice for each correction.
        report: called with the number of images done and the most images that may follow.
        is_canceled: returns True to end the work.
    """

    def __init__(
        self,
        images: RecordingImages,
        make_session: Callable[[], Session],
        report: Callable[[int, int], None],
        is_canceled: Callable[[], bool],
    ) -> None:
        self._images = images
        self._make_session = make_session
        self._report = report
        self._is_canceled = is_canceled
        self._done = 0

    def run(self, edited: EditedTrace, correction: Correction) -> NewMasks:
        """Track an object in both directions.

        Each direction ends where the masks agree with the trace, before the next correction of the track, where the tracker has removed
        the object, or at the end of the recording.

        Args:
            edited: the trace; it must not change meanwhile.
            correction: the correction.

        Raises:
            CanceledError: the user has canceled the work.
            EditError: the tracker refuses the correction, or shows the object nowhere.
            SourceError: an image cannot be read.
            BagError: an image cannot be read.
        """
        self._done = 0
        first, last = limits(edited, correction)
        total = last - first + 2
        later = self._one_way(edited, correction, range(correction.image, last + 1), total)
        earlier = self._one_way(edited, correction, range(correction.image, first - 1, -1), total)
        tracks = [*reversed(earlier[1:]), *later]
        return NewMasks(correction.image - len(earlier) + 1, tracks)

    def _one_way(self, edited: EditedTrace, correction: Correction, images: Sequence[int], total: int) -> list[Record | None]:
        """Return the record of the object on each image, from that of the correction on."""
        session = self._make_session()
        found: list[Record | None] = []
        agreeing, begin_ns = 0, edited.stored.record(correction.image)["stamp_ns"]
        try:
            handle = session.prompt(correction.prompt(), log_outcome=False)
        except PromptError as error:
            raise EditError(f"the tracker refuses the correction: {error}") from error
        for image, frame in zip(images, self._images.read_in_order(images, edited.stored.record)):
            if self._is_canceled():
                raise CanceledError
            stamp_ns = begin_ns + abs(frame.stamp_ns - begin_ns)  # a session takes rising stamps only
            result = session.step(replace(frame, stamp_ns=stamp_ns))
            if handle.error:
                raise EditError(f"the tracker refuses the correction: {handle.error}")
            track = next((item for item in result.tracks if item.state is not TrackStatus.REMOVED), None)
            if track is None and found:
                break
            found.append(None if track is None else _record(track, correction))
            if image == correction.image and (track is None or track.box is None):
                raise EditError("the tracker finds no object there: draw a box around the object, or set another point")
            self._done += 1
            self._report(self._done, total)
            agreeing = agreeing + 1 if _agrees(found[-1], edited, correction.track, image) and image != correction.image else 0
            if agreeing == AGREEING_IMAGES:
                break
        return found


def limits(edited: EditedTrace, correction: Correction) -> tuple[int, int]:
    """Return the first and the last image that a correction may change: those between the other corrections of its track."""
    others = [edit.image for _, edit in edited.edits if isinstance(edit, Correct) and edit.track == correction.track]
    first = max((image + 1 for image in others if image < correction.image), default=0)
    last = min((image - 1 for image in others if image > correction.image), default=edited.stored.images - 1)
    return first, last


def _record(track: Track, correction: Correction) -> Record:
    return {**track_record(track), "id": correction.track, "label": correction.label}


def _agrees(record: Record | None, edited: EditedTrace, track: int, image: int) -> bool:
    """Return True if a new mask agrees with that of the trace. Hidden objects never agree, because a wrong trace may have lost them."""
    if record is None or record["box"] is None or track not in edited.timeline.states:
        return False
    old = next((item for item in edited.record(image)["tracks"] if item["id"] == track and item["box"] is not None), None)
    if old is None:
        return False
    one, other = ({"size": item["rle"]["size"], "counts": item["rle"]["counts"].encode("ascii")} for item in (record, old))
    return bool(coco_mask.iou([one], [other], [0])[0, 0] > AGREEMENT)
