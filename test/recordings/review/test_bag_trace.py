# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""A tracked bag is reviewed in a folder beside it, which the same bag always fills with the same bytes."""

from __future__ import annotations

from pathlib import Path

import pytest

from lang2segtrack_ros.cli.main import main
from lang2segtrack_ros.history.records import read_frame
from lang2segtrack_ros.io.exports.trace import TraceError
from lang2segtrack_ros.recordings.review.bag_trace import write_bag_trace
from lang2segtrack_ros.recordings.review.edits import Delete, Rename
from lang2segtrack_ros.recordings.review.review import Review
from test.cli.serving import serving
from test.io.exports.traces import check_equal, odd_results, truth_of, write_trace
from test.recordings.bags.test_tracks import record_tracks

TOY = ("--segmenter", "toy", "--detector", "toy", "--device", "cpu")


def test_trace_has_the_objects_of_the_bag(tmp_path: Path) -> None:
    """Images without a track have no size in the message, also the first one. The records can be read as results."""
    order = [4, 5, 6, 7, 8, 9]
    bag = record_tracks(tmp_path / "bag", {"/tracks": order})
    folder, sentences = write_bag_trace(bag)
    assert (folder, sentences) == (tmp_path / "bag.review", [])
    results = [odd_results()[position] for position in order]
    check_equal(truth_of(folder / "tracks.jsonl"), truth_of(write_trace(tmp_path / "expected.jsonl", results)))
    review = Review(folder)
    review.add(Rename(1, "cup"))
    review.add(Delete(2, 1, 1))
    assert {(result.height, result.width) for result in map(read_frame, review.edited.records())} == {(37, 53)}
    review.close()
    before = (folder / "tracks.jsonl").read_bytes()
    assert write_bag_trace(bag)[0] == folder
    assert (folder / "tracks.jsonl").read_bytes() == before
    review = Review(folder)
    assert [edit for _, edit in review.edited.edits] == [Rename(1, "cup"), Delete(2, 1, 1)]
    review.close()


def test_bag_with_several_topics_leaves_no_folder(tmp_path: Path) -> None:
    bag = record_tracks(tmp_path / "bag", {"/left/tracks": [0, 1], "/right/tracks": [5]})
    with pytest.raises(TraceError, match="choose one with --topic"):
        write_bag_trace(bag)
    assert not (tmp_path / "bag.review").exists()
    write_bag_trace(bag, "/left/tracks")


def test_tracked_bag_is_reviewed_with_its_images(tmp_path: Path) -> None:
    """From a toy bag over `lang2segtrack bag` to the page: the images come from the bag itself, by their stamps."""
    assert main(["toy-bag", "easy", str(tmp_path / "toy"), "--frames", "6", "--size", "320x240"]) == 0
    assert main(["bag", str(tmp_path / "toy"), "--text", "green star.", *TOY, "--out", str(tmp_path / "tracked")]) == 0
    with serving(tmp_path / "tracked", "--segmenter", "toy") as served:
        state = served.request("api/state")[1]
        assert state["has_images"] is True
        assert state["images"] == 6
        assert served.request("api/image?number=5")[0] == 200
        assert served.request("api/edit", {"edit": "rename", "track": 1, "label": "cup"})[0] == 200
    assert main(["review", str(tmp_path / "tracked"), "--apply", str(tmp_path / "edited")]) == 0
    assert '"label":"cup"' in (tmp_path / "edited" / "tracks.jsonl").read_text()
