# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""MOT Challenge, read and scored by TrackEval."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lang2segtrack_ros.types.rle import mask_box
from test.io.exports.traces import LABELS, export, truth_of

pytest.importorskip("trackeval", reason="the format's reader")
from trackeval.datasets import MotChallenge2DBox
from trackeval.metrics import CLEAR, HOTA


def test_trackeval_reads_and_scores_the_boxes(tmp_path: Path, trace: Path) -> None:
    """Frames, ids and boxes are where TrackEval expects them. It scores class 1, so the lines of class 1 as results must score 1."""
    export(trace, "mot", tmp_path / "truth" / "my_clip")
    results = tmp_path / "trackers" / "ours" / "data" / "my_clip.txt"
    results.parent.mkdir(parents=True)
    lines = (tmp_path / "truth" / "my_clip" / "gt" / "gt.txt").read_text().splitlines(keepends=True)
    results.write_text("".join(line for line in lines if line.split(",")[7] == "1"))
    config = {
        "GT_FOLDER": str(tmp_path / "truth"),
        "TRACKERS_FOLDER": str(tmp_path / "trackers"),
        "SEQ_INFO": {"my_clip": None},
        "SKIP_SPLIT_FOL": True,
        "PRINT_CONFIG": False,
    }
    data = MotChallenge2DBox(config)
    truth = truth_of(trace)
    assert data.seq_lengths == {"my_clip": len(truth)}, "from seqinfo.ini"
    raw = data._load_raw_file("ours", "my_clip", is_gt=True)
    for ids, boxes, masks in zip(raw["gt_ids"], raw["gt_dets"], truth):
        assert ids.tolist() == sorted(masks)
        for track_id, (x, y, width, height) in zip(ids, boxes):
            assert (x - 1, y - 1, x - 1 + width, y - 1 + height) == mask_box(masks[track_id])
    seen = data.get_preprocessed_seq_data(data.get_raw_seq_data("ours", "my_clip"), "pedestrian")  # class 1
    assert float(np.mean(HOTA().eval_sequence(seen)["HOTA"])) == pytest.approx(1.0)
    assert CLEAR().eval_sequence(seen)["MOTA"] == pytest.approx(1.0)


def test_labels_stand_on_one_line_each(tmp_path: Path, odd: Path) -> None:
    """CVAT takes line n of labels.txt for class n, so a line end in a label must become a space."""
    export(odd, "mot", tmp_path)
    names = (tmp_path / "gt" / "labels.txt").read_text(encoding="utf-8").splitlines()
    assert names == ['Tasse, "groß"; <1> & co. zweite Zeile', LABELS[2], "red mug", "object"]
    rows = [line.split(",") for line in (tmp_path / "gt" / "gt.txt").read_text().splitlines()]
    assert {(row[1], row[7]) for row in rows} == {("1", "1"), ("2", "2"), ("3", "3"), ("4", "3"), ("6", "4")}
    assert all(row[1] == "-1" and 0 < float(row[6]) <= 1 for row in (line.split(",") for line in (tmp_path / "det/det.txt").open()))


def test_sequence_has_the_rate_of_its_stamps(tmp_path: Path, odd: Path) -> None:
    """Two images are missing in the recording, so nine steps take 1.1 s."""
    export(odd, "mot", tmp_path)
    assert "frameRate=8.182\nseqLength=10\nimWidth=53\nimHeight=37\n" in (tmp_path / "seqinfo.ini").read_text()
