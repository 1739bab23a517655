# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Findings about running trackers: a healthy one, one with a problem, and one that does not answer."""

from __future__ import annotations

import pytest
from diagnostic_msgs.msg import DiagnosticStatus, KeyValue

from lang2segtrack_ros.doctor.finding import Level
from lang2segtrack_ros.doctor.trackers import CameraTopics, Tracker, check_trackers


def tracker(level: bytes, message: str, **values: str) -> Tracker:
    status = DiagnosticStatus(level=level, message=message, values=[KeyValue(key=key, value=value) for key, value in values.items()])
    return Tracker("/left/track_node", status)


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        (DiagnosticStatus.OK, Level.OK),
        (DiagnosticStatus.WARN, Level.WARNING),
        (DiagnosticStatus.STALE, Level.WARNING),
        (DiagnosticStatus.ERROR, Level.ERROR),
    ],
)
def test_tracker_speaks_for_itself(level: bytes, expected: Level) -> None:
    """The node knows more about its state than the graph shows."""
    (finding,) = check_trackers([tracker(level, "no image for 3 s", setup="segmenter toy")])
    assert (finding.level, finding.subject, finding.text) == (expected, "/left/track_node", "no image for 3 s, segmenter toy")
    assert bool(finding.advice) == (expected is not Level.OK)


def test_tracker_without_a_status_is_an_error() -> None:
    """A node whose threads hang is still in the graph. It looked healthy."""
    (finding,) = check_trackers([Tracker("/track_node")])
    assert finding.level is Level.ERROR
    assert "it hangs" in finding.text
    assert finding.advice


def test_no_tracker_is_no_problem() -> None:
    """A user may check the camera first."""
    (finding,) = check_trackers([])
    assert (finding.level, finding.text) == (Level.OK, "not running")


def test_topics_are_those_of_the_status() -> None:
    """A node that is not configured has none."""
    values = {"color_topic": "/left/color", "depth_topic": "", "camera_info_topic": ""}
    assert tracker(DiagnosticStatus.OK, "tracking", **values).topics == CameraTopics("/left/color", "", "")
    assert tracker(DiagnosticStatus.STALE, "not configured").topics is None
