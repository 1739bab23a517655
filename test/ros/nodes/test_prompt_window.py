# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The prompt window on a real ROS graph and a virtual screen. xdotool moves the mouse and types.

If LANG2SEGTRACK_SCREENSHOTS names a folder and ImageMagick's `import` is installed, a test saves a screenshot there.
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
from test.ros.nodes.page_client import REMAP, SIZE, GraphObserver
from test.virtual_screen import MISSING, needs_screen, screen, xdotool

SCALE = 800 / SIZE[0]  # the canvas is 800 x 600 pixels at the window's upper left corner


@dataclass
class User:
    """User of the window, with an observer of the ground truth."""

    display: str
    observer: GraphObserver
    processes: Processes

    def do(self, *arguments: str) -> str:
        """Run one xdotool command."""
        return xdotool(self.display, *arguments)

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Drag from one pixel of the image to another."""
        (x0, y0), (x1, y1) = ((str(round(value * SCALE)) for value in point) for point in (start, end))
        self.do("mousemove", x0, y0, "mousedown", "1")
        self.do("mousemove", x1, y1)
        self.do("mouseup", "1")

    def label(self, text: str) -> None:
        self.do("mousemove", "950", "108", "click", "1", "type", text)

    def ids(self) -> dict[str, int]:
        """Return the ids of the objects on the newest image by label."""
        self.observer.tracks.clear()
        assert self.observer.until(lambda: bool(self.observer.tracks))
        return {track.label: track.id for track in self.observer.tracks[max(self.observer.tracks)].tracks if track.state != 4}

    def wait_for(self, label: str) -> int:
        """Wait for an object with this label and return its id."""
        end = time.monotonic() + 60
        while time.monotonic() < end:
            ids = self.ids()
            if label in ids:
                return ids[label]
        raise AssertionError(f"no object has the label {label}: {ids}")


@pytest.fixture(scope="module")
def user(tmp_path_factory: pytest.TempPathFactory) -> Iterator[User]:
    logs = tmp_path_factory.mktemp("logs")
    with screen() as display, isolated_environment() as environment, Processes({**environment, "DISPLAY": display}, logs) as processes:
        stream = ["-p", "fps:=6.0", "-p", f"width:={SIZE[0]}", "-p", f"height:={SIZE[1]}"]
        processes.start("camera", [*executable("toy_camera"), "--ros-args", *stream])
        toy = ["-p", "segmenter:=toy", "-p", "detector:=toy", "-p", "device:=cpu"]
        processes.start("track_node", [*executable("track_node"), "--ros-args", *toy, *REMAP])
        window = processes.start("prompt_window", [*executable("prompt_window"), "--ros-args", *REMAP])
        observer = GraphObserver(int(environment["ROS_DOMAIN_ID"]))
        user = User(display, observer, processes)
        user.do("search", "--sync", "--name", "lang2segtrack")
        assert observer.until(lambda: bool(observer.tracks), 120.0), processes.log("track_node")
        assert observer.until(lambda: observer.node.count_subscribers("overlay") == 1)
        yield user
        window.send_signal(signal.SIGINT)
        assert window.wait(5) == 0
        assert processes.log("prompt_window") == ""
        observer.close()
        processes.check()


@needs_screen
def test_click_box_and_text_start_tracks(user: User) -> None:
    user.label("clicked")
    x1, y1, x2, y2 = user.observer.box_of(1)
    user.drag(((x1 + x2) / 2, (y1 + y2) / 2), ((x1 + x2) / 2, (y1 + y2) / 2))
    clicked = user.wait_for("clicked")
    user.label("boxed")
    x1, y1, x2, y2 = user.observer.box_of(3)
    user.drag((x1, y1), (x2, y2))
    boxed = user.wait_for("boxed")
    assert user.observer.follows_body(clicked, 1)
    assert user.observer.follows_body(boxed, 3)
    user.do("mousemove", "950", "50", "click", "1", "type", "blue star.")
    user.do("key", "Return")
    assert user.observer.follows_body(user.wait_for("blue star"), 2)
    folder = os.environ.get("LANG2SEGTRACK_SCREENSHOTS")
    if folder and shutil.which("import"):
        subprocess.run(["import", "-window", "root", str(Path(folder) / "window.png")], env={**os.environ, "DISPLAY": user.display})


@needs_screen
def test_tap_on_a_tracked_object_starts_no_second_track(user: User) -> None:
    """The first edition corrected or doubled the track. The answer comes from the newest masks, so the service is not called."""
    before = user.ids()
    x1, y1, x2, y2 = user.observer.box_of(1)
    user.drag(((x1 + x2) / 2, (y1 + y2) / 2), ((x1 + x2) / 2, (y1 + y2) / 2))
    user.observer.until(lambda: False, 2.0)
    assert user.ids() == before
    assert user.processes.log("track_node").count("add_point_prompt: ") == 1


@needs_screen
def test_delete_key_removes_selected_track(user: User) -> None:
    before = user.ids()
    assert before
    time.sleep(1.0)  # period of the list
    user.do("mousemove", "950", "163", "click", "1", "key", "Delete")  # the first row
    removed = min(before.values())
    assert user.observer.until(lambda: removed not in user.ids().values(), 60.0)
    assert set(user.ids().values()) >= set(before.values()) - {removed}


@needs_screen
def test_window_without_tracker_and_camera_ends_on_signal(tmp_path: Path) -> None:
    """Without a tracker and a camera, the window must neither log errors nor hang."""
    with screen() as display, isolated_environment() as environment, Processes({**environment, "DISPLAY": display}, tmp_path) as processes:
        window = processes.start("prompt_window", [*executable("prompt_window")])
        xdotool(display, "search", "--sync", "--name", "lang2segtrack")
        xdotool(display, "mousemove", "300", "300", "click", "1", "mousemove", "950", "50", "click", "1", "type", "mug.")
        window.send_signal(signal.SIGTERM)
        assert window.wait(5) == 0
        assert processes.log("prompt_window") == ""


@pytest.mark.skipif("Tk" in MISSING, reason="not installed: Tk")
def test_missing_display_is_reported(tmp_path: Path) -> None:
    with isolated_environment() as environment:
        without = {name: value for name, value in environment.items() if name != "DISPLAY"}
        with Processes(without, tmp_path) as processes:
            window = processes.start("prompt_window", [*executable("prompt_window")])
            assert window.wait(60) == 3
            assert "prompt_window needs a display, and there is none" in processes.log("prompt_window")
            assert "Traceback" not in processes.log("prompt_window")


@pytest.mark.skipif("Tk" in MISSING or "Xvfb" in MISSING, reason="a screen is needed")
def test_wrong_parameter_is_reported(tmp_path: Path) -> None:
    with screen() as display, isolated_environment() as environment, Processes({**environment, "DISPLAY": display}, tmp_path) as processes:
        window = processes.start("prompt_window", [*executable("prompt_window"), "--ros-args", "-p", "max_rate:=fast"])
        assert window.wait(60) == 1
        assert "prompt_window could not start" in processes.log("prompt_window")
