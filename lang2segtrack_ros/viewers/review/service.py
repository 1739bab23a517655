# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The actions of the review page on the review: its state, its images, edits, and corrections. Any thread may call them."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import asdict
from http import HTTPStatus
from typing import Any

import cv2

from lang2segtrack_ros.history.records import read_frame
from lang2segtrack_ros.io.rendering import draw_overlay, hex_color
from lang2segtrack_ros.recordings.review.correction import Correction
from lang2segtrack_ros.recordings.review.correction_job import CorrectionJobs
from lang2segtrack_ros.recordings.review.edits import Delete, EditError, Merge, Rename, sentence
from lang2segtrack_ros.recordings.review.images import RecordingImages, image_of
from lang2segtrack_ros.recordings.review.places import Place, PlaceError, position_of
from lang2segtrack_ros.recordings.review.review import Review
from lang2segtrack_ros.recordings.review.timeline import STATE_NAMES, VISIBLE
from lang2segtrack_ros.viewers.review.bodies import CorrectRequest, SplitRequest
from lang2segtrack_ros.viewers.web.access import RefusedError

QUALITY = 88
"""JPEG quality of the images."""


class ReviewService:
    """The actions of the page.

    Args:
        review: the review.
        images: the recording; None shows the masks on black images, and allows no correction.
        jobs: the corrections; None refuses them.
        places: places to check, the worst first.
        start: position of the image that the page shows first.
    """

    def __init__(
        self,
        review: Review,
        images: RecordingImages | None,
        jobs: CorrectionJobs | None,
        places: Sequence[Place] = (),
        start: int = 0,
    ) -> None:
        self._review = review
        self._images = images
        self._jobs = jobs
        self._places = places
        self._start = start
        self._lock = threading.Lock()

    def state(self, revision: int = -1) -> dict[str, Any]:
        """Return the state, for JSON.

        Args:
            revision: revision that the page has. If nothing has changed, tracks and edits are left out.
        """
        with self._lock:
            now = len(self._review.journal.entries)
            state: dict[str, Any] = {"revision": now, "job": None if self._jobs is None else asdict(self._jobs.state)}
            return state if now == revision else {**state, **self._content()}

    def _content(self) -> dict[str, Any]:
        review = self._review
        timeline = review.edited.timeline
        tracks = []
        for track in sorted(timeline.states):
            spans = [[*span, STATE_NAMES[code & ~VISIBLE], bool(code & VISIBLE)] for *span, code in timeline.spans(track)]
            tracks.append({"id": track, "label": timeline.labels[track], "color": hex_color(track), "spans": spans})
        edits = [{"number": number, "text": sentence(edit)} for number, edit in review.edited.edits]
        name = review.folder.resolve().name
        return {
            "name": name,
            "images": timeline.images,
            "has_images": self._images is not None,
            "tracks": tracks,
            "edits": edits,
            "torn": review.journal.torn,
            "start": self._start,
        }

    def places(self) -> dict[str, Any]:
        """Return the places to check, for JSON."""
        return {"places": [asdict(place) for place in self._places]}

    def position(self, number: int) -> dict[str, Any]:
        """Return the position of an image, for JSON. Raises RefusedError if the trace has no image of this number."""
        try:
            return {"position": position_of(number, self._review.stored)}
        except PlaceError as error:
            raise RefusedError(HTTPStatus.NOT_FOUND, "not_found", str(error)) from error

    def picture(self, image: int) -> bytes:
        """Return an image with its masks as JPEG. Raises RefusedError if there is no such image, or if it cannot be read."""
        try:
            with self._lock:
                record = self._review.edited.record(image)
            frame = image_of(self._images, record)
        except IndexError as error:
            raise RefusedError(HTTPStatus.NOT_FOUND, "not_found", f"there is no image {image}") from error
        except (ValueError, OSError) as error:
            raise RefusedError(HTTPStatus.UNPROCESSABLE_ENTITY, "no_image", str(error)) from error
        drawn = draw_overlay(frame.color, read_frame(record).tracks, opacity=0.4)
        _, jpeg = cv2.imencode(".jpg", cv2.cvtColor(drawn, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
        return jpeg.tobytes()

    def edit(self, edit: Rename | Merge | Delete | SplitRequest) -> str:
        """Add an edit, and return a sentence on it. Raises RefusedError if it is not possible."""
        with self._lock, _Refusals():
            self._check_idle()
            if isinstance(edit, SplitRequest):
                return f"the images from {edit.at} on are track {self._review.split(edit.track, edit.at)} now"
            self._review.add(edit)
            return f"done: {sentence(edit)}"

    def undo(self, number: int) -> str:
        """Undo the latest edit, and return a sentence on it. Raises RefusedError if it is another edit."""
        with self._lock, _Refusals():
            self._check_idle()
            self._review.undo(number)
            return f"edit {number} is undone"

    def correct(self, request: CorrectRequest) -> str:
        """Start a correction, and return a sentence on it. Raises RefusedError if it is not possible."""
        with self._lock, _Refusals():
            if self._jobs is None:
                raise EditError("the images of the recording are not at hand: start lang2segtrack review with --video")
            self._check_idle()
            timeline = self._review.edited.timeline
            if request.image >= timeline.images:
                raise EditError(f"there is no image {request.image}: the trace has the images 0 to {timeline.images - 1}")
            track, label = self._review.new_id(), request.label
            if request.track is not None:
                timeline.require(request.track)
                track, label = request.track, timeline.labels[request.track]
            correction = Correction(track, label, request.image, request.box, request.points)
            correction.prompt()
            self._jobs.start(correction)
            return f"track {track} is tracked again from image {request.image}"

    def cancel(self) -> str:
        """Cancel the running correction."""
        if self._jobs is not None:
            self._jobs.cancel()
        return "the correction is canceled"

    def _check_idle(self) -> None:
        if self._jobs is not None:
            self._jobs.check_idle()


class _Refusals:
    """A context that turns errors of an edit into refusals with their message."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if isinstance(error, ValueError):
            raise RefusedError(HTTPStatus.UNPROCESSABLE_ENTITY, "by_review", str(error)) from error
        if isinstance(error, OSError):
            message = f"the edit is not written, so it does not count: {error}"
            raise RefusedError(HTTPStatus.INSUFFICIENT_STORAGE, "not_written", message) from error
