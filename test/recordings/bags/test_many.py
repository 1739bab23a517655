# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The command on many bags, one after another and on Ray with two workers."""

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
    """Two intact bags, and a folder that is not a bag."""
    for name in ("one", "two"):
        record(tmp_path / name, scene, COUNT)
    (tmp_path / "three").mkdir()
    return [tmp_path / name for name in ("one", "two", "three")]


def run(bags: list[Path], frames: list[SceneFrame], *more: str) -> int:
    box = ",".join(f"{value:g}" for value in body_box(frames[2], 1))
    out = bags[0].parent / "out"
    return main(["bag", *map(str, bags), "--segmenter", "toy", "--box", f"{box}=circle", "--at", "2", "--out", str(out), *more])


@pytest.mark.parametrize("workers", [1, 2])
def test_failed_bag_does_not_stop_the_others_and_finished_bags_are_skipped(
    bags: list[Path], frames: list[SceneFrame], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    """A run over many bags takes hours, so one broken bag must not stop it, and a second run must not repeat finished bags.

    The table and the exit code must report the broken bag, with and without Ray.
    """
    if workers > 1:
        pytest.importorskip("ray", reason="Ray has no wheel for this Python")
        monkeypatch.setenv("PYTHONPATH", str(Path(__file__).resolve().parents[3]), prepend=":")
        monkeypatch.delenv("RAY_USAGE_STATS_ENABLED", raising=False)
        monkeypatch.setenv("RAY_TMPDIR", "/tmp")  # the path of a socket must be short
    assert run(bags, frames, "--workers", str(workers)) == 1
    assert workers == 1 or os.environ["RAY_USAGE_STATS_ENABLED"] == "0", "usage statistics must be off"
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
    assert run(bags[:2], frames, "--no-backward") == 1, "these outputs would differ"
    assert capsys.readouterr().out.count("already exists") == 4


def test_equal_output_names_are_refused(tmp_path: Path, frames: list[SceneFrame], capsys: pytest.CaptureFixture[str]) -> None:
    """The check must come before any work, because one bag would overwrite the other."""
    assert run([tmp_path / "a" / "bag", tmp_path / "b" / "bag"], frames) == 1
    assert "would both become" in capsys.readouterr().err
    assert pair_up([tmp_path / "in" / "x.mcap", tmp_path / "in" / "y"], tmp_path) == [
        (tmp_path / "in" / "x.mcap", tmp_path / "x"),
        (tmp_path / "in" / "y", tmp_path / "y"),
    ]


def test_worker_count_below_one_is_refused(bags: list[Path], frames: list[SceneFrame], capsys: pytest.CaptureFixture[str]) -> None:
    """The error must name the option."""
    assert run(bags, frames, "--workers", "0") == 1
    assert "--workers is 0" in capsys.readouterr().err


def test_bag_as_its_own_output_is_refused(
    tmp_path: Path, frames: list[SceneFrame], scene: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    """The output would already exist, so the bag would count as finished."""
    record(tmp_path / "one", scene, COUNT)
    assert main(["bag", str(tmp_path / "one"), str(tmp_path / "two"), "--text", "cup.", "--out", str(tmp_path)]) == 1
    assert "would be its own output" in capsys.readouterr().err
