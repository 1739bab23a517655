# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""COCO, read by pycocotools."""

from __future__ import annotations

from pathlib import Path

from pycocotools.coco import COCO

from test.io.exports.traces import LABELS, Truth, check_equal, export, truth_of


def test_pycocotools_reads_masks_boxes_and_ids(tmp_path: Path, trace: Path) -> None:
    """Images without objects stay in the list, so that the n-th image is the n-th of the recording."""
    export(trace, "coco", tmp_path)
    data = COCO(str(tmp_path / "annotations" / "instances.json"))
    images = data.loadImgs(sorted(data.getImgIds()))
    found: Truth = []
    for image in images:
        annotations = data.loadAnns(data.getAnnIds(imgIds=[image["id"]]))
        found.append({item["track_id"]: data.annToMask(item).astype(bool) for item in annotations})
        for item in annotations:
            x, y, width, height = item["bbox"]
            mask = found[-1][item["track_id"]]
            assert mask.sum() == item["area"] == mask[int(y) : int(y + height), int(x) : int(x + width)].sum()
    check_equal(found, truth_of(trace))
    assert [image["frame_id"] for image in images] == list(range(len(images)))


def test_names_stay_as_they_are(tmp_path: Path, odd: Path) -> None:
    """JSON can hold each label. Two objects of one label share a category, and an object without a label has a name, too."""
    export(odd, "coco", tmp_path)
    data = COCO(str(tmp_path / "annotations" / "instances.json"))
    names = {item["track_id"]: data.loadCats(item["category_id"])[0]["name"] for item in data.dataset["annotations"]}
    assert names == {**{key: label for key, label in LABELS.items() if label}, 6: "object"}
    assert len(data.getCatIds()) == 4


def test_summary_counts_hidden_and_unconfirmed_objects(tmp_path: Path, odd: Path) -> None:
    """An object that is missing in the export must not be missing silently."""
    text = "\n".join(export(odd, "coco", tmp_path))
    assert "5 objects, 33 times visible and 2 times hidden, on 10 images of my_clip" in text
    assert "1 objects were detected but never confirmed, and left out" in text
    assert text in (tmp_path / "README.txt").read_text()
