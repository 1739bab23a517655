# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""KITTI MOTS: the text read by TrackEval, the pictures by OpenCV."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from lang2segtrack_ros.io.exports.mots import class_numbers
from lang2segtrack_ros.types.results import FrameResult
from test.io.exports.traces import LABELS, Truth, check_equal, decoded, export, rectangle, track, without_overlaps, write_trace

pytest.importorskip("trackeval", reason="the format's reader")
from trackeval.datasets import KittiMOTS


def test_trackeval_reads_masks_without_overlaps(tmp_path: Path, trace: Path) -> None:
    """TrackEval refuses masks that overlap. A pixel under several masks belongs to the object with the highest score."""
    export(trace, "mots", tmp_path / "truth")
    expected = without_overlaps(trace)
    results = tmp_path / "trackers" / "ours" / "data" / "0000.txt"
    results.parent.mkdir(parents=True)
    shutil.copy(tmp_path / "truth" / "instances_txt" / "0000.txt", results)
    config = {
        "GT_FOLDER": str(tmp_path / "truth"),
        "GT_LOC_FORMAT": "{gt_folder}/instances_txt/{seq}.txt",
        "TRACKERS_FOLDER": str(tmp_path / "trackers"),
        "SEQ_INFO": {"0000": len(expected)},
        "PRINT_CONFIG": False,
    }
    raw = KittiMOTS(config)._load_raw_file("ours", "0000", is_gt=False)
    found: Truth = [
        {int(key) % 1000: decoded(item) for key, item in zip(ids, masks)} for ids, masks in zip(raw["tracker_ids"], raw["tracker_dets"])
    ]
    check_equal(found, expected)


def test_pictures_hold_the_same_as_the_text(tmp_path: Path, trace: Path) -> None:
    """Tools read the one or the other."""
    export(trace, "mots", tmp_path)
    values = {
        int(value) * 1000 + int(number): int(track_id) for value, number, track_id, *_ in map(str.split, (tmp_path / "labels.txt").open())
    }
    found: Truth = []
    for file in sorted((tmp_path / "instances" / "0000").glob("*.png")):
        pixels = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
        assert pixels is not None
        assert pixels.dtype == np.uint16
        found.append({values[value]: pixels == value for value in np.unique(pixels).tolist() if value})
    check_equal(found, without_overlaps(trace))


def test_overlapping_pixels_are_counted(tmp_path: Path, odd: Path) -> None:
    """The user must know that masks were cut: 1 and 2 overlap in the rows and columns 8 to 13, without the hole of 1."""
    sentences = export(odd, "mots", tmp_path)
    sizes = [np.count_nonzero(rectangle(8, 8, 12 + index, 14) & ~rectangle(5, 6, 8, 9)) for index in range(9) if index != 4]
    assert f"mots: {sum(sizes)} pixels under several masks, given to the object with the highest score" in sentences


def test_a_covered_mask_is_counted(tmp_path: Path) -> None:
    """An object below another one has no pixel left, and so no line."""
    objects = track(3, rectangle(5, 5, 9, 9), 0.5), track(4, rectangle(2, 2, 12, 12), 0.9)
    path = write_trace(tmp_path / "trace.jsonl", [FrameResult(0, 0, 37, 53, objects)])
    assert "mots: 1 masks that other masks cover entirely" in export(path, "mots", tmp_path / "out")
    assert [line.split()[1] for line in (tmp_path / "out" / "instances_txt" / "0000.txt").open()] == ["3004"]


def test_classes_of_kitti_keep_their_numbers() -> None:
    """Evaluations of KITTI MOTS score only car and pedestrian, and 10 marks ignored regions. 16 bits hold 64 classes."""
    numbers = class_numbers(["mug", "Car", "pedestrian", *(f"label {index}" for index in range(100))])
    assert (numbers["Car"], numbers["pedestrian"], numbers["mug"]) == (1, 2, 3)
    assert 10 not in numbers.values()
    assert sorted(numbers.values()) == [number for number in range(1, 65) if number != 10]


def test_objects_beyond_the_numbers_are_counted(tmp_path: Path) -> None:
    """A class has 999 numbers. Higher ids are renumbered in order, and objects beyond are left out by count."""
    mask = rectangle(3, 3, 5, 5)
    results = [FrameResult(number, number, 37, 53, (track(number + 7, mask),)) for number in range(1001)]
    path = write_trace(tmp_path / "trace.jsonl", [*results, FrameResult(2000, 2000, 37, 53, (track(5000, mask),))])
    sentences = export(path, "mots", tmp_path / "out")
    assert [line for line in sentences if "beyond" in line] == ["mots: 3 masks of objects beyond 999 of a class, or of classes beyond 64"]
    first = (tmp_path / "out" / "labels.txt").read_text(encoding="utf-8").splitlines()[0]
    assert first == f"3 1 7 {LABELS.get(7, 'cup')}"
