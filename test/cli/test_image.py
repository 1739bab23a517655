# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""`lang2segtrack image` on the command line: files, folders, patterns, and the message of every error."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from lang2segtrack_ros.cli.image import find_images
from lang2segtrack_ros.cli.main import main
from lang2segtrack_ros.io.writers import write_png
from lang2segtrack_ros.toyworld.scene import SceneFrame

TOY = ["--segmenter", "toy", "--detector", "toy", "--device", "cpu"]


@pytest.fixture
def folder(tmp_path: Path, frames: list[SceneFrame]) -> Path:
    for name, index in (("a.png", 0), ("b.JPG", 20), ("deep/a.png", 40)):
        write_png(tmp_path / name, frames[index].color)
    (tmp_path / "notes.txt").write_text("not an image")
    return tmp_path


def test_folder_gives_coco_dataset_and_overlays(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = folder / "out"
    assert main(["image", str(folder), str(folder / "deep"), "--text", "red circle. blue star.", "--out", str(out), *TOY]) == 0
    content = json.loads((out / "results.json").read_text())
    assert [Path(item["file_name"]).name for item in content["images"]] == ["a.png", "b.JPG", "a.png"]
    assert [item["name"] for item in content["categories"]] == ["red circle", "blue star"]
    assert len(content["annotations"]) == 6
    output = capsys.readouterr().out
    assert "[1/3]" in output
    assert "1 red circle" in output
    overlays = sorted((out / "overlays").iterdir())
    assert [item.name for item in overlays] == ["00001_a.png", "00002_b.png", "00003_a.png"], "equal names do not collide"
    assert (cv2.imread(str(overlays[0])) != cv2.imread(str(folder / "a.png"))).any()

    (out / "overlays" / "notes.png").write_text("a file of the user")
    assert main(["image", str(folder / "b.JPG"), "--text", "red circle.", "--out", str(out), *TOY]) == 0
    assert sorted(item.name for item in (out / "overlays").iterdir()) == ["00001_b.png", "notes.png"], (
        "overlays of an earlier run are deleted"
    )


def test_unreadable_image_does_not_stop_the_others(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "c.png").write_bytes(b"\x89PNG torn")
    (folder / "d.png").write_bytes(b"")
    out = folder / "out"
    assert main(["image", str(folder), "--text", "red circle", "--no-overlay", "--out", str(out), *TOY]) == 1
    content = json.loads((out / "results.json").read_text())
    assert len(content["images"]) == 2
    assert [Path(item["file_name"]).name for item in content["failed"]] == ["c.png", "d.png"]
    assert "c.png: it is not a readable image" in capsys.readouterr().err
    assert not (out / "overlays").exists()


def test_unknown_words_are_reported_and_the_others_are_found(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["image", str(folder / "a.png"), "--text", "red circle. blarg.", "--out", str(folder / "out"), *TOY]) == 0
    assert "does not know: blarg" in capsys.readouterr().err


def test_files_folders_and_patterns_give_each_image_once(folder: Path) -> None:
    found, problems = find_images([str(folder / "**" / "*.png"), str(folder / "a.png"), str(folder / "deep")])
    assert [str(item.relative_to(folder)) for item in found] == ["a.png", "deep/a.png"], "no repetitions"
    assert problems == []


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["{}/none.png", "--text", "cup"], 2, "none.png: no such file or folder"),
        (["{}/*.gif", "--text", "cup"], 2, "as a pattern it matches nothing"),
        (["{}/empty", "--text", "cup"], 2, "no images in this folder"),
        (["{}/a.png", "--text", " . ,"], 2, "the text names no object"),
        (["{}/a.png", "--text", "cup", "--threshold", "3"], 2, "threshold is 3.0"),
        (["{}/a.png", "--text", "cup", "--batch", "0"], 2, "--batch is 0"),
        (["{}/a.png", "--text", "cup", "--segmenter", "sam77"], 1, 'no segmenter is called "sam77"'),
        (["{}/a.png", "--text", "cup", "--out", "{}/notes.txt/out"], 1, "Not a directory"),
    ],
)
def test_invalid_argument_is_reported(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, words: str
) -> None:
    (folder / "empty").mkdir()
    assert main(["image", *TOY, *(word.replace("{}", str(folder)) for word in arguments)]) == code
    errors = capsys.readouterr().err
    assert words in errors
    assert errors.startswith("lang2segtrack image: ")


def test_sixteen_bit_gray_and_alpha_images_are_supported(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "deep.png"), np.full((40, 60), 40000, np.uint16))
    cv2.imwrite(str(tmp_path / "alpha.png"), np.full((40, 60, 4), 90, np.uint8))
    assert main(["image", str(tmp_path), "--text", "red circle", "--out", str(tmp_path / "out"), *TOY]) == 0


def test_faulty_result_of_a_plugin_is_one_sentence(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The author of a detector has to see its fault, and not a traceback of this package."""
    (folder / "lang2segtrack_test_dicts.py").write_text(
        "class Dicts:\n"
        "    name, default_threshold = 'dicts', 0.5\n"
        "    def __init__(self, device): pass\n"
        "    def check(self, phrases): return []\n"
        "    def detect(self, color, phrases, thresholds): return [{'label': 'cup'}]\n"
    )
    monkeypatch.syspath_prepend(folder)
    arguments = [str(folder / "a.png"), "--text", "cup", "--out", str(folder / "out"), "--segmenter", "toy", "--device", "cpu"]
    assert main(["image", *arguments, "--detector", "lang2segtrack_test_dicts:Dicts"]) == 1
    assert capsys.readouterr().err == (
        "lang2segtrack image: detector \"dicts\" returned a list with {'label': 'cup'} (dict): each item must be a Detection\n"
    )
