# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Images on which a track exists without being visible."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from lang2segtrack_ros.recordings.quality.findings import Finding, Kind, Severity
from lang2segtrack_ros.recordings.quality.samples import ImageSample, TrackSample

LONG_NS = 1_000_000_000
"""Duration of a gap from which its severity is medium: the object may return as another one, or was visible meanwhile."""
END_MARGIN = 3
"""Images before the end of the recording at which a track may end without a finding."""


@dataclass
class _Seen:
    sample: TrackSample
    image: int
    stamp_ns: int
    was_at_border: bool
    hidden_from: tuple[int, int] | None = None  # number and stamp of the first image without the track
    is_removed: bool = False


class Absences:
    """The gaps and early ends of all tracks. Memory is constant for each track."""

    def __init__(self) -> None:
        self._seen: dict[int, _Seen] = {}
        self._last: tuple[int, int] | None = None

    def add(self, image: ImageSample) -> Iterator[Finding]:
        """Yield a finding for each track that returns on this image.

        Gaps that begin at the border are of low severity: the object may have left the image.
        """
        for track_id, sample in image.tracks.items():
            seen = self._seen.get(track_id)
            if seen is not None and seen.hidden_from is not None and self._last is not None:
                yield self._gap(seen, image, self._last[0])
            self._seen[track_id] = _Seen(sample, image.number, image.stamp_ns, image.at_border(sample.box))
        for track_id, seen in self._seen.items():
            if track_id not in image.tracks and seen.hidden_from is None:
                seen.hidden_from = image.number, image.stamp_ns
                seen.is_removed = track_id in image.removed
        self._last = image.number, image.stamp_ns

    def _gap(self, seen: _Seen, image: ImageSample, last: int) -> Finding:
        assert seen.hidden_from is not None
        first, stamp_ns = seen.hidden_from
        count, duration = last - first + 1, image.stamp_ns - seen.stamp_ns
        severity = Severity.MEDIUM if duration >= LONG_NS and not seen.was_at_border else Severity.LOW
        place = "at the border" if seen.was_at_border else "inside the image"
        reason = f"The track is hidden on {count} {'image' if count == 1 else 'images'} ({duration / 1e9:.2f} s), last seen {place}."
        return Finding(Kind.GAP, severity, first, last, stamp_ns, seen.sample.id, seen.sample.label, reason, images=count, affected=count)

    def end(self) -> Iterator[Finding]:
        """Yield a finding for each track that ends inside the image before the recording does."""
        if self._last is None:
            return
        for track_id, seen in sorted(self._seen.items()):
            count = self._last[0] - seen.image
            if seen.hidden_from is None or seen.was_at_border or count <= END_MARGIN:
                continue
            first, stamp_ns = seen.hidden_from
            how = "removed" if seen.is_removed else "hidden"
            reason = f"The track is {how} from here to the end of the recording ({count} images), last seen inside the image."
            yield Finding(Kind.EARLY_END, Severity.MEDIUM, first, first, stamp_ns, track_id, seen.sample.label, reason, affected=count)
