# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""`lang2segtrack track` as a user runs it: the files it leaves, and what it says when it cannot."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from lang2segtrack_ros.cli.main import main
from lang2segtrack_ros.io.writers import write_png
from lang2segtrack_ros.toyworld.scene import SceneFrame
from test.conftest import body_box, iou

COUNT = 8
TOY = ["--segmenter", "toy", "--detector", "toy", "--device", "cpu"]


@pytest.fixture
def folder(tmp_path: Path, frames: list[SceneFrame]) -> Path:
    for number in range(COUNT):
        write_png(tmp_path / "images" / f"{number:03}.png", frames[number].color)
    return tmp_path / "images"


def box(frame: SceneFrame, body: int) -> str:
    return ",".join(f"{value:g}" for value in body_box(frame, body))


def test_backward_writes_whole_traces(tmp_path: Path, folder: Path, frames: list[SceneFrame]) -> None:
    """A box in the middle and a mask from a file of prompts: masks from the first image on, in every file."""
    write_png(folder.parent / "mask.png", np.repeat((frames[3].instances == 2).astype(np.uint8)[..., None] * 255, 3, axis=2))
    prompts = tmp_path / "prompts.yaml"
    prompts.write_text("- {at: 3, mask: mask.png, label: blue star}\n")
    out = tmp_path / "out"
    words = ["track", str(folder), "--box", f"{box(frames[5], 1)}=red circle", "--at", "5", "--prompts", str(prompts), "--backward"]
    assert main([*words, *TOY, "--out", str(out)]) == 0
    assert sorted(path.name for path in out.iterdir()) == ["masks", "overlay.mp4", "trace.mp4", "tracks.jsonl", "tracks_mot.txt"]
    records = [json.loads(line) for line in (out / "tracks.jsonl").read_text().splitlines()]
    assert [record["frame"] for record in records] == list(range(COUNT))
    labels = {track["id"]: track["label"] for track in records[0]["tracks"]}
    assert sorted(labels.values()) == ["blue star", "red circle"]
    for track_id, label in labels.items():
        body = 1 if label == "red circle" else 2
        for number in range(COUNT):
            mask = cv2.imread(str(out / "masks" / str(track_id) / f"{number:06}.png"), cv2.IMREAD_GRAYSCALE)
            assert mask is not None
            assert iou(mask > 0, frames[number].instances == body) > 0.7
    rows = [line.split(",") for line in (out / "tracks_mot.txt").read_text().splitlines()]
    assert len(rows) == 2 * COUNT
    assert {int(row[0]) for row in rows} == set(range(1, COUNT + 1))
    for name in ("overlay.mp4", "trace.mp4"):
        assert int(cv2.VideoCapture(str(out / name)).get(cv2.CAP_PROP_FRAME_COUNT)) == COUNT


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "nothing to follow"),
        (["--box", "1,2,3"], "--box takes 4 numbers"),
        (["--box", "900,900,950,950"], "lies outside the 320 x 240 image"),
        (["--box", "1,1,9,9", "--at", "50"], "there is a prompt for image 50, but the source ends after 8 images"),
        (["--text", "green triangle"], '"green triangle" was found on none of the 8 images'),
        (["--mask", "none.png"], "the mask none.png cannot be read"),
        (["--box", "1,1,9,9", "--model", "nobody"], "nobody"),
        (["--prompts", "none.yaml"], "none.yaml"),
    ],
)
def test_what_cannot_be_done_is_said(
    tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str], words: list[str], sentence: str
) -> None:
    """Exit code 1, one sentence, nothing left behind."""
    assert main(["track", str(folder), *TOY, *words, "--out", str(tmp_path / "out")]) == 1
    assert sentence in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["images"]


def test_an_existing_folder_stays(tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("kept")
    assert main(["track", str(folder), "--box", "1,1,9,9", "--out", str(tmp_path / "out")]) == 1
    assert "--overwrite" in capsys.readouterr().err
    assert (tmp_path / "out" / "mine.txt").exists()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[: x", "is no YAML"),
        ("text: cup", "must hold a list"),
        ("- {box: [1, 2, 3]}", "prompt 1 of"),
        ("- {text: cup}\n- {text: cup, box: [1, 1, 9, 9]}", "prompt 2 of"),
        ("- {text: cup, colour: red}", "colour, which means nothing"),
        ("- {at: -1, text: cup}", "at is -1"),
    ],
)
def test_a_file_of_prompts_that_is_wrong(
    tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str], text: str, sentence: str
) -> None:
    (tmp_path / "prompts.yaml").write_text(text)
    assert main(["track", str(folder), "--prompts", str(tmp_path / "prompts.yaml"), "--out", str(tmp_path / "out")]) == 1
    assert sentence in capsys.readouterr().err


def test_words_that_the_detector_does_not_know_are_told(tmp_path: Path, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Else a user would wonder why nothing is found, or why it is the wrong thing."""
    assert main(["track", str(folder), "--text", "red circle. blarg.", *TOY, "--out", str(tmp_path / "out")]) == 0
    assert [record.getMessage() for record in caplog.records if "does not know" in record.getMessage()] == [
        "the detector does not know: blarg; what it finds for these words means little"
    ]


def test_the_source_is_never_its_own_output(tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With --overwrite it would be deleted, and whatever lies beside it."""
    for out in (folder, folder.parent):
        assert main(["track", str(folder), "--box", "1,1,9,9", *TOY, "--out", str(out), "--overwrite"]) == 1
        assert "holds the source itself" in capsys.readouterr().err
    assert len(list(folder.iterdir())) == COUNT
    (tmp_path / "file").write_text("mine")
    assert main(["track", str(folder), "--box", "1,1,9,9", *TOY, "--out", str(tmp_path / "file"), "--overwrite"]) == 1
    assert "is a file" in capsys.readouterr().err
    assert (tmp_path / "file").read_text() == "mine"


def test_images_of_several_sizes_and_files_that_are_none(tmp_path: Path, folder: Path, frames: list[SceneFrame]) -> None:
    """A macOS folder has a shadow of each file; a video has all images although one had another size."""
    (folder / "._000.png").write_bytes(b"shadow")
    (folder / "inner.png").mkdir()
    write_png(folder / "1\u00b22.png", cv2.resize(frames[0].color, (160, 120)).astype(np.uint8))
    assert main(["track", str(folder), "--box", f"{box(frames[0], 1)}=circle", *TOY, "--out", str(tmp_path / "out")]) == 0
    assert int(cv2.VideoCapture(str(tmp_path / "out" / "overlay.mp4")).get(cv2.CAP_PROP_FRAME_COUNT)) == COUNT + 1
