# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""`lang2segtrack image` as a user types it: files, folders, patterns, and everything that can be wrong with them."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from lang2segtrack_ros.cli.image import find_pictures
from lang2segtrack_ros.cli.main import main
from lang2segtrack_ros.io.writers import write_png
from lang2segtrack_ros.toyworld.scene import SceneFrame

TOY = ["--segmenter", "toy", "--detector", "toy", "--device", "cpu"]


@pytest.fixture
def folder(tmp_path: Path, frames: list[SceneFrame]) -> Path:
    for name, index in (("a.png", 0), ("b.JPG", 20), ("deep/a.png", 40)):
        write_png(tmp_path / name, frames[index].color)
    (tmp_path / "notes.txt").write_text("no picture")
    return tmp_path


def test_a_folder_with_overlays(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = folder / "out"
    assert main(["image", str(folder), str(folder / "deep"), "--text", "red circle. blue star.", "--out", str(out), *TOY]) == 0
    content = json.loads((out / "results.json").read_text())
    assert [Path(item["file_name"]).name for item in content["images"]] == ["a.png", "b.JPG", "a.png"]
    assert [item["name"] for item in content["categories"]] == ["red circle", "blue star"]
    assert len(content["annotations"]) == 6
    told = capsys.readouterr().out
    assert "[1/3]" in told
    assert "1 red circle" in told
    painted = sorted((out / "overlays").iterdir())
    assert [item.name for item in painted] == ["00001_a.png", "00002_b.png", "00003_a.png"], "equal names do not collide"
    assert (cv2.imread(str(painted[0])) != cv2.imread(str(folder / "a.png"))).any()

    (out / "overlays" / "notes.png").write_text("not ours")
    assert main(["image", str(folder / "b.JPG"), "--text", "red circle.", "--out", str(out), *TOY]) == 0
    assert sorted(item.name for item in (out / "overlays").iterdir()) == ["00001_b.png", "notes.png"], "an earlier run's are gone"


def test_one_bad_picture_does_not_stop_the_others(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "c.png").write_bytes(b"\x89PNG torn")
    (folder / "d.png").write_bytes(b"")
    out = folder / "out"
    assert main(["image", str(folder), "--text", "red circle", "--no-overlay", "--out", str(out), *TOY]) == 1
    content = json.loads((out / "results.json").read_text())
    assert len(content["images"]) == 2
    assert [Path(item["file_name"]).name for item in content["failed"]] == ["c.png", "d.png"]
    assert "c.png: it cannot be read as a picture" in capsys.readouterr().err
    assert not (out / "overlays").exists()


def test_unknown_words_are_told_and_the_rest_is_done(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["image", str(folder / "a.png"), "--text", "red circle. blarg.", "--out", str(folder / "out"), *TOY]) == 0
    assert "does not know: blarg" in capsys.readouterr().err


def test_files_folders_and_patterns(folder: Path) -> None:
    found, problems = find_pictures([str(folder / "**" / "*.png"), str(folder / "a.png"), str(folder / "deep")])
    assert [str(item.relative_to(folder)) for item in found] == ["a.png", "deep/a.png"], "each once"
    assert problems == []


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["{}/none.png", "--text", "cup"], 2, "none.png: no such file or folder"),
        (["{}/*.gif", "--text", "cup"], 2, "as a pattern it fits nothing"),
        (["{}/empty", "--text", "cup"], 2, "no pictures in this folder"),
        (["{}/a.png", "--text", " . ,"], 2, "the text names no object"),
        (["{}/a.png", "--text", "cup", "--threshold", "3"], 2, "threshold is 3.0"),
        (["{}/a.png", "--text", "cup", "--batch", "0"], 2, "--batch is 0"),
        (["{}/a.png", "--text", "cup", "--segmenter", "sam77"], 1, 'no segmenter is called "sam77"'),
        (["{}/a.png", "--text", "cup", "--out", "{}/notes.txt/out"], 1, "Not a directory"),
    ],
)
def test_wrong_words(folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, words: str) -> None:
    (folder / "empty").mkdir()
    assert main(["image", *TOY, *(word.replace("{}", str(folder)) for word in arguments)]) == code
    told = capsys.readouterr().err
    assert words in told
    assert told.startswith("lang2segtrack image: ")


def test_sixteen_bits_grey_and_alpha_are_pictures_too(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "deep.png"), np.full((40, 60), 40000, np.uint16))
    cv2.imwrite(str(tmp_path / "alpha.png"), np.full((40, 60, 4), 90, np.uint8))
    assert main(["image", str(tmp_path), "--text", "red circle", "--out", str(tmp_path / "out"), *TOY]) == 0
