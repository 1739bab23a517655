# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Images are counted as seen, hidden or unknown for each object."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from lang2segtrack_ros.history.trace_counts import TraceCounts
from lang2segtrack_ros.types.results import FrameResult, Source, Track, TrackStatus
from test.io.test_rendering import make_track


def result(number: int, *tracks: Track) -> FrameResult:
    """Return the result of one image."""
    return FrameResult(number, number, 20, 20, tracks)


def test_absence_between_two_visible_images_is_hidden_and_the_rest_unknown() -> None:
    """Before the first and after the last of them, nothing says where the object is."""
    mask = np.zeros((20, 20), bool)
    mask[2:9, 2:9] = True
    seen = make_track(mask, 3)
    hidden = make_track(np.zeros((20, 20), bool), 3)
    counts = TraceCounts()
    for number, track in enumerate([None, replace(seen, source=Source.BACKWARD), hidden, hidden, seen, hidden]):
        counts.add(result(number, *([] if track is None else [track])))
    assert counts.hidden(3) == 2
    [sentence] = counts.sentences(has_backward=True)
    assert sentence.endswith("seen on 2 of 6 images (1 by the backward pass), hidden on 2, unknown on 2")
    assert "backward" not in counts.sentences(has_backward=False)[0]


def test_objects_that_are_never_seen_or_removed_are_left_out() -> None:
    counts = TraceCounts()
    mask = np.ones((20, 20), bool)
    counts.add(result(0, make_track(np.zeros((20, 20), bool), 1), replace(make_track(mask, 2), state=TrackStatus.REMOVED)))
    assert counts.sentences(False) == []
