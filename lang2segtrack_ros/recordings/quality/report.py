# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The analysis of a recording: all rules in one pass over its images."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace

from lang2segtrack_ros.recordings.quality.absences import Absences
from lang2segtrack_ros.recordings.quality.contacts import Contacts, exchanged
from lang2segtrack_ros.recordings.quality.curves import Curves
from lang2segtrack_ros.recordings.quality.duplicates import Shared, SharedMasks, duplicate, merged_switch
from lang2segtrack_ros.recordings.quality.findings import Finding, FindingList, Kind, merge_switches
from lang2segtrack_ros.recordings.quality.jumps import area_jumps, position_jumps
from lang2segtrack_ros.recordings.quality.motion import Trails
from lang2segtrack_ros.recordings.quality.samples import ImageSample, Pair
from lang2segtrack_ros.recordings.quality.switches import passes_differ, place_taken, replaced
from lang2segtrack_ros.recordings.quality.unsure import Disagreements, LowScores

MAX_EVENTS = 5000
"""Events for the comparison of colors that are kept; further ones are counted."""


@dataclass(frozen=True)
class Event:
    """Images in which one or two tracks may change their object.

    Attributes:
        first, last: numbers of the first and the last image.
        stamp_ns: timestamp of the first image.
        ids: the track, or both tracks.
    """

    first: int
    last: int
    stamp_ns: int
    ids: tuple[int] | Pair


@dataclass
class QualityReport:
    """The quality of a recording.

    Attributes:
        name: name of the recording.
        images: number of images.
        width, height: size of the images in pixels; 0 without an image.
        first_image, last_image: numbers of the first and the last image.
        duration_ns: time between them.
        curves: the tracks by id.
        unconfirmed: number of tracks that were never confirmed, and are left out.
        missing_images: number of images of the recording that the trace leaves out.
        findings: the findings in the order in which to check them.
        dropped: number of findings beyond the limit.
        events: events for the comparison of colors.
        notes: sentences on what was left out or damaged.
    """

    name: str
    images: int = 0
    width: int = 0
    height: int = 0
    first_image: int = 0
    last_image: int = 0
    duration_ns: int = 0
    curves: Curves = field(default_factory=Curves)
    unconfirmed: int = 0
    missing_images: int = 0
    findings: list[Finding] = field(default_factory=list)
    dropped: int = 0
    events: list[Event] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


class _Analysis:
    def __init__(self, limit: int) -> None:
        self.trails = Trails()
        self.curves = Curves()
        self.findings = FindingList(limit)
        self.events: list[Event] = []
        self.events_left_out = 0
        self.confirmed: set[int] = set()
        self.unconfirmed: set[int] = set()
        self._absences, self._contacts, self._shared = Absences(), Contacts(), SharedMasks()
        self._disagreements, self._low_scores = Disagreements(), LowScores()

    def add(self, image: ImageSample) -> None:
        """Add the next image to all rules."""
        for finding in self._findings(image):
            self._add(finding)
        self.trails.add(image)
        self.curves.add(image)
        self.confirmed |= set(image.tracks) | image.hidden
        self.unconfirmed |= image.unconfirmed

    def _findings(self, image: ImageSample) -> Iterator[Finding]:
        yield from area_jumps(image, self.trails)
        yield from position_jumps(image, self.trails)
        yield from place_taken(image, self.trails)
        yield from replaced(image, self.trails)
        yield from passes_differ(image)
        yield from self._disagreements.step(image)
        yield from self._low_scores.step(image)
        yield from self._absences.add(image)
        for item in self._shared.add(image, self.trails):
            yield from self._share(item)
        for contact, after in self._contacts.add(image, self.trails):
            self._event(Event(contact.first, contact.last, contact.stamp_ns, contact.pair))
            yield from exchanged(contact, after)

    def _share(self, item: Shared) -> Iterator[Finding]:
        yield duplicate(item)
        yield from merged_switch(item)

    def end(self) -> None:
        """Add the findings that last to the end of the recording."""
        for item in self._shared.end():
            for finding in self._share(item):
                self._add(finding)
        for rule in (self._disagreements, self._low_scores, self._absences):
            for finding in rule.end():
                self._add(finding)

    def _add(self, finding: Finding) -> None:
        self.findings.add(finding)
        if finding.kind in (Kind.GAP, Kind.POSITION_JUMP):
            self._event(Event(finding.image, finding.last_image, finding.stamp_ns, (finding.track,)))

    def _event(self, event: Event) -> None:
        if len(self.events) < MAX_EVENTS:
            self.events.append(event)
        else:
            self.events_left_out += 1


def analyze(
    images: Iterable[ImageSample],
    name: str,
    limit: int = 2000,
    progress: Callable[[int], None] = lambda done: None,
) -> QualityReport:
    """Analyze a recording in one pass. Memory depends on the number of tracks and findings, not on that of images.

    Args:
        images: its images in order.
        name: its name.
        limit: maximum number of findings.
        progress: callback with the number of images so far.

    Raises:
        TraceError: the trace cannot be read.
    """
    analysis, report = _Analysis(limit), QualityReport(name)
    first_ns = 0
    for image in images:
        if not report.images:
            report.first_image, first_ns = image.number, image.stamp_ns
        else:
            report.missing_images += max(image.number - report.last_image - 1, 0)
        report.images += 1
        report.width, report.height = report.width or image.width, report.height or image.height
        report.last_image, report.duration_ns = image.number, image.stamp_ns - first_ns
        analysis.add(image)
        progress(report.images)
    analysis.end()
    report.curves, report.events = analysis.curves, analysis.events
    report.unconfirmed = len(analysis.unconfirmed - analysis.confirmed)
    report.findings = rank(analysis.findings.sorted(), report)
    report.dropped = max(analysis.findings.total - limit, 0)
    if analysis.events_left_out:
        report.notes.append(
            f"{analysis.events_left_out} crossings, jumps and gaps are too many for a comparison of colors, and left out of it"
        )
    return report


def rank(findings: Iterable[Finding], report: QualityReport) -> list[Finding]:
    """Return findings in the order in which to check them, with suspected switches merged.

    A suspected id switch affects all later images of its tracks.

    Args:
        findings: the findings.
        report: the report with the curves of the tracks.
    """
    ranked = []
    for item in merge_switches(findings):
        if item.kind is Kind.ID_SWITCH:
            curves = [report.curves[key] for key in (item.track, item.other) if key is not None and key in report.curves]
            item = replace(item, affected=max([1, *(curve.seen_from(item.image) for curve in curves)]))
        ranked.append(item)
    return sorted(ranked, key=lambda item: item.rank)
