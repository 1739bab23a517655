# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Export as JSON and CSV: other programs read it, so each is read back by a reader of its own."""

from __future__ import annotations

import csv
import io
import json

from lang2segtrack_ros.object_map.export import CSV_FIELDS, as_csv, as_json
from test.object_map.test_store import thing


def test_json() -> None:
    """All fields, words of any script, and times in ISO 8601."""
    content = json.loads(as_json([thing()], "home", "map"))
    assert (content["map"], content["fixed_frame"]) == ("home", "map")
    (item,) = content["objects"]
    assert (item["id"], item["label"], item["name"], item["state"]) == (3, "rote Tasse ☕", "dock", "missing")
    assert item["position"] == [1.5, -2.25, 0.125]
    assert item["covariance"][0] == [0.0002, 0.00001, 0.0]
    assert item["last_seen"] == "1970-01-01T00:00:00.000Z"
    assert item["tracks"][0] == {"source": "front", "track_id": 7, "last_seen": "1970-01-01T00:00:00.000Z"}


def test_csv() -> None:
    """One line for each object, in the order of their ids; a comma in a label does not break a line."""
    second = thing(1)
    second.label, second.moved_at_ns = "mug, red", 0
    rows = list(csv.DictReader(io.StringIO(as_csv([thing(), second]))))
    assert tuple(rows[0]) == CSV_FIELDS
    assert [(row["id"], row["label"]) for row in rows] == [("1", "mug, red"), ("3", "rote Tasse ☕")]
    assert (rows[0]["x"], rows[0]["size_z"], rows[0]["deviation_x"], rows[0]["moved_at"]) == ("1.5", "0.3", "0.0141", "")
