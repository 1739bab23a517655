# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Identity counts of cases that can be counted by hand."""

from __future__ import annotations

import numpy as np

from lang2segtrack_ros.toyworld.metrics import IdentityCounter

TRUTH = np.zeros((20, 40), np.uint16)
TRUTH[5:15, 2:12] = 1
TRUTH[5:15, 22:32] = 2


def test_swapped_tracks_count_as_two_switches() -> None:
    """Tracks 7 and 8 swap once, on the third of four frames, so two bodies change their track."""
    counter = IdentityCounter()
    first, second = TRUTH == 1, TRUTH == 2
    for masks in ({7: first, 8: second}, {7: first, 8: second}, {7: second, 8: first}, {7: second, 8: first}):
        counter.add(TRUTH, masks, {7: "a", 8: "b"})
    assert counter.switches == 2
    rows = counter.tracks({1: "left", 2: "right"})
    assert [(row["id"], row["label"], row["first_frame"], row["last_frame"], row["mean_iou"]) for row in rows] == [
        (7, "a", 0, 3, 0.5),
        (8, "b", 0, 3, 0.5),
    ]


def test_mean_iou_counts_partial_and_empty_masks() -> None:
    counter = IdentityCounter()
    half = (TRUTH == 1).copy()
    half[5:10] = False
    counter.add(TRUTH, {1: half}, {})
    counter.add(TRUTH, {1: np.zeros_like(half)}, {})
    assert counter.tracks({1: "left"})[0]["mean_iou"] == 0.25
    assert counter.switches == 0


def test_gap_keeps_the_id_but_a_new_id_is_a_switch() -> None:
    counter = IdentityCounter()
    visible = TRUTH == 1
    counter.add(TRUTH, {1: visible}, {})
    counter.add(TRUTH, {}, {})
    counter.add(TRUTH, {1: visible}, {})
    assert counter.switches == 0
    counter.add(TRUTH, {2: visible}, {})
    assert counter.switches == 1
