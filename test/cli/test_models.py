# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""`lang2segtrack models`: built-in models, checkpoints and the plug-ins of an installed package."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from lang2segtrack_ros.cli.main import main
from lang2segtrack_ros.io.writers import write_png
from lang2segtrack_ros.models import catalogue, families
from lang2segtrack_ros.models.catalogue import CHECKPOINTS, TOY_FOLDER
from lang2segtrack_ros.models.families import FAMILIES, Family
from lang2segtrack_ros.toyworld.scene import SceneFrame
from lang2segtrack_ros.tracking.policies.registry import POLICY_NAMES
from test.models import stranger


def listed(capsys: pytest.CaptureFixture[str]) -> dict[tuple[str, str], dict[str, Any]]:
    assert main(["models", "--json"]) == 0
    return {(row["kind"], row["name"]): row for row in json.loads(capsys.readouterr().out)}


def test_every_model_has_a_row(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A user sees what is downloaded, what runs here, and the reason why something does not."""
    monkeypatch.setenv(catalogue.HOME_VARIABLE, str(tmp_path))
    shutil.copytree(TOY_FOLDER / "segmenter", tmp_path / "sam2.1-small")
    row = Family("edgetam", "segmenter", ("edgetam_video",), "none:load", frozenset({"masks"}), extra="lang2segtrack_missing")
    others = tuple(family for family in FAMILIES if family.name != "edgetam")
    monkeypatch.setattr(families, "FAMILIES", (*others, row))
    rows = listed(capsys)
    expected = {(item.kind, item.name) for item in CHECKPOINTS} | {("policy", name) for name in POLICY_NAMES}
    assert expected | {("detector", "toy"), ("segmenter", "toy")} <= set(rows)
    assert rows["segmenter", "sam2.1-small"]["folder"] == str(tmp_path / "sam2.1-small")
    assert rows["segmenter", "sam2.1-tiny"]["folder"] == ""
    assert rows["segmenter", "sam2.1-tiny"]["runs"]
    assert rows["detector", "grounding-dino-tiny"]["abilities"] == "text, batch"
    edgetam, sam3 = rows["segmenter", "edgetam"], rows["detector", "sam3"]
    assert (edgetam["runs"], edgetam["here"]) == (False, "needs pip install lang2segtrack_missing")
    assert (sam3["runs"], sam3["accept"]) == (True, "sam3")


def test_plugins_of_an_installed_package_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], frames: list[SceneFrame]
) -> None:
    """A stranger's wheel, installed by pip. The command lists it, refuses its restricted detector, and runs it once accepted."""
    monkeypatch.syspath_prepend(stranger.install(tmp_path))
    assert main(["models"]) == 0
    cells = {line.split()[0]: line for line in capsys.readouterr().out.splitlines() if line}
    assert "text, batch" in cells["stranger-detector"]
    assert "Stranger License  stranger" in cells["stranger-detector"]
    assert "MIT" in cells["stranger-segmenter"]
    assert "plug-in" in cells["stranger-policy"]
    assert 'no: the policy plug-in "lost-policy" cannot be imported' in cells["lost-policy"]
    write_png(tmp_path / "a.png", frames[0].color)
    line = ["image", str(tmp_path / "a.png"), "--text", "red circle.", "--detector", "stranger-detector", "--device", "cpu"]
    line += ["--segmenter", "stranger-segmenter", "--no-overlay", "--out", str(tmp_path / "out")]
    assert main(line) == 1
    message = capsys.readouterr().err
    assert "the Stranger License forbids Mondays (https://example.org)" in message
    assert "--accept-license stranger" in message
    assert main([*line, "--accept-license", "stranger"]) == 0
    written = (tmp_path / "out" / "instances.json").read_text()
    assert "segmenter the stranger's segmenter, detector the stranger's detector" in written
