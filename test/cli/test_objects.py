# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""`lang2segtrack objects`: export of a map, also while another process writes it, and its refusals."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from lang2segtrack_ros.cli.main import main
from lang2segtrack_ros.object_map.store import MapStore
from test.object_map.test_store import saved, thing


def test_json_and_csv_while_a_node_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The writer keeps the file open. The export must neither wait for it nor disturb it."""
    store = MapStore(tmp_path / "map.db", "home")
    saved(store, thing(1), thing(2))
    assert main(["objects", str(tmp_path / "map.db"), "--map", "home"]) == 0
    assert [item["id"] for item in json.loads(capsys.readouterr().out)["objects"]] == [1, 2]
    out = tmp_path / "objects.csv"
    assert main(["objects", str(tmp_path / "map.db"), "--map", "home", "--format", "csv", "--out", str(out)]) == 0
    assert [row["label"] for row in csv.DictReader(out.open(encoding="utf-8"))] == ["rote Tasse ☕"] * 2
    saved(store, thing(3))


def test_refusals(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A wrong file, and a wrong name of a map, each with the fix."""
    assert main(["objects", str(tmp_path / "none.db")]) == 1
    assert "there is no file" in capsys.readouterr().err
    MapStore(tmp_path / "map.db", "home").close()
    assert main(["objects", str(tmp_path / "map.db"), "--map", "office"]) == 1
    assert "its maps are home" in capsys.readouterr().err
