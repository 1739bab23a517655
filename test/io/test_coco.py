# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Results on single images as COCO files, and their store."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from pycocotools.coco import COCO

from lang2segtrack_ros.io.coco import CocoWriter
from lang2segtrack_ros.session.image_segmentation import SegmentedObject

PHRASES = ["red circle", "blue star"]


def objects() -> list[SegmentedObject]:
    masks = np.zeros((2, 24, 32), bool)
    masks[0, 3:10, 4:20] = True
    masks[1, 12:20, 1:9] = True
    return [
        SegmentedObject("red circle", 0.9, 0.8, (4.0, 3.0, 20.0, 10.0), masks[0]),
        SegmentedObject("blue star", 0.7, 0.6, (1.0, 12.0, 9.0, 20.0), masks[1]),
    ]


def test_files_are_a_data_set_and_its_results(tmp_path: Path) -> None:
    """Labeling tools read the data set, and evaluation reads both."""
    writer = CocoWriter(tmp_path / "store", PHRASES, "key")
    writer.add([(Path("a.png"), ((24, 32), objects())), (Path("b.png"), "torn"), (Path("c.png"), ((24, 32), []))])
    writer.write(tmp_path / "deep")
    data = COCO(str(tmp_path / "deep" / "instances.json"))
    assert [item["file_name"] for item in data.loadImgs(data.getImgIds())] == ["a.png", "c.png"]
    for annotation, item in zip(data.loadAnns(data.getAnnIds(imgIds=[1])), objects()):
        assert data.loadCats(annotation["category_id"])[0]["name"] == item.label
        assert (data.annToMask(annotation).astype(bool) == item.mask).all()
        assert annotation["area"] == item.mask.sum()
        x, y, width, height = annotation["bbox"]
        assert (x, y, x + width, y + height) == item.box
    results = data.loadRes(str(tmp_path / "deep" / "results.json"))
    for result, item in zip(results.loadAnns(results.getAnnIds()), objects()):
        assert (results.annToMask(result).astype(bool) == item.mask).all()
        assert result["score"] == item.score
    assert json.loads((tmp_path / "deep" / "instances.json").read_text())["failed"] == [{"file_name": "b.png", "reason": "torn"}]
    assert (writer.count, writer.failed, writer.objects) == (3, 1, 2)


def test_store_of_a_killed_run_is_read_up_to_its_last_whole_line(tmp_path: Path) -> None:
    """A run can be killed while it writes, and a run with other words must not take over the results."""
    store = tmp_path / "store"
    writer = CocoWriter(store, PHRASES, "key")
    writer.add([(Path("a.png"), ((24, 32), objects())), (Path("b.png"), "torn")])
    data = store.read_bytes()
    store.write_bytes(data + b'{"file_name": "c.p')
    resumed = CocoWriter(store, PHRASES, "key")
    assert resumed.count == 2
    resumed.add([(Path("c.png"), "torn")])
    assert CocoWriter(store, PHRASES, "key").count == 3
    assert CocoWriter(store, PHRASES, "another key").count == 0
    store.write_bytes(data[:5])
    assert CocoWriter(store, PHRASES, "key").count == 0
