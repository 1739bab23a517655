# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The number of images on which each object of a recording is seen, hidden, or unknown."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from lang2segtrack_ros.types.results import FrameResult, Source, TrackStatus


@dataclass
class TraceCount:
    """The images of one object.

    Attributes:
        label: its latest label.
        first, last: the first and the last image that shows it, by position in the recording.
        seen: number of images that show it.
        filled: number of these images whose mask comes from the backward pass.
    """

    label: str = ""
    first: int = 0
    last: int = 0
    seen: int = 0
    filled: int = 0


@dataclass
class TraceCounts:
    """The counts of all objects that at least one image shows.

    An object is *hidden* on an image that does not show it, if an earlier and a later image show it. On all other images without its
    mask it is *unknown*: it may be outside the image, or not be recognized.

    Objects that are detected but never confirmed are false alarms in most cases, so they do not count.

    Attributes:
        keep_unconfirmed: True counts these objects, too.
        images: number of images.
        objects: counts by track id.
        unconfirmed: ids of the objects that are not confirmed so far.
    """

    keep_unconfirmed: bool = False
    images: int = 0
    objects: dict[int, TraceCount] = field(default_factory=dict)
    unconfirmed: set[int] = field(default_factory=set)

    def add(self, result: FrameResult) -> FrameResult:
        """Add the next image, and return its result without the objects that do not count."""
        if not self.keep_unconfirmed:
            result = self._confirmed(result)
        for track in result.tracks:
            if track.box is None or track.state is TrackStatus.REMOVED:
                continue
            count = self.objects.setdefault(track.id, TraceCount(first=self.images))
            count.label, count.last = track.label, self.images
            count.seen += 1
            count.filled += track.source is not Source.FORWARD
        self.images += 1
        return result

    def _confirmed(self, result: FrameResult) -> FrameResult:
        tentative = {track.id for track in result.tracks if track.state is TrackStatus.TENTATIVE}
        confirmed = {track.id for track in result.tracks if track.state is not TrackStatus.REMOVED} - tentative
        self.unconfirmed = (self.unconfirmed | tentative) - confirmed
        left_out = {track.id for track in result.tracks} & self.unconfirmed
        if not left_out:
            return result
        tracks = tuple(track for track in result.tracks if track.id not in left_out)
        return replace(result, tracks=tracks, prompted=tuple(item for item in result.prompted if item not in left_out))

    def hidden(self, track_id: int) -> int:
        """Return the number of images on which an object is hidden."""
        count = self.objects[track_id]
        return count.last - count.first + 1 - count.seen

    def sentences(self, has_backward: bool) -> list[str]:
        """Return one sentence for each object.

        Args:
            has_backward: True if a backward pass ran.
        """
        lines = []
        for track_id, count in sorted(self.objects.items()):
            hidden = self.hidden(track_id)
            filled = f" ({count.filled} by the backward pass)" if has_backward else ""
            unknown = self.images - count.seen - hidden
            name = f"track {track_id} {count.label or '(no label)'}"
            lines.append(f"{name}: seen on {count.seen} of {self.images} images{filled}, hidden on {hidden}, unknown on {unknown}")
        if self.unconfirmed:
            objects = "1 object was" if len(self.unconfirmed) == 1 else f"{len(self.unconfirmed)} objects were"
            lines.append(f"{objects} detected but never confirmed, and left out as false alarms")
        return lines
