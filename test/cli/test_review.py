# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""`lang2segtrack review` on the command line: from `track` over edits to a new folder, and the message of each error."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from lang2segtrack_ros.cli.main import main
from lang2segtrack_ros.io.writers import write_png
from lang2segtrack_ros.recordings.review.edits import Delete, Rename
from lang2segtrack_ros.recordings.review.review import Review
from lang2segtrack_ros.toyworld.scene import SceneFrame
from test.cli.serving import serving
from test.conftest import body_box

COUNT = 6
TOY = ["--segmenter", "toy", "--detector", "toy", "--device", "cpu"]


@pytest.fixture
def tracked(tmp_path: Path, frames: list[SceneFrame]) -> Path:
    """Track two objects of the toy scene."""
    for number in range(COUNT):
        write_png(tmp_path / "images" / f"{number:03}.png", frames[number].color)
    boxes = [",".join(f"{value:g}" for value in body_box(frames[0], body)) for body in (1, 2)]
    prompts = ["--box", f"{boxes[0]}=red circle", "--box", f"{boxes[1]}=blue star"]
    assert main(["track", str(tmp_path / "images"), *prompts, *TOY, "--out", str(tmp_path / "tracked")]) == 0
    return tmp_path / "tracked"


def labels(folder: Path) -> list[dict[int, str]]:
    """Return the labels of the visible tracks on each image."""
    records = [json.loads(line) for line in (folder / "tracks.jsonl").read_text().splitlines()]
    return [{track["id"]: track["label"] for track in record["tracks"] if track["box"]} for record in records]


def test_edits_are_applied_to_a_new_folder(tracked: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All files of the new folder have the edits, the old folder is as it was, and a second run has nothing to do."""
    before = {path: path.read_bytes() for path in tracked.rglob("*") if path.is_file()}
    review = Review(tracked)
    review.add(Rename(1, "cup"))
    review.add(Delete(2, 3, 5))
    review.close()
    out = tmp_path / "edited"
    assert main(["review", str(tracked), "--apply", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "track 2 blue star: seen on 3 of 6 images" in printed
    assert "2 edits applied" in printed
    assert labels(out) == [{1: "cup", 2: "blue star"}] * 3 + [{1: "cup"}] * 3
    assert sorted(path.name for path in (out / "masks" / "2").iterdir()) == ["000000.png", "000001.png", "000002.png"]
    assert (out / "tracks_mot_labels.txt").read_text() == "1,cup\n2,blue star\n"
    assert (out / "overlay.webm").exists()
    assert before == {path: path.read_bytes() for path in before}
    assert main(["review", str(tracked), "--apply", str(out)]) == 0
    assert "already done" in capsys.readouterr().out


def test_edited_folder_can_be_exported(tracked: Path, tmp_path: Path) -> None:
    """`lang2segtrack export` reads the edits, because the new folder is one of `track`."""
    review = Review(tracked)
    review.add(Rename(1, "cup"))
    review.add(Delete(2, 3, 5))
    review.close()
    assert main(["review", str(tracked), "--apply", str(tmp_path / "edited")]) == 0
    assert main(["export", str(tmp_path / "edited"), "--format", "mot", "--out", str(tmp_path / "mot")]) == 0
    (file,) = (tmp_path / "mot").rglob("gt.txt")
    rows = [line.split(",") for line in file.read_text().splitlines()]
    shown = sorted((int(row[0]), int(row[1])) for row in rows)
    assert shown == [(1, 1), (1, 2), (2, 1), (2, 2), (3, 1), (3, 2), (4, 1), (5, 1), (6, 1)]


def test_no_edit_gives_the_same_trace(tracked: Path, tmp_path: Path) -> None:
    """Without edits the files are those of `track`, except the videos, which have no note of the rate."""
    assert main(["review", str(tracked), "--apply", str(tmp_path / "same")]) == 0
    for path in tracked.rglob("*"):
        if path.suffix in (".jsonl", ".txt", ".png"):
            assert (tmp_path / "same" / path.relative_to(tracked)).read_bytes() == path.read_bytes()


def test_edited_folder_can_be_reviewed_again(tracked: Path, tmp_path: Path) -> None:
    """The new folder is one of `track`: it knows its recording, and takes edits and exports of its own."""
    assert main(["review", str(tracked), "--apply", str(tmp_path / "edited")]) == 0
    with serving(tmp_path / "edited") as served:
        assert served.request("api/state")[1]["has_images"] is True
        assert served.request("api/edit", {"edit": "rename", "track": 1, "label": "x"})[0] == 200


def test_track_does_not_replace_edits(tracked: Path, tmp_path: Path, frames: list[SceneFrame], capsys: pytest.CaptureFixture[str]) -> None:
    """`track --overwrite` would lose the work of a person, so it refuses the folder."""
    review = Review(tracked)
    review.add(Rename(1, "cup"))
    review.close()
    box = ",".join(f"{value:g}" for value in body_box(frames[0], 3))
    assert main(["track", str(tmp_path / "images"), "--box", box, *TOY, "--out", str(tracked), "--overwrite"]) == 1
    assert "edits.jsonl" in capsys.readouterr().err
    assert labels(tracked)[0] == {1: "red circle", 2: "blue star"}


def test_without_images_the_masks_are_on_black(tracked: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "images").rename(tmp_path / "moved")
    assert main(["review", str(tracked), "--apply", str(tmp_path / "black")]) == 0
    assert "give the recording with --video" in capsys.readouterr().err
    image = cv2.VideoCapture(str(tmp_path / "black" / "overlay.webm")).read()[1]
    assert np.median(image) < 8
    assert main(["review", str(tracked), "--apply", str(tmp_path / "colored"), "--video", str(tmp_path / "moved")]) == 0
    image = cv2.VideoCapture(str(tmp_path / "colored" / "overlay.webm")).read()[1]
    assert np.median(image) > 50


def test_errors_are_explained(tracked: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    write_png(tmp_path / "small" / "0.png", np.zeros((8, 8, 3), np.uint8))
    cases = [
        ([str(tmp_path / "empty")], "holds no tracks.jsonl"),
        ([str(tracked), "--apply", str(tracked)], "contains the source"),
        ([str(tracked), "--apply", str(tmp_path / "empty")], "exists already"),
        ([str(tracked), "--video", str(tmp_path / "nothing")], "no file, folder or camera"),
        ([str(tracked), "--apply", str(tmp_path / "out"), "--video", str(tmp_path / "small")], "give the recording that was tracked"),
        ([str(tracked), "--image", "6"], "the trace has no image 6: it has 6 images from 0 to 5"),
        ([str(tracked), "--report", str(tmp_path / "empty")], "holds no report.json"),
        ([str(tracked), "--address", "0.0.0.0"], "a token is needed"),
        ([str(tracked), "--address", "localhost"], "must be an IP address"),
    ]
    for arguments, message in cases:
        assert main(["review", *arguments]) == 1, arguments
        assert message in capsys.readouterr().err
    (tracked / "edits.jsonl").write_text('{"version":9}\n')
    assert main(["review", str(tracked), "--apply", str(tmp_path / "out")]) == 1
    assert "line 1" in capsys.readouterr().err
