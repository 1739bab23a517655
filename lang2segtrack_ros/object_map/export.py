# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Objects of a map as JSON and CSV."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable
from datetime import datetime, timezone
from typing import Any

from lang2segtrack_ros.object_map.objects import NS, MapObject

CSV_FIELDS = (
    *("id", "label", "name", "state", "state_since", "x", "y", "z", "deviation_x", "deviation_y", "deviation_z"),
    *("size_x", "size_y", "size_z", "first_seen", "last_seen", "moved_at", "sightings", "score"),
)
"""Columns of the CSV file. Lengths are in meters in the fixed frame, times in ISO 8601 (UTC); empty for never."""


def as_json(objects: Iterable[MapObject], map_name: str, fixed_frame: str) -> str:
    """Return a JSON text with all objects by id, their covariances [3][3] and tracks.

    Args:
        objects: the objects.
        map_name: name of the map.
        fixed_frame: frame of the positions.
    """
    items = [_fields(item) for item in sorted(objects, key=lambda item: item.id)]
    return json.dumps({"map": map_name, "fixed_frame": fixed_frame, "objects": items}, indent=1, ensure_ascii=False) + "\n"


def as_csv(objects: Iterable[MapObject]) -> str:
    """Return a CSV text with one line for each object, by id. See `CSV_FIELDS`."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(CSV_FIELDS)
    for item in sorted(objects, key=lambda item: item.id):
        fields = _fields(item)
        deviations = [round(float(value) ** 0.5, 4) for value in item.covariance.diagonal()]
        row = {**fields, **dict(zip(("x", "y", "z"), fields["position"]))}
        row.update(zip(("deviation_x", "deviation_y", "deviation_z"), deviations))
        row.update(zip(("size_x", "size_y", "size_z"), fields["size"]))
        writer.writerow(["" if row[name] is None else row[name] for name in CSV_FIELDS])
    return text.getvalue()


def _time(stamp_ns: int) -> str | None:
    if not stamp_ns:
        return None
    seconds, rest = divmod(stamp_ns, NS)
    return f"{datetime.fromtimestamp(seconds, timezone.utc):%Y-%m-%dT%H:%M:%S}.{rest // 1_000_000:03d}Z"


def _fields(item: MapObject) -> dict[str, Any]:
    return {
        "id": item.id,
        "label": item.label,
        "name": item.name,
        "state": item.state.name.lower(),
        "state_since": _time(item.state_since_ns),
        "position": [round(float(value), 4) for value in item.position],
        "covariance": item.covariance.round(8).tolist(),
        "size": [round(float(value), 4) for value in item.size],
        "first_seen": _time(item.first_seen_ns),
        "last_seen": _time(item.last_seen_ns),
        "moved_at": _time(item.moved_at_ns),
        "sightings": item.sightings,
        "score": round(float(item.score), 4),
        "tracks": [{"source": track.source, "track_id": track.track_id, "last_seen": _time(ns)} for track, ns in item.tracks.items()],
    }
