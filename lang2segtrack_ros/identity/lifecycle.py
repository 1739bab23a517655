# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The state of a track, by the time since its object was last visible."""

from __future__ import annotations

from dataclasses import dataclass

from lang2segtrack_ros.types.options import option
from lang2segtrack_ros.types.results import TrackStatus

NS = 1_000_000_000
"""Nanoseconds of a second."""


@dataclass(frozen=True)
class LifecycleOptions:
    """Options of the lifecycle of tracks."""

    lost_after_s: float = option(2.0, "Time in seconds after which a hidden object is lost instead of occluded.", 0.0, 3600.0, dynamic=True)
    remove_after_s: float = option(
        0.0, "Time in seconds after which a hidden object is removed. Set to 0 to keep it.", 0.0, 86400.0, dynamic=True
    )


def track_status(visible: bool, unseen_ns: int, options: LifecycleOptions) -> TrackStatus:
    """Return the state of a confirmed track.

    Args:
        visible: True if the object has a mask.
        unseen_ns: time since the object was last visible, in nanoseconds.
        options: see `LifecycleOptions`.
    """
    if visible:
        return TrackStatus.TRACKED
    if options.remove_after_s and unseen_ns >= options.remove_after_s * NS:
        return TrackStatus.REMOVED
    return TrackStatus.LOST if unseen_ns >= options.lost_after_s * NS else TrackStatus.OCCLUDED
