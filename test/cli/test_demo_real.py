# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""`lang2segtrack demo --real` from its options to its report, on toy weights that pass and on random weights that must not."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import cv2
import pytest
import torch

from lang2segtrack_ros.cli.main import main
from lang2segtrack_ros.io.writers import VideoWriter
from lang2segtrack_ros.models.catalogue import HOME_VARIABLE, TOY_FOLDER
from lang2segtrack_ros.toyworld.scene import SceneFrame

COUNT = 6
TOY = ["--segmenter", "toy", "--detector", "toy", "--device", "cpu"]
TEXT = ["--text", "red circle. blue star."]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory, frames: list[SceneFrame]) -> Path:
    path = tmp_path_factory.mktemp("clip") / "toy.webm"
    with VideoWriter(path, 15) as video:
        for frame in frames[:COUNT]:
            video.write(frame.color)
    return path


@pytest.fixture(scope="module")
def random_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders in the published layout with the tokenizer of the toy detector, and with random weights."""
    from transformers import GroundingDinoConfig, GroundingDinoForObjectDetection, Sam2VideoConfig, Sam2VideoModel

    folder = tmp_path_factory.mktemp("random")
    torch.manual_seed(0)
    networks = {"segmenter": (Sam2VideoModel, Sam2VideoConfig), "detector": (GroundingDinoForObjectDetection, GroundingDinoConfig)}
    for kind, (model, config) in networks.items():
        shutil.copytree(TOY_FOLDER / kind, folder / kind)
        model(config.from_pretrained(folder / kind)).save_pretrained(folder / kind)
    return folder


def read_report(out: Path) -> dict[str, Any]:
    report: dict[str, Any] = json.loads((out / "report.json").read_text())
    return report


def test_toy_weights_pass_on_a_toy_clip(clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--real", "--video", str(clip), *TEXT, *TOY, "--out", str(tmp_path)]) == 0
    report = read_report(tmp_path)
    assert report["passed"] is True
    assert report["frames"] == COUNT
    assert [track["label"] for track in report["tracks"]] == ["red circle", "blue star"]
    assert {"versions", "device", "segmenter", "detector", "clip", "policy", "text", "seconds"} <= set(report)
    assert report["segmenter"]["sha256"]["model.safetensors"]
    assert str(clip.parent) not in json.dumps(report), "a report must not hold the folders of its user"
    output = capsys.readouterr().out
    assert "passed" in output
    assert "FAILED" not in output
    assert int(cv2.VideoCapture(str(tmp_path / "overlay.webm")).get(cv2.CAP_PROP_FRAME_COUNT)) == COUNT
    assert cv2.imread(str(tmp_path / "contact_sheet.png")).shape[1] == 4 * 480


def test_random_weights_fail_and_the_report_says_so(
    clip: Path, random_weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The run must reach its end, also without any object, because its report is for those whose weights do not work."""
    networks = ["--segmenter", str(random_weights / "segmenter"), "--detector", str(random_weights / "detector"), "--device", "cpu"]
    assert main(["demo", "--real", "--video", str(clip), *TEXT, *networks, "--frames", "3", "--out", str(tmp_path)]) == 1
    report = read_report(tmp_path)
    assert report["passed"] is False
    assert report["frames"] == 3
    assert report["segmenter"]["name"] == "segmenter"
    failed = [check["name"] for check in report["checks"] if not check["passed"]]
    assert {"mask inside detected box", "IoU of forward and backward masks"} <= set(failed)
    output = capsys.readouterr()
    assert f"{len(failed)} of {len(report['checks'])} checks FAILED" in output.err
    assert (tmp_path / "overlay.webm").is_file()
    assert (tmp_path / "contact_sheet.png").is_file()


def test_random_segmenter_fails_behind_a_good_detector(clip: Path, random_weights: Path, tmp_path: Path) -> None:
    """A detector that works must not hide a segmenter that does not."""
    networks = ["--segmenter", str(random_weights / "segmenter"), "--detector", "toy", "--device", "cpu"]
    assert main(["demo", "--real", "--video", str(clip), *TEXT, *networks, "--frames", "3", "--out", str(tmp_path)]) == 1


class FailingDetector:
    """A plug-in whose code has a fault."""

    name = "failing"
    default_threshold = 0.5

    def __init__(self, device: str) -> None:
        pass

    def check(self, phrases: list[str]) -> list[str]:
        return []

    def detect(self, *arguments: object) -> list[object]:
        raise IndexError("the fault of a plug-in")


def test_fault_of_a_network_is_a_part_of_the_report(clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["demo", "--real", "--video", str(clip), *TEXT, *TOY, "--detector", f"{__name__}:FailingDetector", "--out", str(tmp_path)]
    (tmp_path / "contact_sheet.png").write_text("of an earlier run")
    assert main(arguments) == 1
    report = read_report(tmp_path)
    assert report["passed"] is False
    assert "the fault of a plug-in" in report["error"]
    assert report["detector"] == {"name": "failing", "threshold": 0.5}
    assert not (tmp_path / "contact_sheet.png").exists()
    assert "the run ended with OfflineError" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--real"], "--real needs a clip"),
        (["--real", "--video", "missing.mp4", *TEXT], "there is no file, folder or camera"),
        (["--real", "--video", "CLIP", "--text", "..."], "names no object"),
        (["--real", "--video", "CLIP", *TEXT, "--segmenter", "sam9"], 'no segmenter is called "sam9"'),
        (["--real", "--video", "CLIP", *TEXT, *TOY, "--policy", "sam9"], 'no memory policy is called "sam9"'),
        (["--video", "CLIP", *TEXT], "add --real"),
        (["--real", "--video", "CLIP", *TEXT, "--out", "CLIP"], "toy.webm"),
    ],
)
def test_wrong_input_is_refused_in_one_sentence(
    arguments: list[str], message: str, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [str(clip) if argument == "CLIP" else argument for argument in arguments]
    assert main(["demo", "--out", str(tmp_path / "out"), "--detector", "toy", *given]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) == 1
    assert not (tmp_path / "out" / "report.json").exists()


def test_missing_hub_is_one_sentence(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first run of many users is behind a proxy. The sentence names the folder to fill by hand."""
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path / "weights"))
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    assert main(["demo", "--real", "--video", str(clip), *TEXT, "--device", "cpu", "--out", str(tmp_path / "out")]) == 2
    (error,) = capsys.readouterr().err.splitlines()
    assert str(tmp_path / "weights") in error
