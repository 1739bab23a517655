# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""`lang2segtrack image` on the command line: files, folders, patterns, and the message of every error."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from lang2segtrack_ros.cli.image import find_images
from lang2segtrack_ros.cli.main import main
from lang2segtrack_ros.io.writers import write_png
from lang2segtrack_ros.session import image_segmentation
from lang2segtrack_ros.toyworld.scene import SceneFrame
from test.conftest import body_box

TOY = ["--segmenter", "toy", "--detector", "toy", "--device", "cpu"]


@pytest.fixture
def folder(tmp_path: Path, frames: list[SceneFrame]) -> Path:
    for name, index in (("a.png", 0), ("b.JPG", 20), ("deep/a.png", 40)):
        write_png(tmp_path / name, frames[index].color)
    (tmp_path / "notes.txt").write_text("not an image")
    return tmp_path


def test_folder_gives_coco_files_and_overlays(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = folder / "out"
    assert main(["image", str(folder), str(folder / "deep"), "--text", "red circle. blue star.", "--out", str(out), *TOY]) == 0
    content = json.loads((out / "instances.json").read_text())
    assert [Path(item["file_name"]).name for item in content["images"]] == ["a.png", "b.JPG", "a.png"]
    assert [item["name"] for item in content["categories"]] == ["red circle", "blue star"]
    assert len(content["annotations"]) == 6
    output = capsys.readouterr().out
    assert "[1/3]" in output
    assert "1 red circle" in output
    overlays = sorted((out / "overlays").iterdir())
    assert [item.name for item in overlays] == ["00001_a.png", "00002_b.png", "00003_a.png"], "equal names do not collide"
    assert (cv2.imread(str(overlays[0])) != cv2.imread(str(folder / "a.png"))).any()
    assert not (folder / "out.work").exists()


def test_exemplar_of_another_picture_is_found(folder: Path, frames: list[SceneFrame], capsys: pytest.CaptureFixture[str]) -> None:
    """No text and no detector: the objects that look like the one on a picture."""
    write_png(folder / "old" / "shelf.png", frames[50].color)
    edges = ",".join(f"{value:g}" for value in body_box(frames[50], 1))
    exemplar = ["--exemplar", f"{folder / 'old' / 'shelf.png'}:{edges}=mug"]
    command = ["image", str(folder / "a.png"), str(folder / "b.JPG"), "--no-overlay", "--segmenter", "toy", "--device", "cpu"]
    assert main([*command, *exemplar, "--out", str(folder / "out")]) == 0
    content = json.loads((folder / "out" / "instances.json").read_text())
    assert [item["name"] for item in content["categories"]] == ["mug"]
    assert [item["image_id"] for item in content["annotations"]] == [item["id"] for item in content["images"]]
    assert main([*command, "--out", str(folder / "other")]) == 2
    assert "there is no prompt: give --text, --instruct or --exemplar" in capsys.readouterr().err
    assert main([*command, "--exemplar", "1,1,9,9=mug", "--out", str(folder / "other")]) == 2
    assert "an --exemplar has no picture" in capsys.readouterr().err


def test_results_can_be_evaluated_against_the_data_set(folder: Path) -> None:
    """`loadRes` takes a list of results, not a data set."""
    out = folder / "out"
    assert main(["image", str(folder), "--text", "red circle. blue star.", "--no-overlay", "--out", str(out), *TOY]) == 0
    truth = COCO(str(out / "instances.json"))
    evaluation = COCOeval(truth, truth.loadRes(str(out / "results.json")), "segm")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    assert evaluation.stats[0] == pytest.approx(1.0)


def test_unreadable_image_does_not_stop_the_others(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "c.png").write_bytes(b"\x89PNG torn")
    (folder / "d.png").write_bytes(b"")
    out = folder / "out"
    assert main(["image", str(folder), "--text", "red circle", "--no-overlay", "--out", str(out), *TOY]) == 1
    content = json.loads((out / "instances.json").read_text())
    assert len(content["images"]) == 2
    assert [Path(item["file_name"]).name for item in content["failed"]] == ["c.png", "d.png"]
    assert "c.png: it is not a readable image" in capsys.readouterr().err
    assert not (out / "overlays").exists()


def test_existing_results_are_kept_or_replaced_on_request(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The results of an earlier run can be hours of work, and a file of the user can stand beside them."""
    out = folder / "out"
    command = ["image", str(folder / "a.png"), "--out", str(out), *TOY, "--text"]
    assert main([*command, "red circle."]) == 0
    written = (out / "instances.json").read_bytes()
    assert main([*command, "red circle."]) == 0
    assert f"already done: {out}" in capsys.readouterr().out
    assert main([*command, "blue star."]) == 1
    assert "exists already: choose another folder, or add --overwrite" in capsys.readouterr().err
    assert (out / "instances.json").read_bytes() == written
    assert main([*command, "blue star.", "--overwrite"]) == 0
    assert b"blue star" in (out / "instances.json").read_bytes()
    (out / "overlays" / "notes.png").write_text("a file of the user")
    assert main([*command, "red circle.", "--overwrite"]) == 1
    assert (out / "overlays" / "notes.png").read_text() == "a file of the user"


def test_interrupted_run_keeps_its_images_and_goes_on(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal ends the run after a batch. The next run must segment only the other images."""
    out, whole = folder / "out", folder / "whole"
    command = ["image", str(folder), str(folder / "deep"), "--text", "red circle.", "--batch", "1", *TOY, "--out"]
    real = image_segmentation.segment_images
    calls = []

    def interrupt(*arguments: Any, **options: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return real(*arguments, **options)

    monkeypatch.setattr(image_segmentation, "segment_images", interrupt)
    assert main([*command, str(out)]) == 130
    assert "interrupted after 2 of 3 images" in (out / "UNFINISHED.txt").read_text()
    assert len(json.loads((out / "instances.json").read_text())["images"]) == 2
    assert main([*command, str(out)]) == 0
    assert len(calls) == 3, "finished images are not repeated"
    assert main([*command, str(whole)]) == 0
    for name in ("instances.json", "results.json"):
        assert (out / name).read_text() == (whole / name).read_text()
    assert sorted(item.name for item in out.rglob("*.*")) == sorted(item.name for item in whole.rglob("*.*"))


def test_odd_names_and_formats(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """macOS adds hidden files, folders can have suffixes, and names can be as long as the file system allows."""
    (folder / "._b.JPG").write_bytes(b"metadata")
    (folder / "x.jpg").mkdir()
    (folder / "anim.gif").write_bytes(b"GIF89a")
    (folder / "new.avif").write_bytes(b"avif")
    shutil.copy(folder / "a.png", folder / f"{'ä' * 125}.png")
    out = folder / "out"
    assert main(["image", str(folder), "--text", "red circle", "--out", str(out), *TOY]) == 0
    assert len(json.loads((out / "instances.json").read_text())["images"]) == 3
    assert len(list((out / "overlays").iterdir())) == 3
    assert "2 pictures are left out (anim.gif, new.avif): convert them to one of .png" in capsys.readouterr().err


def test_unknown_words_are_reported_and_the_others_are_found(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["image", str(folder / "a.png"), "--text", "red circle. blarg.", "--out", str(folder / "out"), *TOY]) == 0
    assert "does not know: blarg" in capsys.readouterr().err


def test_files_folders_and_patterns_give_each_image_once(folder: Path) -> None:
    found, problems, _ = find_images([str(folder / "**" / "*.png"), str(folder / "a.png"), str(folder / "deep")])
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
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, words: str
) -> None:
    monkeypatch.chdir(folder)
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
