# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Confirmation and loss of objects by the hits and misses of the detector.

* Confirmation. One sure detection confirms an object. A detection is sure if its score reaches `confirm_score_ratio` times the detector's
  default threshold, and if the network is confident of a mask that fills the box. The mask alone says nothing: a wrong name on a real
  object has a good mask too. Any other object is tentative until the detector has found it `min_hits` times under its own name. Until
  then the detector runs twice as often. A tentative object that three later detections miss is a false alarm, and is removed. An object
  from a user's prompt is confirmed immediately.
* Missed detections. A visible object of a continuous prompt needs re-identification when the detector misses it `max_misses` times in a
  row. Its track may have drifted to something else.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from lang2segtrack_ros.identity.track_state import Tracks, TrackState, Verification
from lang2segtrack_ros.types.options import option
from lang2segtrack_ros.types.results import Track

_FALSE_ALARM_MISSES = 3  # misses after which a tentative object is a false alarm


@dataclass(frozen=True)
class ConfirmationOptions:
    """Options of the confirmation of objects."""

    min_hits: int = option(2, "Detections that confirm an object found by text. Set to 1 to publish it after the first one.", 1, 20)
    confirm_score_ratio: float = option(
        1.7,
        "Score from which one detection confirms an object, as a multiple of the detector's own threshold. Set to 0 to require min_hits.",
        0.0,
        10.0,
    )
    max_misses: int = option(
        6, "Consecutive detections that miss a visible object before it needs re-identification. Set to 0 to disable.", 0, 10000
    )


def is_sure(score: float, default_threshold: float, options: ConfirmationOptions) -> bool:
    """Return True if the score of one detection is high enough to confirm its object.

    Args:
        score: score of the detection, 0..1.
        default_threshold: default threshold of the detector.
        options: see `ConfirmationOptions`.
    """
    return 0 < options.confirm_score_ratio * default_threshold <= score


@dataclass(frozen=True)
class Hits:
    """The tracks that one detection run has found.

    Attributes:
        found: ids of the tracks with a detection.
        named: ids of the tracks with a detection of their own label.
        sure: ids of the tracks with a sure detection of their own label.
    """

    found: frozenset[int]
    named: frozenset[int]
    sure: frozenset[int]


def count_hits(
    states: Tracks, hits: Hits, tracks: Iterable[Track], phrases: Collection[str], options: ConfirmationOptions
) -> tuple[dict[int, TrackState], list[int]]:
    """Count the hits and misses of one detection run.

    Args:
        states: states of the objects by id.
        hits: the tracks with a detection.
        tracks: tracks on the detected image.
        phrases: names that the detector looked for.
        options: see `ConfirmationOptions`.

    Returns:
        The updated states, and the ids of tentative tracks that were false alarms.
    """
    updated, false_alarms = dict(states), []
    for track in tracks:
        state = states.get(track.id)
        if state is None or not state.is_detected or state.label not in phrases or (state.confirmed and track.box is None):
            continue
        if track.id in hits.found:
            count = state.hits + (track.id in hits.named)
            confirmed = state.confirmed or track.id in hits.sure or count >= options.min_hits
            updated[track.id] = replace(state, hits=count, misses=0, verification=Verification.VERIFIED, confirmed=confirmed)
            continue
        state = replace(state, misses=state.misses + 1)
        if not state.confirmed and state.misses >= _FALSE_ALARM_MISSES:
            false_alarms.append(track.id)
        elif options.max_misses and state.misses >= options.max_misses:
            state = replace(state, misses=0).requiring(Verification.NEEDS_REID)
        updated[track.id] = state
    return updated, false_alarms


def unconfirmable(states: Tracks, phrases: Collection[str]) -> list[int]:
    """Return the tentative objects that no detection can confirm, because the detector only looks for `phrases`."""
    return [key for key, state in states.items() if not state.confirmed and state.label not in phrases]


def unconfirmed_labels(states: Tracks) -> set[str]:
    """Return the labels of the tentative objects."""
    return {state.label for state in states.values() if not state.confirmed}
