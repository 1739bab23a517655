# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Corrections with the toy segmenter on a clip whose trace is wrong on some images, compared with the truth."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lang2segtrack_ros.recordings.review.correction import CanceledError, Correction, NewMasks, Retracker, limits
from lang2segtrack_ros.recordings.review.correction_job import CorrectionJobs
from lang2segtrack_ros.recordings.review.edits import Correct, Delete, EditError
from lang2segtrack_ros.recordings.review.images import RecordingImages
from lang2segtrack_ros.recordings.review.review import Review
from lang2segtrack_ros.segmentation.sam2 import Sam2Segmenter
from lang2segtrack_ros.session.session import Session
from lang2segtrack_ros.toyworld.scene import SceneFrame
from test.recordings.review.clips import COUNT, WRONG, Clip, make_clip

CLICKED = 9


@pytest.fixture
def clip(tmp_path: Path, frames: list[SceneFrame]) -> Clip:
    return make_clip(tmp_path, frames)


@pytest.fixture
def review(clip: Clip) -> Iterator[Review]:
    review = Review(clip.tracked)
    yield review
    review.close()


@pytest.fixture
def images(clip: Clip) -> RecordingImages:
    return RecordingImages(clip.images, lambda *_: None)


def corrected(review: Review, images: RecordingImages, segmenter: Sam2Segmenter, correction: Correction) -> None:
    """Run a correction to its end, which must not fail."""
    jobs = CorrectionJobs(review, images, lambda: Session(segmenter))
    jobs.start(correction)
    jobs.wait()
    assert not jobs.state.has_failed, jobs.state.message
    assert not jobs.state.is_running


def click(clip: Clip, image: int, track: int = 1, body: int = 1) -> Correction:
    return Correction(track, "red circle", image, points=((*clip.click(image, body), 1),))


def test_click_repairs_the_wrong_images(clip: Clip, review: Review, images: RecordingImages, segmenter: Sam2Segmenter) -> None:
    """The tracker follows the object in both directions, and stops soon after it agrees with the trace, which was right there."""
    before = clip.accuracy(review.edited)
    corrected(review, images, segmenter, click(clip, CLICKED))
    assert before < 0.1
    assert clip.accuracy(review.edited) > 0.85
    assert clip.accuracy(review.edited, images=range(COUNT)) > 0.85
    ((number, edit),) = review.edited.edits
    assert isinstance(edit, Correct)
    assert number == 1
    assert WRONG[0] - 4 <= edit.first < WRONG[0]
    assert WRONG[-1] < edit.last <= WRONG[-1] + 5
    review.undo(1)
    assert clip.accuracy(review.edited) == before


def test_box_starts_a_new_track(clip: Clip, review: Review, images: RecordingImages, segmenter: Sam2Segmenter) -> None:
    """A new track has nothing to agree with, so it goes to both ends of the recording."""
    review.add(Delete(4, 0, COUNT - 1))
    x, y = clip.click(CLICKED, 3)
    rows, columns = (clip.truth[CLICKED] == 3).nonzero()
    box = (float(columns.min()), float(rows.min()), float(columns.max() + 1), float(rows.max() + 1))
    assert box[0] < x < box[2]
    assert box[1] < y < box[3]
    corrected(review, images, segmenter, Correction(review.new_id(), "yellow square", CLICKED, box=box))
    _, edit = review.edited.edits[-1]
    assert isinstance(edit, Correct)
    assert (edit.track, edit.first, edit.last) == (5, 0, COUNT - 1)
    assert clip.accuracy(review.edited, 5, 3, range(COUNT)) > 0.85


def test_correction_stops_before_the_next_one(clip: Clip, review: Review, images: RecordingImages, segmenter: Sam2Segmenter) -> None:
    """A second correction must not overwrite the image of the first one, which a person has seen."""
    corrected(review, images, segmenter, click(clip, 8))
    assert limits(review.edited, click(clip, 10)) == (9, COUNT - 1)
    assert limits(review.edited, click(clip, 4)) == (0, 7)
    assert limits(review.edited, click(clip, 8)) == (0, COUNT - 1)
    corrected(review, images, segmenter, click(clip, 10))
    _, edit = review.edited.edits[-1]
    assert isinstance(edit, Correct)
    assert edit.first >= 9
    assert clip.accuracy(review.edited) > 0.85


def test_canceled_correction_writes_nothing(clip: Clip, review: Review, images: RecordingImages, segmenter: Sam2Segmenter) -> None:
    done: list[int] = []
    retracker = Retracker(images, lambda: Session(segmenter), lambda number, _: done.append(number), lambda: len(done) == 2)
    with pytest.raises(CanceledError):
        retracker.run(review.edited, click(clip, CLICKED))
    assert done == [1, 2]
    jobs = CorrectionJobs(review, images, lambda: Session(segmenter))
    jobs.start(click(clip, CLICKED))
    with pytest.raises(EditError, match="track 1 is being corrected"):
        jobs.start(click(clip, CLICKED))
    jobs.cancel()
    jobs.wait()
    assert "canceled" in jobs.state.message
    assert not (clip.tracked / "edits").exists()
    assert review.edited.edits == []


def test_errors_reach_the_user(clip: Clip, review: Review, images: RecordingImages, segmenter: Sam2Segmenter) -> None:
    """A prompt beside the image and a network that is not there are explained, and nothing is written."""

    def missing() -> Session:
        raise OSError("sam2.1-tiny is not on this machine")

    outside = Correction(1, "", CLICKED, box=(1000.0, 1000.0, 1100.0, 1100.0))
    for make, correction, message in (
        (lambda: Session(segmenter), outside, "refuses the correction"),
        (missing, click(clip, CLICKED), "is not on this machine"),
    ):
        jobs = CorrectionJobs(review, images, make)
        jobs.start(correction)
        jobs.wait()
        assert jobs.state.has_failed
        assert message in jobs.state.message
    assert review.edited.edits == []


def test_new_masks_know_their_end() -> None:
    assert NewMasks(4, [None, None, None]).last == 6
