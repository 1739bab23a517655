# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Results of a recording in which a confirmed object appears from its first detection on.

A live stream cannot announce a doubtful object before its confirmation. A recording can, because its results may wait for later images.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import TypeVar

from lang2segtrack_ros.types.results import FrameResult, Track, TrackStatus

Item = TypeVar("Item")
MAX_DELAY = 64
"""Maximum number of images for which a result waits."""


def fill_back(items: Iterable[Item], result_of: Callable[[Item], FrameResult]) -> Iterator[tuple[Item, FrameResult]]:
    """Yield each item with its result, in which tentative tracks that are confirmed later are no longer tentative.

    An item waits until its tentative tracks are confirmed or removed, at most for `MAX_DELAY` items. If `items` fails, the waiting items
    come before the exception.

    Args:
        items: items with the results of consecutive images.
        result_of: returns the result of an item.
    """
    waiting: deque[Item] = deque()
    confirmed: set[int] = set()
    failure: Exception | None = None
    iterator = iter(items)
    while True:
        try:
            item = next(iterator)
        except StopIteration:
            break
        except Exception as error:  # raised again after the finished items
            failure = error
            break
        waiting.append(item)
        tracks = result_of(item).tracks
        confirmed |= {track.id for track in tracks if track.state not in (TrackStatus.TENTATIVE, TrackStatus.REMOVED)}
        tentative = {track.id for track in tracks if track.state is TrackStatus.TENTATIVE}
        while waiting and (len(waiting) > MAX_DELAY or tentative.isdisjoint(track.id for track in result_of(waiting[0]).tracks)):
            yield _filled(waiting.popleft(), result_of, confirmed)
    for item in waiting:
        yield _filled(item, result_of, confirmed)
    if failure is not None:
        raise failure


def _filled(item: Item, result_of: Callable[[Item], FrameResult], confirmed: set[int]) -> tuple[Item, FrameResult]:
    result = result_of(item)
    if all(track.state is not TrackStatus.TENTATIVE or track.id not in confirmed for track in result.tracks):
        return item, result
    return item, replace(result, tracks=tuple(_confirmed(track) if track.id in confirmed else track for track in result.tracks))


def _confirmed(track: Track) -> Track:
    """Return a track without the tentative state."""
    if track.state is not TrackStatus.TENTATIVE:
        return track
    return replace(track, state=TrackStatus.TRACKED if track.box is not None else TrackStatus.OCCLUDED)
