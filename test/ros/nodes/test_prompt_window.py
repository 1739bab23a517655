# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The prompt window on a real graph and a virtual screen, with a mouse and a keyboard that xdotool moves.

LANG2SEGTRACK_SCREENSHOTS names a folder that keeps a picture,
where ImageMagick's `import` is there to take it.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from lang2segtrack_ros.toyworld.graph import Processes, executable, isolated_environment
from test.ros.nodes.page_client import REMAP, SIZE, Witness
from test.virtual_screen import MISSING, needs_screen, screen, xdotool

SCALE = 800 / SIZE[0]  # the canvas is 800 x 600 and fills the window's upper left


@dataclass
class User:
    """One who sits before the window, and knows the truth."""

    display: str
    witness: Witness
    processes: Processes

    def do(self, *arguments: str) -> str:
        """One command of xdotool."""
        return xdotool(self.display, *arguments)

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """From one pixel of the picture to another."""
        (x0, y0), (x1, y1) = ((str(round(value * SCALE)) for value in place) for place in (start, end))
        self.do("mousemove", x0, y0, "mousedown", "1")
        self.do("mousemove", x1, y1)
        self.do("mouseup", "1")

    def label(self, text: str) -> None:
        self.do("mousemove", "950", "108", "click", "1", "type", text)

    def ids(self) -> dict[str, int]:
        """Labels and ids of the objects on the newest image."""
        self.witness.tracks.clear()
        assert self.witness.until(lambda: bool(self.witness.tracks))
        return {track.label: track.id for track in self.witness.tracks[max(self.witness.tracks)].tracks if track.state != 4}

    def waits_for(self, label: str) -> int:
        """The id of an object with this label, as soon as there is one."""
        end = time.monotonic() + 60
        while time.monotonic() < end:
            ids = self.ids()
            if label in ids:
                return ids[label]
        raise AssertionError(f"no object is called {label}: {ids}")


@pytest.fixture(scope="module")
def user(tmp_path_factory: pytest.TempPathFactory) -> Iterator[User]:
    logs = tmp_path_factory.mktemp("logs")
    with screen() as display, isolated_environment() as environment, Processes({**environment, "DISPLAY": display}, logs) as processes:
        stream = ["-p", "fps:=6.0", "-p", f"width:={SIZE[0]}", "-p", f"height:={SIZE[1]}"]
        processes.start("camera", [*executable("toy_camera"), "--ros-args", *stream])
        toy = ["-p", "segmenter:=toy", "-p", "detector:=toy", "-p", "device:=cpu"]
        processes.start("track_node", [*executable("track_node"), "--ros-args", *toy, *REMAP])
        window = processes.start("prompt_window", [*executable("prompt_window"), "--ros-args", *REMAP])
        witness = Witness(int(environment["ROS_DOMAIN_ID"]))
        someone = User(display, witness, processes)
        someone.do("search", "--sync", "--name", "lang2segtrack")
        assert witness.until(lambda: bool(witness.tracks), 120.0), processes.log("track_node")
        assert witness.until(lambda: witness.node.count_subscribers("overlay") == 1)
        yield someone
        window.send_signal(signal.SIGINT)
        assert window.wait(5) == 0
        assert processes.log("prompt_window") == ""
        witness.close()
        processes.check()


@needs_screen
def test_click_box_and_words(user: User) -> None:
    user.label("clicked")
    x1, y1, x2, y2 = user.witness.box_of(1)
    user.drag(((x1 + x2) / 2, (y1 + y2) / 2), ((x1 + x2) / 2, (y1 + y2) / 2))
    clicked = user.waits_for("clicked")
    user.label("boxed")
    x1, y1, x2, y2 = user.witness.box_of(3)
    user.drag((x1, y1), (x2, y2))
    boxed = user.waits_for("boxed")
    assert user.witness.sees(clicked, 1)
    assert user.witness.sees(boxed, 3)
    user.do("mousemove", "950", "50", "click", "1", "type", "blue star.")
    user.do("key", "Return")
    assert user.witness.sees(user.waits_for("blue star"), 2)
    folder = os.environ.get("LANG2SEGTRACK_SCREENSHOTS")
    if folder and shutil.which("import"):
        subprocess.run(["import", "-window", "root", str(Path(folder) / "window.png")], env={**os.environ, "DISPLAY": user.display})


@needs_screen
def test_the_selected_track_is_removed(user: User) -> None:
    before = user.ids()
    assert before
    time.sleep(1.0)  # the list is asked for that often
    user.do("mousemove", "950", "163", "click", "1", "key", "Delete")  # the first row
    gone = min(before.values())
    assert user.witness.until(lambda: gone not in user.ids().values(), 60.0)
    assert set(user.ids().values()) >= set(before.values()) - {gone}


@needs_screen
def test_nothing_to_show_is_told_in_the_window_and_it_ends_all_the_same(tmp_path: Path) -> None:
    """No tracker, no camera; a second window on a screen of its own."""
    with screen() as display, isolated_environment() as environment, Processes({**environment, "DISPLAY": display}, tmp_path) as processes:
        window = processes.start("prompt_window", [*executable("prompt_window")])
        xdotool(display, "search", "--sync", "--name", "lang2segtrack")
        xdotool(display, "mousemove", "300", "300", "click", "1", "mousemove", "950", "50", "click", "1", "type", "mug.")
        window.send_signal(signal.SIGTERM)
        assert window.wait(5) == 0
        assert processes.log("prompt_window") == ""


@pytest.mark.skipif("Tk" in MISSING, reason="not installed: Tk")
def test_without_a_screen_it_says_so(tmp_path: Path) -> None:
    with isolated_environment() as environment:
        without = {name: value for name, value in environment.items() if name != "DISPLAY"}
        with Processes(without, tmp_path) as processes:
            window = processes.start("prompt_window", [*executable("prompt_window")])
            assert window.wait(60) == 3
            assert "prompt_window needs a display, and there is none" in processes.log("prompt_window")
            assert "Traceback" not in processes.log("prompt_window")


@pytest.mark.skipif("Tk" in MISSING or "Xvfb" in MISSING, reason="a screen is needed")
def test_a_wrong_parameter_is_told(tmp_path: Path) -> None:
    with screen() as display, isolated_environment() as environment, Processes({**environment, "DISPLAY": display}, tmp_path) as processes:
        window = processes.start("prompt_window", [*executable("prompt_window"), "--ros-args", "-p", "max_rate:=fast"])
        assert window.wait(60) == 1
        assert "prompt_window could not start" in processes.log("prompt_window")
