# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""CVAT for video 1.1, against its documented structure and the rules of CVAT's reader (cvat/apps/dataset_manager/formats/cvat.py)."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import cv2
import numpy as np
import pytest

from lang2segtrack_ros.types.rle import mask_box
from test.io.exports.traces import HEIGHT, LABELS, WIDTH, Mask, Truth, check_equal, export, truth_of

REQUIRED = {
    "box": {"frame", "keyframe", "outside", "occluded", "xtl", "ytl", "xbr", "ybr"},
    "polygon": {"frame", "keyframe", "outside", "occluded", "points"},
    "mask": {"frame", "keyframe", "outside", "occluded", "rle", "left", "top", "width", "height"},
}
"""The attributes that CVAT's reader needs; without one of them it fails."""


def read(folder: Path) -> ElementTree.Element:
    """Return the root of an export, after checks of its structure."""
    root = ElementTree.parse(folder / "annotations.xml").getroot()
    assert root.tag == "annotations"
    assert root.findtext("version") == "1.1"
    assert [item.tag for item in root] == ["version", "meta", *["track"] * (len(root) - 2)]
    assert root.findtext("meta/task/mode") == "interpolation"
    names = [item.text for item in root.findall("meta/task/labels/label/name")]
    size = int(root.findtext("meta/task/size") or 0)
    for track in root.findall("track"):
        assert track.attrib["label"] in names
        kinds = {shape.tag for shape in track}
        assert len(kinds) == 1, "CVAT's tracks have one kind of shape"
        for shape in track:
            assert set(shape.attrib) >= REQUIRED[shape.tag]
            assert 0 <= int(shape.attrib["frame"]) < size
        frames = [int(shape.attrib["frame"]) for shape in track]
        assert frames == sorted(set(frames)), "two shapes of a track on one image"
    return root


def shapes(root: ElementTree.Element, key: str) -> list[dict[int, ElementTree.Element]]:
    """Return the visible shapes of each image by object. CVAT shows a shape until the next one, or until one with outside=1."""
    size = int(root.findtext("meta/task/size") or 0)
    shown: list[dict[int, ElementTree.Element]] = [{} for _ in range(size)]
    for track in root.findall("track"):
        state: ElementTree.Element | None = None
        by_frame = {int(shape.attrib["frame"]): shape for shape in track}
        for frame in range(size):
            state = by_frame.get(frame, state)
            if state is not None and state.attrib["outside"] == "0":
                shown[frame][int(track.attrib[key])] = state
    return shown


def test_boxes_and_ids(tmp_path: Path, trace: Path) -> None:
    """An object that is hidden, removed, or seen for the last time must not stay in CVAT: outside=1 ends it."""
    export(trace, "cvat-box", tmp_path)
    shown = shapes(read(tmp_path), "id")
    truth = truth_of(trace)
    assert [sorted(items) for items in shown] == [sorted(masks) for masks in truth]
    for items, masks in zip(shown, truth):
        for track_id, shape in items.items():
            assert tuple(float(shape.attrib[name]) for name in ("xtl", "ytl", "xbr", "ybr")) == mask_box(masks[track_id])


def test_polygons_cover_the_masks(tmp_path: Path, trace: Path) -> None:
    """Polygons join regions and fill holes. They lose no pixel, and the pixels they add are counted."""
    sentences = export(trace, "cvat", tmp_path)
    added = 0
    truth = truth_of(trace)
    for items, masks in zip(shapes(read(tmp_path), "id"), truth, strict=True):
        assert sorted(items) == sorted(masks)
        for track_id, shape in items.items():
            points = [[float(number) for number in pair.split(",")] for pair in shape.attrib["points"].split(";")]
            drawn = np.zeros(masks[track_id].shape, np.uint8)
            cv2.fillPoly(drawn, [np.floor(points).astype(np.int32)], 1)
            assert not (masks[track_id] & (drawn == 0)).any()
            added += int(np.count_nonzero((drawn > 0) & ~masks[track_id]))
            assert len(points) >= 3, "CVAT refuses fewer points"
    counted = [int(line.split()[1]) for line in sentences if "pixels added by polygons" in line]
    assert sum(counted) == added


def row_major(shape: ElementTree.Element, height: int, width: int) -> Mask:
    """Decode a mask by CVAT's documentation: runs of background and mask by turns, row by row in the box of the mask."""
    values: list[int] = []
    for number, run in enumerate(map(int, shape.attrib["rle"].split(","))):
        values += [number % 2] * run
    left, top, columns, rows = (int(shape.attrib[name]) for name in ("left", "top", "width", "height"))
    mask = np.zeros((height, width), bool)
    mask[top : top + rows, left : left + columns] = np.array(values, bool).reshape(rows, columns)
    return mask


def test_masks_are_exact(tmp_path: Path, trace: Path) -> None:
    """CVAT keeps only the first mask of a track, so each mask has a track of its own; the group is the object."""
    export(trace, "cvat-mask", tmp_path)
    truth = truth_of(trace)
    root = read(tmp_path)
    assert len({track.attrib["id"] for track in root.findall("track")}) == sum(map(len, truth))
    height, width = (int(root.findtext(f"meta/task/original_size/{name}") or 0) for name in ("height", "width"))
    found: Truth = [{} for _ in truth]
    for track in root.findall("track"):
        first, *rest = track
        assert [shape.attrib["outside"] for shape in rest] in ([], ["1"])
        found[int(first.attrib["frame"])][int(track.attrib["group_id"])] = row_major(first, height, width)
    check_equal(found, truth)


def test_labels_survive_xml(tmp_path: Path, odd: Path) -> None:
    """Markup, quotes and line ends are escaped."""
    export(odd, "cvat", tmp_path)
    root = read(tmp_path)
    assert {int(track.attrib["id"]): track.attrib["label"] for track in root.findall("track")} == {**LABELS, 6: "object"}
    assert root.findtext("meta/task/original_size/width") == str(WIDTH)
    assert root.findtext("meta/task/original_size/height") == str(HEIGHT)


@pytest.mark.parametrize("name", ["cvat", "labelstudio"])
def test_control_characters_do_not_break_xml(tmp_path: Path, odd: Path, name: str) -> None:
    """XML cannot hold them, not even escaped; one in a label would make the whole file unreadable."""
    path = tmp_path / "trace.jsonl"
    path.write_text(odd.read_text().replace('"red mug"', '"red\\u0007 mug\\u0000"'))
    export(path, name, tmp_path / "out")
    (file,) = (tmp_path / "out").glob("*.xml")
    assert "red\N{REPLACEMENT CHARACTER} mug\N{REPLACEMENT CHARACTER}" in {
        value for item in ElementTree.parse(file).iter() for value in item.attrib.values()
    }
