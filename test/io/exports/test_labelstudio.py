# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Label Studio's tasks of videos, against its documented structure."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from lang2segtrack_ros.types.rle import Box, mask_box
from test.io.exports.traces import export, truth_of


def test_regions_show_each_object_where_it_is_visible(tmp_path: Path, trace: Path) -> None:
    """Frames count from 1, sizes are percents, and a region ends after a box that is not enabled, until its next box."""
    export(trace, "labelstudio", tmp_path)
    (task,) = json.loads((tmp_path / "tasks.json").read_text())
    assert task["data"] == {"video": "my_clip.mp4"}
    truth = truth_of(trace)
    height, width = next(iter(truth[0].values())).shape
    shown: list[dict[int, Box]] = [{} for _ in truth]
    for region in task["predictions"][0]["result"]:
        assert region["type"] == "videorectangle"
        value = region["value"]
        assert value["framesCount"] == len(truth)
        boxes = {item["frame"] - 1: item for item in value["sequence"]}
        state = None
        for frame in range(len(truth)):
            state = boxes.get(frame, state if state is not None and state["enabled"] else None)
            if state is not None:
                x, y = state["x"] * width / 100, state["y"] * height / 100
                shown[frame][region["meta"]["track_id"]] = (x, y, x + state["width"] * width / 100, y + state["height"] * height / 100)
    for found, masks in zip(shown, truth):
        assert sorted(found) == sorted(masks)
        for track_id, box in found.items():
            assert box == pytest.approx(mask_box(masks[track_id]), abs=1e-4)


def test_interface_has_the_names_of_the_regions(tmp_path: Path, odd: Path) -> None:
    """Label Studio shows a prediction only if tag names and labels of the project's interface fit it."""
    export(odd, "labelstudio", tmp_path)
    (task,) = json.loads((tmp_path / "tasks.json").read_text())
    view = ElementTree.parse(tmp_path / "labeling_config.xml").getroot()
    labels = {item.attrib["value"] for item in view.iter("Label")}
    video, box = view.find("Video"), view.find("VideoRectangle")
    assert video is not None
    assert box is not None
    for region in task["predictions"][0]["result"]:
        assert region["to_name"] == video.attrib["name"]
        assert region["from_name"] == box.attrib["name"]
        assert set(region["value"]["labels"]) <= labels
    assert video.attrib["value"] == "$video"
