# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Colors of the tracks before and after crossings, jumps and gaps, as further evidence for id switches. It needs the images."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from lang2segtrack_ros.io.exports.pictures import Pictures
from lang2segtrack_ros.io.exports.trace import LabeledFrame, Trace
from lang2segtrack_ros.recordings.quality.findings import Finding, Kind, Severity
from lang2segtrack_ros.recordings.quality.report import Event

IMAGES = 4
"""Images before and after an event whose colors are summed."""
MARGIN = 2
"""Images next to an event that are left out: masks of two objects mix there."""
HUES, SATURATIONS, VALUES = 12, 4, 4
"""Bins of a histogram. Few bins bear changes of light."""
DIFFERENT = 0.35
"""Similarity of two histograms (intersection, 0..1) below which one track shows two objects."""
EXCHANGED_GAIN = 0.5
"""Mean gain of similarity through an exchange of ids, from which two tracks count as exchanged."""
MIN_PIXELS = 30
"""Pixels of a mask below which its colors say nothing."""

Histogram = NDArray[np.float64]


@dataclass
class _Colors:
    event: Event
    before: dict[int, Histogram] = field(default_factory=dict)
    after: dict[int, Histogram] = field(default_factory=dict)

    @property
    def first(self) -> int:
        return self.event.first - MARGIN - IMAGES

    @property
    def last(self) -> int:
        return self.event.last + MARGIN + IMAGES

    def place(self, number: int) -> dict[int, Histogram] | None:
        """Return where the colors of an image belong; None if it is not needed."""
        if self.first <= number < self.event.first - MARGIN:
            return self.before
        return self.after if self.event.last + MARGIN < number <= self.last else None


def histogram(color: NDArray[np.uint8], mask: NDArray[np.bool_]) -> Histogram | None:
    """Return the distribution of the colors under a mask, float [12 * 4 * 4] with sum 1, in hue, saturation and value.

    Args:
        color: RGB uint8 [H, W, 3].
        mask: bool [H, W].

    Returns:
        None for a mask of less than `MIN_PIXELS` pixels.
    """
    pixels = color[mask]
    if len(pixels) < MIN_PIXELS:
        return None
    hsv = cv2.cvtColor(pixels[None], cv2.COLOR_RGB2HSV)[0].astype(int)
    bins = (hsv[:, 0] * HUES // 180 * SATURATIONS + hsv[:, 1] * SATURATIONS // 256) * VALUES + hsv[:, 2] * VALUES // 256
    counts: Histogram = np.bincount(bins, minlength=HUES * SATURATIONS * VALUES).astype(np.float64)
    counts /= counts.sum()
    return counts


def compare_colors(trace: Path, events: Iterable[Event], pictures: Pictures) -> Iterator[Finding]:
    """Yield a suspected id switch for each event after which the colors fit another object. The images are read once, in order.

    Args:
        trace: file of the records.
        events: the events.
        pictures: the images of the recording.

    Raises:
        TraceError: the recording has no image for the trace, or one of another size.
        SourceError: the images cannot be read.
    """
    waiting = sorted((_Colors(event) for event in events), key=lambda item: item.first, reverse=True)
    if not waiting:
        return
    running: list[_Colors] = []
    labels: dict[int, str] = {}
    for frame in Trace(trace, "colors").frames():
        labels |= {item.id: item.label for item in frame.objects}
        pictures.seek(frame)
        while waiting and waiting[-1].first <= frame.number:
            running.append(waiting.pop())
        for item in [item for item in running if item.last < frame.number]:
            running.remove(item)
            yield from _judge(item, labels)
        needed = [(item, place) for item in running if (place := item.place(frame.number)) is not None]
        if needed:
            _add(frame, pictures.color, needed)
    for item in running:
        yield from _judge(item, labels)


def _add(frame: LabeledFrame, color: NDArray[np.uint8], needed: list[tuple[_Colors, dict[int, Histogram]]]) -> None:
    wanted = {track_id for item, _ in needed for track_id in item.event.ids}
    found = {item.id: histogram(color, item.mask) for item in frame.objects if item.id in wanted}
    for item, place in needed:
        for track_id in item.event.ids:
            colors = found.get(track_id)
            if colors is not None:
                place[track_id] = place.get(track_id, 0.0) + colors


def _judge(item: _Colors, labels: dict[int, str]) -> Iterator[Finding]:
    event, ids = item.event, item.event.ids
    if any(track_id not in colors for track_id in ids for colors in (item.before, item.after)):
        return
    if len(ids) == 1:
        value = similarity(item.before[ids[0]], item.after[ids[0]])
        if value < DIFFERENT:
            reason = f"Colors: those of track {ids[0]} before and after this place have a similarity of {value:.2f} only."
            yield _switch(event, labels, reason, None)
        return
    one, other = ids
    kept = similarity(item.before[one], item.after[one]) + similarity(item.before[other], item.after[other])
    swapped = similarity(item.before[one], item.after[other]) + similarity(item.before[other], item.after[one])
    if swapped - kept >= 2 * EXCHANGED_GAIN:
        reason = f"Colors: exchanged ids of tracks {one} and {other} fit with {swapped / 2:.2f}, the kept ones with {kept / 2:.2f}."
        yield _switch(event, labels, reason, other)


def similarity(one: Histogram, other: Histogram) -> float:
    """Return the intersection of two histograms after scaling to sum 1, 0..1 (Swain and Ballard, Color Indexing, 1991)."""
    return float(np.minimum(one / one.sum(), other / other.sum()).sum())


def _switch(event: Event, labels: dict[int, str], reason: str, other: int | None) -> Finding:
    track_id = event.ids[0]
    return Finding(Kind.ID_SWITCH, Severity.HIGH, event.first, event.last, event.stamp_ns, track_id, labels[track_id], reason, other)
