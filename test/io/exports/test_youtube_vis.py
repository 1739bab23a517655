# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""YouTube-VIS, read by TrackEval."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from test.io.exports.traces import Truth, check_equal, decoded, export, truth_of

pytest.importorskip("trackeval", reason="the format's reader")
from trackeval.datasets import YouTubeVIS
from trackeval.metrics import HOTA


def reader(folder: Path, tracked: Path) -> Any:
    """Return TrackEval's reader of the ground truth and the results of an export."""
    shutil.copytree(folder / "results", tracked / "trackers_youtube_vis_train" / "ours" / "data")
    shutil.copytree(folder / "annotations", tracked / "truth_youtube_vis_train")
    config = {
        "GT_FOLDER": str(tracked / "truth_"),
        "TRACKERS_FOLDER": str(tracked / "trackers_"),
        "TRACKERS_TO_EVAL": ["ours"],
        "SPLIT_TO_EVAL": "train",
        "PRINT_CONFIG": False,
    }
    return YouTubeVIS(config)


def test_trackeval_reads_masks_and_ids(tmp_path: Path, trace: Path) -> None:
    """The list of each object has null on the images that do not show it, also before its first and after its last appearance."""
    export(trace, "ytvis", tmp_path / "out")
    data = reader(tmp_path / "out", tmp_path / "trackeval")
    assert data.seq_list == ["my_clip"]
    raw = data._load_raw_file("ours", "my_clip", is_gt=True)
    found: Truth = [{int(key): decoded(item) for key, item in zip(ids, masks)} for ids, masks in zip(raw["gt_ids"], raw["gt_dets"])]
    check_equal(found, truth_of(trace))
    for name in data.class_list:
        seen = data.get_preprocessed_seq_data(data.get_raw_seq_data("ours", "my_clip"), name)
        assert float(np.mean(HOTA().eval_sequence(seen)["HOTA"])) == pytest.approx(1.0), "the results are the truth"


def test_temporary_files_are_removed(tmp_path: Path, odd: Path) -> None:
    """The lists by object wait in files during the export."""
    export(odd, "ytvis", tmp_path)
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == ["README.txt", "instances.json", "results.json"]
