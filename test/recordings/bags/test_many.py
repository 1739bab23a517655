# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The command on many bags: one after another, in two processes, and on Ray."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lang2segtrack_ros.cli.main import main
from lang2segtrack_ros.recordings.bags.collection import Collection
from lang2segtrack_ros.recordings.bags.job import BagSummary
from lang2segtrack_ros.recordings.bags.many import Processes, pair_up
from lang2segtrack_ros.recordings.runs import InterruptedRunError
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


@pytest.mark.parametrize("parallel", [(), ("--jobs", "2"), ("--jobs", "2", "--ray", "local")], ids=["one by one", "processes", "Ray"])
def test_failed_bag_does_not_stop_the_others_and_finished_bags_are_skipped(
    bags: list[Path],
    frames: list[SceneFrame],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    parallel: tuple[str, ...],
) -> None:
    """A run over many bags takes hours, so one broken bag must not stop it, and a second run must not repeat finished bags.

    The table, the exit code and recordings.json must report the broken bag, with and without parallel jobs.
    """
    if parallel:
        monkeypatch.setenv("PYTHONPATH", str(Path(__file__).resolve().parents[3]), prepend=":")
    if "--ray" in parallel:
        pytest.importorskip("ray", reason="Ray has no wheel for this Python")
        monkeypatch.delenv("RAY_USAGE_STATS_ENABLED", raising=False)
        monkeypatch.setenv("RAY_TMPDIR", "/tmp")  # the path of a socket must be short
    assert run(bags, frames, *parallel) == 1
    assert "--ray" not in parallel or os.environ["RAY_USAGE_STATS_ENABLED"] == "0", "usage statistics must be off"
    printed = capsys.readouterr().out.splitlines()
    assert printed[-2] == "2 bags, 0.0 minutes, 8 images, 2 objects (2 circle)"
    table = {line.split()[0]: line.split()[1:] for line in printed[-5:-2]}
    assert table["one"][:3] == ["done", str(COUNT), "1"]
    assert table["two"][:3] == ["done", str(COUNT), "1"]
    assert "failed:" in table["three"]
    for name in ("one", "two"):
        topics = {topic for topic, _, _ in contents(bags[0].parent / "out" / name)}
        assert {"/tracks", "/tracks_refined", "/chatter"} <= topics
    out = bags[0].parent / "out"
    manifest = (out / "recordings.json").read_bytes()
    found = Collection.model_validate_json(manifest)
    assert [(item.name, item.state, item.images, item.objects) for item in found.recordings] == [
        ("one", "done", COUNT, 1),
        ("three", "failed", 0, 0),
        ("two", "done", COUNT, 1),
    ]
    assert (found.failed, found.images, [(item.label, item.objects, item.seen) for item in found.labels]) == (1, 8, [("circle", 2, 8)])
    assert run(bags[:2], frames) == 0
    assert (out / "recordings.json").read_bytes() == manifest, "finished bags keep their entries, and bags of another run, too"
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


def test_folder_of_bags_is_tracked_and_exported(tmp_path: Path, scene: Scene, frames: list[SceneFrame]) -> None:
    """A folder stands for its bags, each export has its folder, and the same input gives the same bytes, with any number of jobs."""
    for name in ("one", "two"):
        record(tmp_path / "bags" / name, scene, COUNT)
    (tmp_path / "bags" / "notes.txt").write_text("no bag")
    (tmp_path / "bags" / "one.work").mkdir()
    (tmp_path / "bags" / "one.work" / "part.mcap").write_bytes(b"")  # of a run that goes on later
    box = ",".join(f"{value:g}" for value in body_box(frames[0], 1))
    trees = []
    for jobs in ("1", "2"):
        out = tmp_path / jobs
        arguments = ["bag", str(tmp_path / "bags"), "--segmenter", "toy", "--box", f"{box}=circle", "--out", str(out), "--jobs", jobs]
        assert main([*arguments, "--export", "coco,mot"]) == 0
        names = ("recordings.json", "one_exports/coco", "one_exports/mot", "two_exports/coco")
        assert all((out / name).exists() for name in names)
        trees.append({path.relative_to(out): path.read_bytes() for path in out.rglob("[!.]*") if path.suffix in (".json", ".txt", ".ini")})
    assert trees[0] == trees[1]
    assert len(trees[0]) > 4


def test_one_dead_process_costs_one_bag(tmp_path: Path) -> None:
    """The kernel ends a process when memory is short. The other bags go on."""
    pairs = [(tmp_path / name, tmp_path / "out" / name) for name in ("good", "killed", "fine")]
    outcomes = {row.source.name: row for row in Processes(work_of_test, 2).run(pairs)}
    assert {name: row.error for name, row in outcomes.items() if row.error} == {
        "killed": "its process died: run the same command again, with fewer --jobs if memory is short"
    }
    assert [outcomes[name].summary for name in ("good", "fine")] == [BagSummary(images=3), BagSummary(images=4)]


def test_stop_reaches_the_processes(tmp_path: Path) -> None:
    """Running jobs write their checkpoint and end, and no further job starts."""
    pairs = [(tmp_path / name, tmp_path / name) for name in ("waits", "waits2", "good", "fine")]
    processes = Processes(work_of_test, 2)
    timer = threading.Timer(1.0, processes.stop)
    timer.start()
    with pytest.raises(InterruptedRunError, match="stopped at image 7"):
        list(processes.run(pairs))
    timer.join()
    assert not (tmp_path / "started.fine").exists()


def work_of_test(source: Path, target: Path, stop: Callable[[], bool]) -> BagSummary:
    """Act as a job; a process of its own runs it."""
    (source.parent / f"started.{source.name}").touch()
    if source.name == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    while source.name.startswith("waits"):
        time.sleep(0.01)
        if stop():
            raise InterruptedRunError("stopped at image 7")
    return BagSummary(images=3 if source.name == "good" else 4)


def test_job_count_below_one_is_refused(bags: list[Path], frames: list[SceneFrame], capsys: pytest.CaptureFixture[str]) -> None:
    """The error must name the option."""
    assert run(bags, frames, "--jobs", "0") == 1
    assert "--jobs is 0" in capsys.readouterr().err


def test_bag_as_its_own_output_is_refused(
    tmp_path: Path, frames: list[SceneFrame], scene: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    """The output would already exist, so the bag would count as finished."""
    record(tmp_path / "one", scene, COUNT)
    assert main(["bag", str(tmp_path / "one"), str(tmp_path / "two"), "--text", "cup.", "--out", str(tmp_path)]) == 1
    assert "would be its own output" in capsys.readouterr().err
