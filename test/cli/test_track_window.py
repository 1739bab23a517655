# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""`lang2segtrack track --window` on a virtual screen: prompts on the first image, play, and the output files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lang2segtrack_ros.io.writers import write_png
from lang2segtrack_ros.toyworld.scene import SceneFrame
from test.conftest import body_box
from test.virtual_screen import MISSING, needs_screen, screen, xdotool

COUNT = 12
LONG_COUNT = 900
SCALE = 800 / 320
PLAY = ("1100", "620")
RUN = "import sys; from lang2segtrack_ros.cli.main import main; sys.exit(main())"
TRACK = [sys.executable, "-c", RUN, "track", "--segmenter", "toy", "--detector", "toy"]


@pytest.fixture
def folder(tmp_path: Path, frames: list[SceneFrame]) -> Path:
    for number in range(COUNT):
        write_png(tmp_path / "images" / f"{number:03}.png", frames[number].color)
    return tmp_path / "images"


def start(display: str, folder: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [*TRACK, str(folder), "--window", "--device", "cpu", "--out", str(folder.parent / "out"), *arguments]
    process = subprocess.Popen(command, env={**os.environ, "DISPLAY": display}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    xdotool(display, "search", "--sync", "--name", "lang2segtrack")
    time.sleep(1.0)  # until the window shows the first image
    return process


def screen_point(x: float, y: float) -> tuple[str, str]:
    return str(round(x * SCALE)), str(round(y * SCALE))


@needs_screen
def test_click_and_box_before_play(folder: Path, frames: list[SceneFrame]) -> None:
    """The player waits on the first image, so that the tracks start there."""
    with screen() as display:
        process = start(display, folder)
        try:
            x1, y1, x2, y2 = body_box(frames[0], 1)
            xdotool(display, "mousemove", *screen_point((x1 + x2) / 2, (y1 + y2) / 2), "click", "1")
            xdotool(display, "mousemove", "950", "108", "click", "1", "type", "star")
            x1, y1, x2, y2 = body_box(frames[0], 2)
            xdotool(display, "mousemove", *screen_point(x1, y1), "mousedown", "1")
            xdotool(display, "mousemove", *screen_point(x2, y2))
            xdotool(display, "mouseup", "1")
            screenshots = os.environ.get("LANG2SEGTRACK_SCREENSHOTS")
            if screenshots:
                name = str(Path(screenshots) / "track_window.png")
                subprocess.run(["import", "-window", "root", name], env={**os.environ, "DISPLAY": display})
            assert process.poll() is None
            xdotool(display, "key", "F5")
            printed, errors = process.communicate(timeout=120)
        finally:
            process.kill()
    assert process.returncode == 0, errors
    records = [json.loads(line) for line in (folder.parent / "out" / "tracks.jsonl").read_text().splitlines()]
    assert len(records) == COUNT
    assert [track["label"] for track in records[0]["tracks"]] == ["", "star"]
    assert "star: seen on 12 of 12 images" in printed


@needs_screen
def test_terminated_window_keeps_the_results(folder: Path, frames: list[SceneFrame]) -> None:
    """With a prompt on the command line, the player starts at once. A signal ends it in the same way as a closed window."""
    for number in range(COUNT, LONG_COUNT):  # forward and backward repeatedly, so that the signal arrives before the end
        index = number % (2 * COUNT - 2)
        (folder / f"{number:03}.png").symlink_to(folder / f"{min(index, 2 * COUNT - 2 - index):03}.png")
    box = ",".join(f"{value:g}" for value in body_box(frames[0], 1))
    with screen() as display:
        process = start(display, folder, "--box", f"{box}=circle")
        try:
            process.terminate()
            _, errors = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 0, errors
    records = (folder.parent / "out" / "tracks.jsonl").read_text().splitlines()
    assert 1 <= len(records) < LONG_COUNT


def test_missing_display_is_reported(folder: Path) -> None:
    """The message names the missing display, or Tk if Tk is not installed."""
    environment = {name: value for name, value in os.environ.items() if name != "DISPLAY"}
    command = [*TRACK, str(folder), "--window", "--device", "cpu", "--out", str(folder.parent / "out")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert ("--window needs a display, and there is none" if "Tk" not in MISSING else "--window needs Tk") in done.stderr
    assert "Traceback" not in done.stderr
    assert not (folder.parent / "out").exists()
