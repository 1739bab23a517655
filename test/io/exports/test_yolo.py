# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""YOLO polygons, drawn as training tools draw them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from test.io.exports.traces import LABELS, export, truth_of


@pytest.mark.parametrize("to_pixels", [np.trunc, np.round])
def test_polygons_cover_the_masks(tmp_path: Path, trace: Path, to_pixels: np.ufunc) -> None:
    """Tools scale the fractions, get pixels from them, and fill the polygon: Ultralytics truncates, supervision rounds."""
    sentences = export(trace, "yolo-seg", tmp_path)
    added = 0
    files = sorted((tmp_path / "labels" / "train").glob("*.txt"))
    for file, masks in zip(files, truth_of(trace), strict=True):
        lines = file.read_text().splitlines()
        assert len(lines) == len(masks), "an image without objects has an empty file"
        for line, mask in zip(lines, (masks[track_id] for track_id in sorted(masks))):
            numbers = [float(word) for word in line.split()[1:]]
            assert len(numbers) >= 6
            assert 0 <= min(numbers) <= max(numbers) <= 1
            points = to_pixels(np.array(numbers).reshape(-1, 2) * mask.shape[::-1]).astype(np.int32)
            drawn = np.zeros(mask.shape, np.uint8)
            cv2.fillPoly(drawn, [points], 1)
            assert not (mask & (drawn == 0)).any()
            added += int(np.count_nonzero((drawn > 0) & ~mask))
    assert sum(int(line.split()[1]) for line in sentences if "pixels added by polygons" in line) == added


def test_names_are_yaml(tmp_path: Path, odd: Path) -> None:
    """A label with quotes, a colon or a line end must not break data.yaml."""
    export(odd, "yolo-seg", tmp_path)
    content = yaml.safe_load((tmp_path / "data.yaml").read_text(encoding="utf-8"))
    assert content["names"] == {0: LABELS[1], 1: LABELS[2], 2: "red mug", 3: "object"}
    classes = [line.split()[0] for line in (tmp_path / "labels" / "train" / "000000.txt").read_text().splitlines()]
    assert classes == ["0", "1", "2", "2", "3"]
