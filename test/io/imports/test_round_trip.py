# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Exports, read again: the same masks or boxes, ids, labels and images, and prompts that `lang2segtrack track` accepts."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from lang2segtrack_ros.cli.prompt_files import read_prompts
from lang2segtrack_ros.io.exports.trace import Trace
from lang2segtrack_ros.io.imports.prompts import write_prompts
from lang2segtrack_ros.io.imports.registry import READERS
from lang2segtrack_ros.types.prompts import BoxPrompt, MaskPrompt
from lang2segtrack_ros.types.rle import mask_box
from test.io.exports.conftest import odd, trace, tracked
from test.io.exports.traces import LABELS, Truth, check_equal, export, truth_of, without_overlaps

__all__ = ["odd", "trace", "tracked"]


def imported(source: Path, name: str, folder: Path) -> Trace:
    """Import labels, and return the trace that was written."""
    folder.mkdir()
    write_prompts(READERS[name](source, ""), folder)
    return Trace(folder / "tracks.jsonl", "imported")


def masks(read: Trace) -> Truth:
    return [{item.id: item.mask for item in frame.objects} for frame in read.frames()]


@pytest.mark.parametrize(("written", "name"), [("coco", "coco"), ("ytvis", "ytvis"), ("cvat-mask", "cvat")])
def test_masks_are_the_same(tmp_path: Path, trace: Path, written: str, name: str) -> None:
    """These formats hold each mask exactly."""
    export(trace, written, tmp_path / "out")
    check_equal(masks(imported(tmp_path / "out", name, tmp_path / "in")), truth_of(trace))


def test_results_of_youtube_vis_have_other_runs(tmp_path: Path, odd: Path) -> None:
    """The published ground truth has lists of runs, and results have compressed ones. Both are read."""
    export(odd, "ytvis", tmp_path / "out")
    file = tmp_path / "out" / "annotations" / "instances.json"
    data = json.loads(file.read_text())
    for annotation, result in zip(data["annotations"], json.loads((tmp_path / "out" / "results" / "results.json").read_text())):
        annotation["segmentations"] = result["segmentations"]
    file.write_text(json.dumps(data))
    check_equal(masks(imported(file, "ytvis", tmp_path / "in")), truth_of(odd))


def test_masks_of_davis_have_no_overlaps(tmp_path: Path, trace: Path) -> None:
    """Its pictures hold one object for each pixel."""
    export(trace, "davis", tmp_path / "out")
    check_equal(masks(imported(tmp_path / "out", "davis", tmp_path / "in")), without_overlaps(trace))


@pytest.mark.parametrize(("written", "name"), [("mot", "mot"), ("cvat-box", "cvat")])
def test_boxes_are_the_same(tmp_path: Path, trace: Path, written: str, name: str) -> None:
    """Formats of boxes give objects without masks, and their prompts are boxes."""
    export(trace, written, tmp_path / "out")
    read = imported(tmp_path / "out", name, tmp_path / "in")
    for frame, expected in zip(read.frames(), truth_of(trace), strict=True):
        assert {item.id: item.box for item in frame.objects} == {track_id: mask_box(mask) for track_id, mask in expected.items()}
        assert not any(item.area for item in frame.objects)
    assert all(isinstance(item.prompt, BoxPrompt) for item in read_prompts(tmp_path / "in" / "prompts.yaml"))


def test_polygons_come_back_without_holes(tmp_path: Path, trace: Path) -> None:
    """A polygon of CVAT loses no pixel of a mask. It fills the hole of object 1, and joins the regions of object 2."""
    export(trace, "cvat", tmp_path / "out")
    for found, expected in zip(masks(imported(tmp_path / "out", "cvat", tmp_path / "in")), truth_of(trace), strict=True):
        assert sorted(found) == sorted(expected)
        for track_id, mask in expected.items():
            assert not (mask & ~found[track_id]).any()
            assert np.count_nonzero(found[track_id]) - np.count_nonzero(mask) <= (30 if track_id in (1, 2) else 0)


@pytest.mark.parametrize("name", ["coco", "ytvis", "davis", "cvat"])
def test_prompts_are_the_first_appearances(tmp_path: Path, odd: Path, name: str) -> None:
    """Each object is prompted once, on its first image, with its label, whatever characters it has."""
    export(odd, name, tmp_path / "out")
    imported(tmp_path / "out", name, tmp_path / "in")
    prompts = read_prompts(tmp_path / "in" / "prompts.yaml")
    assert [item.at for item in prompts] == [0] * 5
    labels = [item.prompt.label for item in prompts if isinstance(item.prompt, MaskPrompt)]
    names = {**LABELS, 6: "object"}
    assert labels == [" ".join(label.split()) if name == "davis" else label for label in names.values()], "labels.txt of davis has lines"
    first = truth_of(odd)[0] if name != "davis" else without_overlaps(odd)[0]
    exact = [track_id for track_id in first if not (name == "cvat" and track_id in (1, 2))]
    by_id = dict(zip(sorted(first), prompts))
    for track_id in exact:
        prompt = by_id[track_id].prompt
        assert isinstance(prompt, MaskPrompt)
        assert (np.asarray(prompt.mask) == first[track_id]).all()


def test_a_late_object_is_prompted_on_its_image(tmp_path: Path, odd: Path) -> None:
    """Image numbers of prompts count from 0, as those of the trace."""
    lines = odd.read_text().splitlines()
    late = [line if number > 2 else json.dumps({**json.loads(line), "tracks": []}) for number, line in enumerate(lines)]
    (tmp_path / "tracks.jsonl").write_text("".join(f"{line}\n" for line in late))
    export(tmp_path / "tracks.jsonl", "mot", tmp_path / "out")
    imported(tmp_path / "out", "mot", tmp_path / "in")
    assert [item.at for item in read_prompts(tmp_path / "in" / "prompts.yaml")] == [3, 3, 3, 5]  # 3 returns on image 4, which is empty
