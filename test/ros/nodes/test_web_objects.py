# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The list of remembered objects in headless Chromium, on a real ROS graph with the toy camera in its room.

LANG2SEGTRACK_SCREENSHOTS names a folder that keeps the screenshot.
"""

from __future__ import annotations

import os
from pathlib import Path

from lang2segtrack_ros.toyworld.graph import Processes, executable, isolated_environment
from test.browser import chromium
from test.ros.nodes.page_client import REMAP, page_of

WAIT_MS = 120_000


def test_remembered_objects_with_thumbnails(tmp_path: Path) -> None:
    """The list is hidden without an object map, shows objects with pictures and times, and a name that a user gave."""
    with isolated_environment() as environment, Processes(environment, tmp_path / "logs") as processes, chromium() as browser:
        stream = ["-p", "suite:=room", "-p", "fps:=5.0", "-p", "width:=320", "-p", "height:=240"]
        processes.start("camera", [*executable("toy_camera"), "--ros-args", *stream])
        text = ["-p", "text:=red circle. blue square. green heart. blue star. pink star."]
        toy = ["-p", "segmenter:=toy", "-p", "detector:=toy", "-p", "device:=cpu", *text]
        processes.start("track_node", [*executable("track_node"), "--ros-args", *toy, *REMAP])
        processes.start("web_node", [*executable("web_node"), "--ros-args", "-p", "port:=0", *REMAP])
        page = page_of(processes, "web_node")
        assert page.ask("api/objects").json == {"objects": None, "total": 0}
        tab = browser.new_context(viewport={"width": 1180, "height": 900}).new_page()
        tab.set_default_timeout(WAIT_MS)
        tab.goto(page.url)
        tab.locator("#waiting").wait_for(state="hidden")
        assert tab.locator("#remembered").is_hidden()
        file = tmp_path / "objects.db"
        processes.start("object_map_node", [*executable("object_map_node"), "--ros-args", "-p", f"file:={file}", *REMAP])
        row = tab.locator("#objects li", has_text="red circle").first
        row.wait_for()
        row.locator(".state", has_text="last seen").wait_for()
        picture = row.locator(".thumbnail")
        tab.wait_for_function("picture => picture.naturalWidth > 10", arg=picture.element_handle())
        tab.locator("#objects li").nth(2).wait_for()
        folder = Path(os.environ.get("LANG2SEGTRACK_SCREENSHOTS") or tmp_path)
        folder.mkdir(parents=True, exist_ok=True)
        tab.screenshot(path=folder / "objects.png")
        processes.check()
