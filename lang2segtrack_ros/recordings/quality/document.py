# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The report as JSON: the model of `report.json`, which docs/report.md lists."""

from __future__ import annotations

import math
from collections import Counter

from pydantic import BaseModel, ConfigDict, Field

from lang2segtrack_ros.recordings.quality.curves import TrackCurve
from lang2segtrack_ros.recordings.quality.findings import Finding, Kind, Severity
from lang2segtrack_ros.recordings.quality.report import QualityReport

FORMAT, VERSION = "lang2segtrack-report", 1
SECONDS_PER_FINDING = 10
"""Seconds that a person needs for one finding, as an estimate: look at the image, decide, go on."""
MINUTES = 10
"""Minutes of a person for which the report marks the findings to check first."""


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FindingEntry(_Model):
    """One place to check."""

    kind: str = Field(description="kind of the finding, see the table of kinds")
    severity: str = Field(description="`high`, `medium` or `low`")
    image: int = Field(description="number of the first image to look at, as in `tracks.jsonl`")
    last_image: int = Field(description="number of the last image")
    stamp_ns: int = Field(description="timestamp of the first image in nanoseconds")
    track: int = Field(description="id of the track")
    other: int | None = Field(description="id of a second track that takes part, or null")
    label: str = Field(description="label of the track")
    reason: str = Field(description="sentences with the numbers that led to the finding")
    images: int = Field(description="number of images with this finding")
    affected: int = Field(description="number of images whose labels are wrong if the finding is right, at most")


class CurvePoint(_Model):
    """Consecutive images of a track."""

    image: int = Field(description="number of the first image")
    images: int = Field(description="number of images that show the track")
    score: float = Field(description="mean score, 0..1")
    lowest_score: float = Field(description="lowest score, 0..1")
    area: float = Field(description="mean area of the mask in pixels")
    agreement: float | None = Field(description="lowest agreement of both passes, 0..1, or null")


class TrackEntry(_Model):
    """One track over the recording."""

    id: int = Field(description="id of the track")
    label: str = Field(description="its latest label")
    first_image: int = Field(description="number of the first image that shows it")
    last_image: int = Field(description="number of the last image that shows it")
    seen: int = Field(description="number of images that show it")
    hidden: int = Field(description="number of images without it between the first and the last one")
    filled: int = Field(description="number of images whose mask comes from the backward pass")
    score: float = Field(description="mean score, 0..1")
    lowest_score: float = Field(description="lowest score, 0..1")
    findings: int = Field(description="number of its findings")
    curve: list[CurvePoint] = Field(description="score over time, at most 240 points")


class LabelEntry(_Model):
    """All tracks of one label."""

    label: str = Field(description="the label")
    tracks: int = Field(description="number of its tracks")
    seen: int = Field(description="number of masks, over all tracks and images")
    shortest: int = Field(description="number of masks of its shortest track")
    longest: int = Field(description="number of masks of its longest track")


class ReportDocument(_Model):
    """The report of a recording."""

    format: str = Field(default=FORMAT, description="`lang2segtrack-report`")
    version: int = Field(default=VERSION, description="version of the format; fields may be added without a new version")
    name: str = Field(description="name of the recording")
    images: int = Field(description="number of images")
    width: int = Field(description="width of the images in pixels")
    height: int = Field(description="height of the images in pixels")
    first_image: int = Field(description="number of the first image")
    last_image: int = Field(description="number of the last image")
    duration_s: float = Field(description="seconds between both images")
    missing_images: int = Field(description="number of images between both that the trace leaves out")
    unconfirmed: int = Field(description="number of tracks that were never confirmed, and are left out")
    colors_compared: bool = Field(description="true if `--video` gave the images")
    check_first: int = Field(description="number of findings to check in ten minutes, the first ones of `findings`")
    counts: dict[str, int] = Field(description="number of findings of each kind")
    labels: list[LabelEntry] = Field(description="the labels")
    tracks: list[TrackEntry] = Field(description="the tracks in the order of their ids")
    findings: list[FindingEntry] = Field(description="the findings in the order in which to check them")
    dropped: int = Field(description="number of findings beyond the limit of 2000, the least severe ones")
    notes: list[str] = Field(description="sentences on what was left out or damaged")


def document(report: QualityReport, colors_compared: bool = False) -> ReportDocument:
    """Return the report in the form of its JSON file.

    Args:
        report: the report.
        colors_compared: True if the colors of the tracks were compared.
    """
    own = Counter(track for item in report.findings for track in {item.track, item.other} if track is not None)
    curves = [curve for _, curve in sorted(report.curves.items())]
    by_label: dict[str, list[int]] = {}
    for curve in curves:
        by_label.setdefault(curve.label, []).append(curve.seen)
    return ReportDocument(
        name=report.name,
        images=report.images,
        width=report.width,
        height=report.height,
        first_image=report.first_image,
        last_image=report.last_image,
        duration_s=round(report.duration_ns / 1e9, 3),
        missing_images=report.missing_images,
        unconfirmed=report.unconfirmed,
        colors_compared=colors_compared,
        check_first=min(len(report.findings), MINUTES * 60 // SECONDS_PER_FINDING),
        counts={kind.value: sum(item.kind is kind for item in report.findings) for kind in Kind},
        labels=[
            LabelEntry(label=label, tracks=len(seen), seen=sum(seen), shortest=min(seen), longest=max(seen))
            for label, seen in sorted(by_label.items(), key=lambda item: (-sum(item[1]), item[0]))
        ],
        tracks=[_track(curve, own[curve.id]) for curve in curves],
        findings=[_finding(item) for item in report.findings],
        dropped=report.dropped,
        notes=report.notes,
    )


def _finding(item: Finding) -> FindingEntry:
    return FindingEntry(
        kind=item.kind.value,
        severity=Severity(item.severity).name.lower(),
        image=item.image,
        last_image=item.last_image,
        stamp_ns=item.stamp_ns,
        track=item.track,
        other=item.other,
        label=item.label,
        reason=item.reason,
        images=item.images,
        affected=item.affected,
    )


def _track(curve: TrackCurve, findings: int) -> TrackEntry:
    points = [
        CurvePoint(
            image=item.first,
            images=item.images,
            score=round(item.total / item.images, 4),
            lowest_score=round(item.low, 4),
            area=round(item.area / item.images, 1),
            agreement=None if math.isnan(item.agreement) else round(item.agreement, 4),
        )
        for _, item in sorted(curve.bins.items())
    ]
    return TrackEntry(
        id=curve.id,
        label=curve.label,
        first_image=curve.first_image,
        last_image=curve.last_image,
        seen=curve.seen,
        hidden=curve.hidden,
        filled=curve.filled,
        score=round(curve.mean_score, 4),
        lowest_score=min(point.lowest_score for point in points),
        findings=findings,
        curve=points,
    )
