# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Findings: places of a recording that a person should check, and their order."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import Enum, IntEnum


class Severity(IntEnum):
    """The harm that a finding does to the labels, if it is right."""

    LOW = 1
    """A few images at most."""
    MEDIUM = 2
    """A part of a track."""
    HIGH = 3
    """All images that follow, because a track may be on another object."""


class Kind(str, Enum):
    """The kind of a finding."""

    ID_SWITCH = "id_switch"
    """A track may be on another object than before."""
    DUPLICATE = "duplicate"
    """Two tracks show the same mask."""
    POSITION_JUMP = "position_jump"
    """A mask moves further than its motion explains."""
    AREA_JUMP = "area_jump"
    """A mask grows or shrinks from one image to the next."""
    DISAGREEMENT = "disagreement"
    """The forward and the backward pass show different masks."""
    LOW_SCORE = "low_score"
    """A visible mask has a low score."""
    GAP = "gap"
    """A track is hidden between two images that show it."""
    EARLY_END = "early_end"
    """A track is last seen inside the image, before the recording ends."""


@dataclass(frozen=True)
class Finding:
    """One place to check.

    Attributes:
        kind: its kind.
        severity: its severity.
        image: number of the first image to look at.
        last_image: number of the last one, >= image.
        stamp_ns: timestamp of the first one in nanoseconds.
        track: id of the track.
        other: id of a second track that takes part; None for none.
        label: label of the track.
        reason: one sentence with the numbers that led to the finding.
        images: number of images with this finding, merged into one.
        affected: number of images whose labels are wrong if the finding is right, at most.
    """

    kind: Kind
    severity: Severity
    image: int
    last_image: int
    stamp_ns: int
    track: int
    label: str
    reason: str
    other: int | None = None
    images: int = 1
    affected: int = 1

    @property
    def rank(self) -> tuple[int, bool, int, int, int]:
        """Return the sort key. Severe findings come first, then id switches, then those with many affected images, then early ones."""
        return -self.severity, self.kind is not Kind.ID_SWITCH, -self.affected, self.image, self.track


class FindingList:
    """Findings in the order of their rank, at most a given number of them.

    Args:
        limit: maximum number of findings to keep. The least severe ones are dropped, and counted.

    Attributes:
        total: number of findings, including the dropped ones.
    """

    MERGE_WITHIN = 5
    """Findings of one kind and track that are at most so many images apart become one: a person looks at them together."""

    def __init__(self, limit: int = 2000) -> None:
        self._limit = limit
        self._kept: list[Finding] = []
        self._open: dict[tuple[Kind, int, int | None], Finding] = {}
        self._merged = 0
        self._added = 0

    @property
    def total(self) -> int:
        """Number of findings after merging, including the dropped ones."""
        return self._added - self._merged

    def add(self, finding: Finding) -> None:
        """Add a finding. Findings of one kind and track come in the order of their images."""
        self._added += 1
        key = finding.kind, finding.track, finding.other
        last = self._open.get(key)
        if last is not None and finding.image - last.last_image <= self.MERGE_WITHIN:
            self._merged += 1
            self._open[key] = _merge(last, finding)
            return
        if last is not None:
            self._keep(last)
        self._open[key] = finding

    def sorted(self) -> list[Finding]:
        """Return the findings in the order of their rank."""
        return sorted([*self._kept, *self._open.values()], key=lambda item: item.rank)[: self._limit]

    def _keep(self, finding: Finding) -> None:
        self._kept.append(finding)
        if len(self._kept) > 2 * self._limit:
            self._kept = sorted(self._kept, key=lambda item: item.rank)[: self._limit]


def _merge(one: Finding, other: Finding) -> Finding:
    worse = max((one, other), key=lambda item: (item.severity, item.affected))
    return replace(
        worse,
        image=min(one.image, other.image),
        stamp_ns=min(one.stamp_ns, other.stamp_ns),
        last_image=max(one.last_image, other.last_image),
        images=one.images + other.images,
        affected=max(one.affected, other.affected),
    )


def merge_switches(findings: Iterable[Finding]) -> list[Finding]:
    """Merge suspected id switches of the same tracks at nearly the same time. Their reasons are joined.

    Several rules see one switch. Two rules that agree make a switch more likely, so the severity becomes HIGH.

    Args:
        findings: findings of any kind.
    """
    others: list[Finding] = []
    merged: list[Finding] = []
    for item in sorted(findings, key=lambda item: (item.image, item.last_image)):
        if item.kind is not Kind.ID_SWITCH:
            others.append(item)
            continue
        ids = {item.track, item.other} - {None}
        near = next(
            (
                place
                for place in range(len(merged) - 1, -1, -1)
                if ids & {merged[place].track, merged[place].other}
                and item.image - merged[place].last_image <= _SWITCH_WITHIN
                and (merged[place].other is None or item.other is None or ids == {merged[place].track, merged[place].other})
            ),
            None,
        )
        if near is None:
            merged.append(item)
            continue
        first = merged[near]
        joined = _merge(first, item)
        is_new = item.reason.partition(":")[0] not in first.reason
        pair = first if first.other is not None else item
        merged[near] = replace(
            joined,
            track=pair.track,
            other=pair.other,
            label=pair.label,
            severity=Severity.HIGH if is_new else joined.severity,
            reason=f"{first.reason} {item.reason}" if is_new else first.reason,
        )
    return [*others, *merged]


_SWITCH_WITHIN = 10  # images; a crossing of two objects lasts about that long at 15 images per second
