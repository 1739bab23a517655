# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The thread that tracks a corrected object again, with its progress. One correction runs at a time."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lang2segtrack_ros.models.catalogue import WeightsError
from lang2segtrack_ros.recordings.review.correction import CanceledError, Correction, Retracker
from lang2segtrack_ros.recordings.review.edits import Correct, EditError
from lang2segtrack_ros.recordings.review.images import RecordingImages
from lang2segtrack_ros.recordings.review.review import Review
from lang2segtrack_ros.recordings.review.segments import new_segment_name, write_segment

if TYPE_CHECKING:
    from lang2segtrack_ros.session.session import Session

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class JobState:
    """The state of the latest correction.

    Attributes:
        number: number of the correction in this process, from 1; 0 before the first.
        track: id of its track.
        done: number of images done.
        total: the most images that it may take.
        is_running: True while it runs.
        message: the outcome, for the user; empty while it runs.
        has_failed: True if the outcome is an error.
    """

    number: int = 0
    track: int = 0
    done: int = 0
    total: int = 0
    is_running: bool = False
    message: str = ""
    has_failed: bool = False


class CorrectionJobs:
    """The corrections of a review, one after the other, each on a thread of its own.

    Args:
        review: the review.
        images: the recording.
        make_session: returns a new session for one object. Its first call may load networks.

    Attributes:
        state: the state of the latest correction.
    """

    def __init__(self, review: Review, images: RecordingImages, make_session: Callable[[], Session]) -> None:
        self._review = review
        self._images = images.another()
        self._make_session = make_session
        self._canceled = threading.Event()
        self._thread: threading.Thread | None = None
        self.state = JobState()

    def check_idle(self) -> None:
        """Raise EditError while a correction runs, because it depends on the trace as it is."""
        if self.state.is_running:
            raise EditError(f"track {self.state.track} is being corrected: wait for the result, or cancel the correction")

    def start(self, correction: Correction) -> None:
        """Start a correction. Raises EditError if one runs."""
        self.check_idle()
        self._canceled.clear()
        self.state = JobState(self.state.number + 1, correction.track, is_running=True)
        self._thread = threading.Thread(
            target=self._run, args=(correction, self.state.number), name="lang2segtrack-correction", daemon=True
        )
        self._thread.start()

    def cancel(self) -> None:
        """Cancel the running correction; it writes nothing. Does nothing if none runs."""
        self._canceled.set()

    def wait(self) -> None:
        """Wait for the end of the running correction."""
        if self._thread is not None:
            self._thread.join()

    def _run(self, correction: Correction, number: int) -> None:
        track = correction.track

        def report(done: int, total: int) -> None:
            self.state = JobState(number, track, done, total, True)

        try:
            message, has_failed = self._correct(correction, report), False
        except CanceledError:
            message, has_failed = "the correction was canceled, and nothing was written", False
        except (ValueError, OSError, WeightsError) as error:  # of the tracker, the recording, or the disk; the message is for the user
            message, has_failed = str(error), True
        except Exception as error:
            log.exception("the correction of track %d failed", track)
            message, has_failed = f"the correction failed ({type(error).__name__}); the log of the server says why", True
        self.state = JobState(number, track, self.state.done, self.state.total, False, message, has_failed)

    def _correct(self, correction: Correction, report: Callable[[int, int], None]) -> str:
        review = self._review
        new = Retracker(self._images, self._make_session, report, self._canceled.is_set).run(review.edited, correction)
        name = new_segment_name(review.folder)
        edit = Correct(correction.track, correction.label, correction.image, new.first, new.last, name, correction.box, correction.points)
        write_segment(review.folder, name, new.first, new.tracks)
        review.add(edit)
        return f"track {correction.track} has new masks on images {new.first} to {new.last}"
