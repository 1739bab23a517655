# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Many bags through the real command, one after the other and on a real Ray of two workers."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lang2segtrack_ros.cli.main import main
from lang2segtrack_ros.recordings.bags.many import pair_up
from lang2segtrack_ros.toyworld.scene import Scene, SceneFrame
from test.conftest import body_box
from test.recordings.bags.making import contents, record

COUNT = 4


@pytest.fixture
def bags(tmp_path: Path, scene: Scene) -> list[Path]:
    """Two sound bags, and a folder that is none."""
    for name in ("one", "two"):
        record(tmp_path / name, scene, COUNT)
    (tmp_path / "three").mkdir()
    return [tmp_path / name for name in ("one", "two", "three")]


def run(bags: list[Path], frames: list[SceneFrame], *more: str) -> int:
    box = ",".join(f"{value:g}" for value in body_box(frames[2], 1))
    out = bags[0].parent / "out"
    return main(["bag", *map(str, bags), "--segmenter", "toy", "--box", f"{box}=circle", "--at", "2", "--out", str(out), *more])


@pytest.mark.parametrize("workers", [1, 2])
def test_each_bag_has_its_own_fate_and_a_second_run_does_the_rest(
    bags: list[Path], frames: list[SceneFrame], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    """A broken bag is told in the table and by the exit code; what is done is not done again; both ways of working agree."""
    if workers > 1:
        pytest.importorskip("ray", reason="Ray has no wheel for this Python")
        monkeypatch.setenv("PYTHONPATH", str(Path(__file__).resolve().parents[3]), prepend=":")
        monkeypatch.delenv("RAY_USAGE_STATS_ENABLED", raising=False)
        monkeypatch.setenv("RAY_TMPDIR", "/tmp")  # a socket's path must be short
    assert run(bags, frames, "--workers", str(workers)) == 1
    assert workers == 1 or os.environ["RAY_USAGE_STATS_ENABLED"] == "0", "Ray tells its makers of its use unless it is told not to"
    printed = capsys.readouterr().out
    table = {line.split()[0]: line.split()[1:] for line in printed.splitlines()[-3:]}
    assert table["one"][:3] == ["done", str(COUNT), "1"]
    assert table["two"][:3] == ["done", str(COUNT), "1"]
    assert "failed:" in table["three"]
    for name in ("one", "two"):
        topics = {topic for topic, _, _ in contents(bags[0].parent / "out" / name)}
        assert {"/tracks", "/tracks_refined", "/chatter"} <= topics
    assert run(bags[:2], frames) == 0
    assert capsys.readouterr().out.count("done before") == 4


def test_outputs_that_would_collide_are_refused(tmp_path: Path, frames: list[SceneFrame], capsys: pytest.CaptureFixture[str]) -> None:
    """Before anything is done."""
    assert run([tmp_path / "a" / "bag", tmp_path / "b" / "bag"], frames) == 1
    assert "would both become" in capsys.readouterr().err
    assert pair_up([tmp_path / "in" / "x.mcap", tmp_path / "in" / "y"], tmp_path) == [
        (tmp_path / "in" / "x.mcap", tmp_path / "x"),
        (tmp_path / "in" / "y", tmp_path / "y"),
    ]


def test_wrong_numbers_of_workers_are_refused(bags: list[Path], frames: list[SceneFrame], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(bags, frames, "--workers", "0") == 1
    assert "--workers is 0" in capsys.readouterr().err


def test_a_bag_is_not_its_own_output(tmp_path: Path, frames: list[SceneFrame], scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    """It would be there already, and taken for done."""
    record(tmp_path / "one", scene, COUNT)
    assert main(["bag", str(tmp_path / "one"), str(tmp_path / "two"), "--text", "cup.", "--out", str(tmp_path)]) == 1
    assert "would be its own output" in capsys.readouterr().err
