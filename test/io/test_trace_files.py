# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The output files of tracking."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lang2segtrack_ros.io.trace_files import TraceFiles
from lang2segtrack_ros.types.frame import Frame
from lang2segtrack_ros.types.results import FrameResult
from test.io.test_rendering import make_track


def test_files_are_finished_once(tmp_path: Path) -> None:
    """The node moves the folder after closing the files, and closes them again at the end of its work."""
    mask = np.zeros((20, 20), bool)
    mask[2:9, 2:9] = True
    files = TraceFiles(tmp_path / "partial", 10.0)
    files.write(Frame(np.zeros((20, 20, 3), np.uint8)), FrameResult(0, 0, 20, 20, (make_track(mask, 3),)))
    files.close()
    files.folder.rename(tmp_path / "whole")
    files.close()
    assert (tmp_path / "whole" / "tracks_mot_labels.txt").read_text().startswith("3,")
    assert [item.name for item in tmp_path.iterdir()] == ["whole"]
