# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""`--instruct` of the commands `track` and `image`, and in a file of prompts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.chat_server import ChatServer, respond
from lang2segtrack_ros.cli.main import main
from lang2segtrack_ros.io.writers import write_png
from lang2segtrack_ros.toyworld.scene import SceneFrame
from test.conftest import body_box

TOY = ["--segmenter", "toy", "--detector", "toy", "--device", "cpu"]
BLUE_STAR = 2
POLITE = "would you be so kind as to follow whatever shines like a celebrity"
"""A sentence that the grammar does not read."""


@pytest.fixture
def server(frames: list[SceneFrame]) -> Iterator[ChatServer]:
    """A server that always chooses the star of the first image, under a name of its own."""
    box = [round(1000 * edge / size) for edge, size in zip(body_box(frames[0], BLUE_STAR), (320, 240, 320, 240))]
    server = ChatServer([json.dumps([{"bbox_2d": box, "label": "celebrity", "reason": "it shines"}])])
    yield server
    server.close()


def vlm(server: ChatServer) -> list[str]:
    """Return the options that use a server. No detector is loaded for it, because the default one is not on this machine."""
    return [
        "--segmenter",
        "toy",
        "--device",
        "cpu",
        "--vlm-url",
        server.url,
        "--vlm-model",
        "toy-vlm",
        "--vlm-answer-format",
        "thousandths",
    ]


@pytest.fixture
def folder(tmp_path: Path, frames: list[SceneFrame]) -> Path:
    for number in range(5):
        write_png(tmp_path / "images" / f"{number:03}.png", frames[number].color)
    return tmp_path / "images"


def test_instruction_starts_a_track(tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The answer with plan and reasons is printed, and only the chosen object is tracked; a file may hold the instruction."""
    prompts = tmp_path / "prompts.yaml"
    prompts.write_text("- {at: 1, instruct: the object below the circle and left of the star, everything: star. square.}\n")
    arguments = ["track", str(folder), "--instruct", "the circle left of the star", "--prompts", str(prompts), *TOY]
    assert main([*arguments, "--out", str(tmp_path / "out")]) == 0
    output = capsys.readouterr().out
    assert '"the circle left of the star" on image 0:\n  target 1: the only "circle" left of the only "star"' in output
    record = json.loads((tmp_path / "out" / "tracks.jsonl").read_text().splitlines()[-1])
    assert sorted(track["label"] for track in record["tracks"]) == ["circle", "square"]


def test_instruction_chooses_among_the_objects(tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The data set holds the chosen objects only, and the answer says why."""
    command = ["image", str(folder / "000.png"), *TOY, "--no-overlay"]
    assert main([*command, "--instruct", "the circle left of the star", "--instruct", "the mug", "--out", str(tmp_path / "out")]) == 2
    assert 'the detector "toy" does not know: mug' in capsys.readouterr().err
    arguments = ["--instruct", "the object left of the cross", "--instruct", "the largest object", "--everything", "star. cross"]
    assert main([*command, *arguments, "--out", str(tmp_path / "out")]) == 0
    output = capsys.readouterr().out
    assert "chosen: #" in output
    assert "left of" in output
    content = json.loads((tmp_path / "out" / "instances.json").read_text())
    assert [item["name"] for item in content["categories"]] == ["star", "cross"]
    assert main([*command, *arguments, "--text", "star", "--out", str(tmp_path / "other")]) == 2
    assert "without --text and --exemplar" in capsys.readouterr().err


def test_vision_language_model_starts_a_track(tmp_path: Path, folder: Path, server: ChatServer, capsys: pytest.CaptureFixture[str]) -> None:
    """The model reads what the grammar refuses, also in a file, without a detector; it is asked once for each instruction."""
    prompts = tmp_path / "prompts.yaml"
    prompts.write_text(f"- {{at: 0, instruct: {POLITE}}}\n")
    arguments = ["track", str(folder), "--prompts", str(prompts), "--out", str(tmp_path / "out")]
    assert main([*arguments, *TOY]) == 1
    assert "cannot read" in capsys.readouterr().err
    assert main([*arguments, *vlm(server)]) == 0
    output = capsys.readouterr().out
    assert f'asked toy-vlm at {server.url}: "{POLITE}"' in output
    assert "chosen: celebrity (" in output
    assert "): it shines" in output
    record = json.loads((tmp_path / "out" / "tracks.jsonl").read_text().splitlines()[-1])
    assert [track["label"] for track in record["tracks"]] == ["celebrity"]
    assert len(server.seen) == 1
    assert main([*arguments, *vlm(server), "--vlm-max-edge", "128", "--overwrite"]) == 0
    assert max(server.seen[-1].size) == 128


def test_vision_language_model_chooses_on_images(
    tmp_path: Path, folder: Path, server: ChatServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """The names that the model gives become categories. Without an answer, the message of the server is the result."""
    command = ["image", str(folder / "000.png"), str(folder / "001.png"), "--no-overlay", "--instruct", POLITE]
    assert main([*command, *vlm(server), "--out", str(tmp_path / "out")]) == 0
    assert "chosen: celebrity (" in capsys.readouterr().out
    content = json.loads((tmp_path / "out" / "instances.json").read_text())
    assert [item["name"] for item in content["categories"]] == ["celebrity"]
    assert [item["category_id"] for item in content["annotations"]] == [1, 1]
    server.replies = [respond(500, "broken")]
    assert main([*command, *vlm(server), "--out", str(tmp_path / "other")]) == 1
    assert f'the server {server.url} refuses the request (HTTP 500) and says "broken"' in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--vlm-url", "ftp://host"], 'vlm_url starts with "ftp", which is neither http nor https'),
        (["--vlm-url", "http://host/v1"], "vlm_url is set, but vlm_model is empty"),
        (["--vlm-model", "/nowhere"], 'vlm_model is "/nowhere", which is no folder with a model'),
        (["--vlm-url", "http://127.0.0.1:9/v1", "--vlm-model", "m"], "the server http://127.0.0.1:9/v1 cannot be reached"),
    ],
)
def test_wrong_vision_language_model(
    tmp_path: Path, folder: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The message is that of the option or of the connection, from all commands."""
    model = ["--segmenter", "toy", "--device", "cpu", *arguments]
    assert main(["track", str(folder), "--instruct", POLITE, *model, "--out", str(tmp_path / "track")]) == 1
    assert f"lang2segtrack track: {message}" in capsys.readouterr().err
    assert main(["image", str(folder), "--instruct", POLITE, *model, "--out", str(tmp_path / "image")]) in (1, 2)
    assert message in capsys.readouterr().err


def test_bench_with_a_vision_language_model(tmp_path: Path, server: ChatServer, capsys: pytest.CaptureFixture[str]) -> None:
    """A server that does not answer ends the measurement with its message."""
    server.replies = [respond(503, "")]
    command = ["bench", "instructions", "--cases", "1", "--sentences", "0", "--out", str(tmp_path), "--device", "cpu"]
    assert main([*command, "--vlm-url", server.url, "--vlm-model", "toy-vlm"]) == 1
    assert f"lang2segtrack bench: the server {server.url} refuses the request (HTTP 503)" in capsys.readouterr().err
