# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Masks that the models themselves are unsure of: a low score, or two passes that show different masks."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from lang2segtrack_ros.recordings.quality.findings import Finding, Kind, Severity
from lang2segtrack_ros.recordings.quality.samples import ImageSample, TrackSample

AGREEMENT = 0.5
"""IoU of both passes below which they disagree; the merging of both passes uses the same limit."""
NO_AGREEMENT = 0.05
"""IoU of both passes at which they show different objects."""
SCORE = 0.5
"""Score below which a visible mask is unsure. The toy and the SAM 2.1 checkpoints give over 0.7 to whole objects."""
LONG = 5
"""Images in a row from which a disagreement or a low score is of medium severity."""


@dataclass
class _Run:
    first: ImageSample
    last: int
    worst: float
    images: int = 1


class _Runs:
    """Images in a row on which a value of a track is too low."""

    def __init__(self, kind: Kind) -> None:
        self._kind = kind
        self._runs: dict[int, tuple[_Run, TrackSample]] = {}

    def add(self, image: ImageSample, low: dict[int, float]) -> Iterator[Finding]:
        """Yield the runs that end before this image."""
        for track_id in sorted(set(self._runs) - set(low)):
            yield self._finding(*self._runs.pop(track_id))
        for track_id, value in low.items():
            known = self._runs.get(track_id)
            if known is None:
                self._runs[track_id] = _Run(image, image.number, value), image.tracks[track_id]
            else:
                run = known[0]
                run.last, run.worst, run.images = image.number, min(run.worst, value), run.images + 1

    def end(self) -> Iterator[Finding]:
        """Yield the runs that last to the end."""
        for track_id in sorted(self._runs):
            yield self._finding(*self._runs.pop(track_id))

    def _finding(self, run: _Run, sample: TrackSample) -> Finding:
        if self._kind is Kind.DISAGREEMENT:
            reason = f"The masks of both passes overlap by {run.worst:.2f} only (IoU)."
        else:
            reason = f"The score of the visible mask falls to {run.worst:.2f}."
        severity = Severity.MEDIUM if run.images >= LONG else Severity.LOW
        image = run.first
        return Finding(
            self._kind,
            severity,
            image.number,
            run.last,
            image.stamp_ns,
            sample.id,
            sample.label,
            reason,
            images=run.images,
            affected=run.images,
        )


class Disagreements(_Runs):
    """Images in a row on which both passes disagree."""

    def __init__(self) -> None:
        super().__init__(Kind.DISAGREEMENT)

    def step(self, image: ImageSample) -> Iterator[Finding]:
        """Add an image, and yield the findings that end before it."""
        low = {key: item.agreement for key, item in image.tracks.items() if not math.isnan(item.agreement) and item.agreement < AGREEMENT}
        return self.add(image, low)


class LowScores(_Runs):
    """Images in a row on which the score of a visible mask is low. The confidence of a merged trace counts, where there is one."""

    def __init__(self) -> None:
        super().__init__(Kind.LOW_SCORE)

    def step(self, image: ImageSample) -> Iterator[Finding]:
        """Add an image, and yield the findings that end before it."""
        values = {key: item.score if math.isnan(item.confidence) else item.confidence for key, item in image.tracks.items()}
        return self.add(image, {key: value for key, value in values.items() if value < SCORE})
