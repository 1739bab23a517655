# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The summary of many tracked bags: `recordings.json`, with the state and the objects of each bag and their totals."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lang2segtrack_ros.recordings.bags.reading import BagInput
from lang2segtrack_ros.recordings.bags.tracks import bag_records
from lang2segtrack_ros.types.results import TrackStatus

FILE = "recordings.json"
FORMAT, VERSION = "lang2segtrack-recordings", 1
_UNCONFIRMED = TrackStatus.TENTATIVE.name.lower()


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class LabelCount(_Model):
    """All objects of one label."""

    label: str = Field(description="the label")
    objects: int = Field(description="number of tracks")
    seen: int = Field(description="number of masks, over all tracks and images")


class RecordingEntry(_Model):
    """One bag."""

    name: str = Field(description="name of the new bag in its folder")
    source: str = Field(description="path of the input bag, as given")
    state: str = Field(description="`done` or `failed`")
    error: str = Field(default="", description="reason of the failure")
    images: int = Field(default=0, description="number of tracked images")
    duration_s: float = Field(default=0.0, description="seconds between the first and the last image")
    objects: int = Field(default=0, description="number of tracks that were visible at least once")
    labels: list[LabelCount] = Field(default_factory=list, description="the objects by label")
    notes: list[str] = Field(default_factory=list, description="sentences on damage, and on messages left out")


class Collection(_Model):
    """All bags of a run, in the order of their names, and their totals."""

    format: str = Field(default=FORMAT, description=f"`{FORMAT}`")
    version: int = Field(default=VERSION, description="version of the format; fields may be added without a new version")
    recordings: list[RecordingEntry] = Field(description="the bags in the order of their names")
    failed: int = Field(description="number of bags that failed")
    images: int = Field(description="number of tracked images in all bags")
    minutes: float = Field(description="duration of all bags")
    objects: int = Field(description="number of tracks in all bags")
    labels: list[LabelCount] = Field(description="the objects of all bags by label, the most masks first")


def summarize(bag: Path, topic: str, source: str) -> RecordingEntry:
    """Return the summary of a tracked bag. Memory does not depend on the number of its images.

    Args:
        bag: the tracked bag.
        topic: topic of its tracks.
        source: path of the input bag.

    Raises:
        BagError: the bag cannot be read.
        TraceError: the bag has no such topic.
    """
    seen: Counter[int] = Counter()
    labels: dict[int, str] = {}
    stamps: list[int] = []
    images = 0
    notes: list[str] = []
    with BagInput(bag) as opened:
        for record in bag_records(opened, topic, notes):
            images += 1
            stamps = [*stamps[:1], record["stamp_ns"]]
            for track in record["tracks"]:
                if track["box"] is not None and track["state"] != _UNCONFIRMED:
                    seen[track["id"]] += 1
                    labels[track["id"]] = track["label"]
        notes += opened.damage
    return RecordingEntry(
        name=bag.name,
        source=source,
        state="done",
        images=images,
        duration_s=round((stamps[-1] - stamps[0]) / 1e9, 3) if stamps else 0.0,
        objects=len(seen),
        labels=_by_label((labels[track], 1, count) for track, count in seen.items()),
        notes=notes,
    )


def failure(name: str, source: str, error: str) -> RecordingEntry:
    """Return the entry of a bag that failed.

    Args:
        name: name that the new bag would have.
        source: path of the input bag.
        error: the reason.
    """
    return RecordingEntry(name=name, source=source, state="failed", error=error)


def collect(entries: Iterable[RecordingEntry]) -> Collection:
    """Return the summary of all bags. The same entries in any order give the same summary."""
    recordings = sorted(entries, key=lambda item: item.name)
    return Collection(
        recordings=recordings,
        failed=sum(item.state == "failed" for item in recordings),
        images=sum(item.images for item in recordings),
        minutes=round(sum(item.duration_s for item in recordings) / 60, 3),
        objects=sum(item.objects for item in recordings),
        labels=_by_label((label.label, label.objects, label.seen) for item in recordings for label in item.labels),
    )


def _by_label(counts: Iterable[tuple[str, int, int]]) -> list[LabelCount]:
    objects: Counter[str] = Counter()
    seen: Counter[str] = Counter()
    for label, tracks, masks in counts:
        objects[label] += tracks
        seen[label] += masks
    return [
        LabelCount(label=label, objects=objects[label], seen=seen[label]) for label in sorted(seen, key=lambda name: (-seen[name], name))
    ]


def read_entries(folder: Path) -> dict[str, RecordingEntry]:
    """Return the entries of earlier runs by name, without bags that were removed. A file that this version does not read has none."""
    try:
        found = Collection.model_validate_json((folder / FILE).read_bytes())
    except (OSError, ValidationError):
        return {}
    if (found.format, found.version) != (FORMAT, VERSION):
        return {}
    return {item.name: item for item in found.recordings if item.state == "failed" or (folder / item.name).exists()}


def write_collection(folder: Path, collection: Collection) -> None:
    """Write the summary in one step, so that a killed run leaves the earlier one. Raises OSError."""
    partial = folder / f".{FILE}.part"
    partial.write_text(collection.model_dump_json(indent=1) + "\n", encoding="utf-8")
    os.replace(partial, folder / FILE)


def sentences(collection: Collection) -> list[str]:
    """Return sentences on the totals, for the terminal."""
    done = len(collection.recordings) - collection.failed
    labels = ", ".join(f"{item.objects} {item.label or 'unnamed'}" for item in collection.labels[:8])
    more = f", and {len(collection.labels) - 8} more labels" if len(collection.labels) > 8 else ""
    found = f" ({labels}{more})" if labels else ""
    return [f"{done} bags, {collection.minutes:.1f} minutes, {collection.images} images, {collection.objects} objects{found}"]
