# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""`lang2segtrack track` on the command line: its output files, and the message of every error."""

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


def test_backward_pass_writes_complete_traces(tmp_path: Path, folder: Path, frames: list[SceneFrame]) -> None:
    """Prompts on later images, one of them from a file, still give masks on all images in every output file."""
    write_png(folder.parent / "mask.png", np.repeat((frames[3].instances == 2).astype(np.uint8)[..., None] * 255, 3, axis=2))
    prompts = tmp_path / "prompts.yaml"
    prompts.write_text("- {at: 3, mask: mask.png, label: blue star}\n")
    out = tmp_path / "out"
    arguments = ["track", str(folder), "--box", f"{box(frames[5], 1)}=red circle", "--at", "5", "--prompts", str(prompts), "--backward"]
    assert main([*arguments, *TOY, "--out", str(out)]) == 0
    assert sorted(path.name for path in out.iterdir()) == [
        ".lang2segtrack.json",
        "masks",
        "overlay.mp4",
        "trace.mp4",
        "tracks.jsonl",
        "tracks_mot.txt",
    ]
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
    ("arguments", "message"),
    [
        ([], "there is no prompt"),
        (["--box", "1,2,3"], "--box takes 4 numbers"),
        (["--box", "900,900,950,950"], "lies outside the 320 x 240 image"),
        (["--box", "1,1,9,9", "--at", "50"], "there is a prompt for image 50, but the source has 8 images"),
        (["--text", "green triangle"], '"green triangle" was found on none of the 8 images'),
        (["--mask", "none.png"], "the mask none.png is not a readable image"),
        (["--box", "1,1,9,9", "--model", "unknown"], 'no segmenter is called "unknown"'),
        (["--prompts", "none.yaml"], "none.yaml"),
    ],
)
def test_error_is_reported_and_leaves_no_files(
    tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    """The command prints one message, returns 1, and leaves no partial output."""
    assert main(["track", str(folder), *TOY, *arguments, "--out", str(tmp_path / "out")]) == 1
    assert message in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["images"]


def test_existing_output_folder_is_kept(tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "user.txt").write_text("kept")
    assert main(["track", str(folder), "--box", "1,1,9,9", "--out", str(tmp_path / "out")]) == 1
    assert "--overwrite" in capsys.readouterr().err
    assert (tmp_path / "out" / "user.txt").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[: x", "is not valid YAML"),
        ("text: cup", "must hold a list"),
        ("- {box: [1, 2, 3]}", "prompt 1 of"),
        ("- {text: cup}\n- {text: cup, box: [1, 1, 9, 9]}", "prompt 2 of"),
        ("- {text: cup, color: red}", "unknown keys: color"),
        ("- {at: -1, text: cup}", "at is -1"),
    ],
)
def test_invalid_prompt_file_is_reported(tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str], text: str, message: str) -> None:
    (tmp_path / "prompts.yaml").write_text(text)
    assert main(["track", str(folder), "--prompts", str(tmp_path / "prompts.yaml"), "--out", str(tmp_path / "out")]) == 1
    assert message in capsys.readouterr().err


def test_words_unknown_to_the_detector_are_reported(tmp_path: Path, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Otherwise a user cannot see why the command finds no object, or a wrong one."""
    assert main(["track", str(folder), "--text", "red circle. blarg.", *TOY, "--out", str(tmp_path / "out")]) == 0
    assert [record.getMessage() for record in caplog.records if "does not know" in record.getMessage()] == [
        "the detector does not know: blarg; detections for these words are unreliable"
    ]


def test_output_folder_must_not_contain_the_source(tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With --overwrite, the command would delete the source and all files beside it."""
    for out in (folder, folder.parent):
        assert main(["track", str(folder), "--box", "1,1,9,9", *TOY, "--out", str(out), "--overwrite"]) == 1
        assert "contains the source" in capsys.readouterr().err
    assert len(list(folder.iterdir())) == COUNT
    (tmp_path / "file").write_text("user data")
    assert main(["track", str(folder), "--box", "1,1,9,9", *TOY, "--out", str(tmp_path / "file"), "--overwrite"]) == 1
    assert "is a file" in capsys.readouterr().err
    assert (tmp_path / "file").read_text() == "user data"


def test_overwrite_replaces_only_what_the_command_wrote(
    tmp_path: Path, folder: Path, frames: list[SceneFrame], capsys: pytest.CaptureFixture[str]
) -> None:
    """A mistyped folder would otherwise be emptied."""
    out = tmp_path / "out"
    command = ["track", str(folder), "--box", box(frames[0], 1), *TOY, "--frames", "3", "--out", str(out), "--overwrite"]
    out.mkdir()
    (out / "thesis.tex").write_text("years of work")
    assert main(command) == 1
    assert "holds files that lang2segtrack did not write there (thesis.tex)" in capsys.readouterr().err
    (out / "thesis.tex").unlink()
    assert main(command) == 0, "an empty folder is replaced"
    assert main(command) == 0, "and so is an output of the command"
    (out / "masks" / "note.txt").write_text("mine")
    assert main(command) == 1
    assert (out / "masks" / "note.txt").read_text() == "mine"


def test_unreadable_pictures_are_left_out_and_named(
    tmp_path: Path, folder: Path, frames: list[SceneFrame], capsys: pytest.CaptureFixture[str]
) -> None:
    """One broken file must not cost the work on the others, and the masks stay with their pictures."""
    (folder / "0000.png").write_bytes((folder / "000.png").read_bytes()[:2000])
    out = tmp_path / "out"
    assert main(["track", str(folder), "--box", box(frames[0], 1), *TOY, "--backward", "--out", str(out)]) == 0
    output = capsys.readouterr().out
    assert "warning: " in output
    assert "0000.png is left out: the data ends before the end of the picture" in output
    records = [json.loads(line) for line in (out / "tracks.jsonl").read_text().splitlines()]
    assert [record["frame"] for record in records] == list(range(COUNT))
    mask = cv2.imread(str(out / "masks" / "1" / "000003.png"), cv2.IMREAD_GRAYSCALE)
    assert mask is not None
    assert iou(mask > 0, frames[3].instances == 1) > 0.7


def test_prompt_beyond_the_limit_is_refused_before_the_run(tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--box", "1,1,99,99", "--at", "5", *TOY, "--frames", "4", "--out", str(tmp_path / "out")]
    assert main(["track", str(folder), *arguments]) == 1
    assert "there is a prompt for image 5, but the source has 4 images" in capsys.readouterr().err


@pytest.mark.parametrize("value", ["nan", "0", "-5", "inf", "many"])
def test_invalid_rate_is_refused(tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str], value: str) -> None:
    with pytest.raises(SystemExit):
        main(["track", str(folder), "--box", "1,1,9,9", *TOY, f"--fps={value}", "--out", str(tmp_path / "out")])
    assert "is not a number of images per second" in capsys.readouterr().err


def test_folder_with_mixed_sizes_and_other_files(tmp_path: Path, folder: Path, frames: list[SceneFrame]) -> None:
    """macOS adds a "._" file for each file. The video contains all images, even one of another size."""
    (folder / "._000.png").write_bytes(b"metadata")
    (folder / "inner.png").mkdir()
    write_png(folder / "1\u00b22.png", cv2.resize(frames[0].color, (160, 120)).astype(np.uint8))
    assert main(["track", str(folder), "--box", f"{box(frames[0], 1)}=circle", *TOY, "--out", str(tmp_path / "out")]) == 0
    assert int(cv2.VideoCapture(str(tmp_path / "out" / "overlay.mp4")).get(cv2.CAP_PROP_FRAME_COUNT)) == COUNT + 1
