# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""A short demo with the same processes and the same graph: six seconds of the scenario."""

from __future__ import annotations

import json
from pathlib import Path

import cv2

from lang2segtrack_ros.toyworld import demo


def test_short_demo_passes_all_checks(tmp_path: Path) -> None:
    assert demo.run(tmp_path, seconds=6.0) == 0, (tmp_path / "logs" / "track_node.log").read_text()[-3000:]
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["mean_iou"] >= 0.6
    assert summary["frames_published"] >= summary["frames_processed"] > 10
    assert {track["body"] for track in summary["tracks"]} == {"red circle", "blue star", "yellow square"}
    assert [call["name"] for call in summary["services"]] == [
        "add_text_prompt",
        "add_box_prompt",
        "list_tracks",
        "remove_track",
        "list_tracks",
    ]
    assert all(call["success"] for call in summary["services"])
    assert {"id", "label", "first_frame", "last_frame", "mean_iou"} <= set(summary["tracks"][0])
    assert {"latency_ms", "id_switches", "device", "versions", "frames_dropped", "messages"} <= set(summary)
    sheet = cv2.imread(str(tmp_path / "contact_sheet.png"))
    assert sheet.shape[1] == 4 * 640
    video = cv2.VideoCapture(str(tmp_path / "overlay.webm"))
    assert int(video.get(cv2.CAP_PROP_FRAME_COUNT)) == summary["messages"]["overlay"]
