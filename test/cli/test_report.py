# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""`lang2segtrack report` on the command line, and the benchmark of its rules."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from bench.report import Counts, crossing_of, exchange, is_near
from bench.report_clips import Switch, read_switches, true_switches, true_trace, write_clip
from lang2segtrack_ros.cli.main import main
from lang2segtrack_ros.evaluation.identity import IdentityRecord, combine
from lang2segtrack_ros.history.records import frame_record
from lang2segtrack_ros.io.writers import write_png
from lang2segtrack_ros.recordings.quality.document import ReportDocument
from lang2segtrack_ros.recordings.quality.findings import Finding, Kind, Severity
from lang2segtrack_ros.toyworld.scene import Scene, SceneFrame
from lang2segtrack_ros.toyworld.suites import make_clip
from test.conftest import body_box
from test.recordings.bags.making import record
from test.recordings.quality.making import COUNT, crossing, steady, write

TOY = ["--segmenter", "toy", "--detector", "toy", "--device", "cpu"]


def read(folder: Path) -> ReportDocument:
    """Return the JSON file of a report, which must follow its model."""
    return ReportDocument.model_validate_json((folder / "report.json").read_text(encoding="utf-8"))


def test_report_of_a_tracked_folder(tmp_path: Path, frames: list[SceneFrame], capsys: pytest.CaptureFixture[str]) -> None:
    """What `track` wrote has a report, with and without the images, in a folder beside it."""
    for number in range(6):
        write_png(tmp_path / "images" / f"{number}.png", frames[number].color)
    box = ",".join(f"{value:g}" for value in body_box(frames[0], 1))
    assert main(["track", str(tmp_path / "images"), "--box", f"{box}=rote Tasse", *TOY, "--out", str(tmp_path / "cups")]) == 0
    capsys.readouterr()
    assert main(["report", str(tmp_path / "cups")]) == 0
    assert "tracks: 1, on 6 images of cups" in capsys.readouterr().out
    report = read(tmp_path / "cups_report")
    assert ([item.label for item in report.labels], report.images, report.colors_compared) == (["rote Tasse"], 6, False)
    assert "rote Tasse" in (tmp_path / "cups_report" / "report.html").read_text(encoding="utf-8")
    assert main(["report", str(tmp_path / "cups")]) == 0
    assert "already done" in capsys.readouterr().out
    arguments = ["report", str(tmp_path / "cups"), "--video", str(tmp_path / "images"), "--name", "mugs", "--out", str(tmp_path / "two")]
    assert main(arguments) == 0
    report = read(tmp_path / "two")
    assert (report.name, report.colors_compared) == ("mugs", True)


def test_report_of_a_bag(tmp_path: Path, scene: Scene, frames: list[SceneFrame]) -> None:
    """The tracks of a bag are read, its images are found by their stamps, and nothing else stays in the folder."""
    box = ",".join(f"{value:g}" for value in body_box(frames[0], 1))
    tracked = tmp_path / "tracked"
    bag = str(record(tmp_path / "in", scene, 4))
    assert main(["bag", bag, "--box", f"{box}=cup", *TOY, "--out", str(tracked)]) == 0
    assert main(["report", str(tracked), "--video", bag]) == 0
    report = read(tmp_path / "tracked_report")
    assert (report.name, report.images, [track.seen for track in report.tracks]) == ("tracked", 4, [4])
    visible = [path.name for path in (tmp_path / "tracked_report").iterdir() if not path.name.startswith(".")]
    assert sorted(visible) == ["report.html", "report.json"]


def test_findings_are_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The three worst ones appear on the terminal, whatever a label holds."""
    trace = write(tmp_path / "tracks.jsonl", crossing(30))
    assert main(["report", str(trace), "--out", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    assert "1 high" in printed
    assert "track 1 cup: " in printed
    assert read(tmp_path / "out").findings[0].kind == "id_switch"


def test_empty_recording_has_a_report(tmp_path: Path) -> None:
    write(tmp_path / "tracks.jsonl", {}, range(0))
    assert main(["report", str(tmp_path / "tracks.jsonl"), "--out", str(tmp_path / "out")]) == 0
    assert (read(tmp_path / "out").images, read(tmp_path / "out").tracks) == (0, [])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none"], "there is no file or folder none"),
        (["{trace}", "--video", "none.mp4"], "there is no file or folder none.mp4"),
        (["{empty}"], "holds no tracks.jsonl and is no bag"),
        (["{back}"], "has image 3 after image 4: records must be in the order of their images"),
        (["{trace}", "--video", "{empty}"], "there is no image in"),
    ],
)
def test_errors_are_sentences(tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str) -> None:
    """The command prints one message, returns 1, and leaves no output."""
    (tmp_path / "empty").mkdir()
    places = {"empty": tmp_path / "empty", "trace": tmp_path / "trace.jsonl", "back": tmp_path / "back.jsonl"}
    write(places["trace"], {1: steady()})
    write(places["back"], {1: steady()}, [4, 3])
    assert main(["report", *(item.format(**places) for item in arguments), "--out", str(tmp_path / "out")]) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_other_files_are_never_replaced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trace, out = write(tmp_path / "trace.jsonl", {1: steady()}), tmp_path / "out"
    out.mkdir()
    (out / "notes.txt").write_text("mine")
    assert main(["report", str(trace), "--out", str(out), "--overwrite"]) == 1
    assert "notes.txt" in capsys.readouterr().err
    assert (out / "notes.txt").read_text() == "mine"


def test_true_switches_are_those_of_trackeval() -> None:
    """The benchmark counts as CLEAR does, and adds the images."""
    record = IdentityRecord()
    left, right = np.zeros((20, 40), bool), np.zeros((20, 40), bool)
    left[:, :12], right[:, 24:] = True, True
    truth = (left * 1 + right * 2).astype(np.uint16)
    for image in range(10):
        record.add(truth, [1, 2], {3: left, 5: right} if image < 4 or image > 7 else {3: right, 5: left})
    switches = true_switches(record)
    assert [item.image for item in switches] == [4, 4, 8, 8]
    assert switches[0] == Switch(4, 3, 5)
    assert len(switches) == combine([record.evaluate()])["id_switches"]


def test_injected_switches_and_their_counts(tmp_path: Path) -> None:
    """An exchange changes the ids from one image on, and the counts tell found from suspected."""
    results = true_trace(make_clip("crossing", 200, 96, 72))
    one, other, image = crossing_of(results, np.random.default_rng(0)) or (0, 0, 0)
    assert one
    changed = exchange(results, one, other, image)
    assert (changed[image].by_id[one].mask == results[image].by_id[other].mask).all()
    assert changed[image].by_id[one].label == results[image].by_id[one].label
    assert changed[image - 1] == results[image - 1] or changed[image - 1].tracks == results[image - 1].tracks
    switches = [Switch(image, one, other)]
    write_clip(tmp_path / "clip", map(frame_record, changed), switches)
    assert read_switches(tmp_path / "clip") == switches
    assert len((tmp_path / "clip" / "tracks.jsonl").read_text().splitlines()) == len(results) == COUNT
    near = Finding(Kind.ID_SWITCH, Severity.HIGH, image + 3, image + 5, 0, other, "", "", None)
    assert is_near(near, switches[0], 3)
    assert not is_near(near, switches[0], 2)
    counts = Counts()
    counts.add([near], switches, 60, 3)
    counts.add([near], [], 60, 3)
    assert (counts.row()["recall"], counts.row()["precision"]) == (1, 0.5)
    assert json.dumps(counts.row())
