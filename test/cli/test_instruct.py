# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""`--instruct` of the commands `track` and `image`, and in a file of prompts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lang2segtrack_ros.cli.main import main
from lang2segtrack_ros.io.writers import write_png
from lang2segtrack_ros.toyworld.scene import SceneFrame

TOY = ["--segmenter", "toy", "--detector", "toy", "--device", "cpu"]


@pytest.fixture
def folder(tmp_path: Path, frames: list[SceneFrame]) -> Path:
    for number in range(5):
        write_png(tmp_path / "images" / f"{number:03}.png", frames[number].color)
    return tmp_path / "images"


def test_instruction_starts_a_track(tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The answer with plan and reasons is printed, and only the chosen object is tracked; a file may hold the instruction."""
    prompts = tmp_path / "prompts.yaml"
    prompts.write_text("- {at: 1, instruct: the object below the circle and left of the star, everything: star. square.}\n")
    arguments = ["track", str(folder), "--instruct", "the circle left of the star", "--prompts", str(prompts), *TOY]
    assert main([*arguments, "--out", str(tmp_path / "out")]) == 0
    output = capsys.readouterr().out
    assert '"the circle left of the star" on image 0:\n  target 1: the only "circle" left of the only "star"' in output
    record = json.loads((tmp_path / "out" / "tracks.jsonl").read_text().splitlines()[-1])
    assert sorted(track["label"] for track in record["tracks"]) == ["circle", "square"]


def test_instruction_chooses_among_the_objects(tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The data set holds the chosen objects only, and the answer says why."""
    command = ["image", str(folder / "000.png"), *TOY, "--no-overlay"]
    assert main([*command, "--instruct", "the circle left of the star", "--instruct", "the mug", "--out", str(tmp_path / "out")]) == 2
    assert 'the detector "toy" does not know: mug' in capsys.readouterr().err
    arguments = ["--instruct", "the object left of the cross", "--instruct", "the largest object", "--everything", "star. cross"]
    assert main([*command, *arguments, "--out", str(tmp_path / "out")]) == 0
    output = capsys.readouterr().out
    assert "chosen: #" in output
    assert "left of" in output
    content = json.loads((tmp_path / "out" / "instances.json").read_text())
    assert [item["name"] for item in content["categories"]] == ["star", "cross"]
    assert main([*command, *arguments, "--text", "star", "--out", str(tmp_path / "other")]) == 2
    assert "without --text and --exemplar" in capsys.readouterr().err
