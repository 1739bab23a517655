# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Tracks of bags that a user has recorded from the topics of the node."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest
from rosbags.rosbag2 import StoragePlugin, Writer

from lang2segtrack_ros.io.exports.trace import Trace, TraceError
from lang2segtrack_ros.io.result_messages import TRACKS
from lang2segtrack_ros.recordings.bags.messages import MessageCodec
from lang2segtrack_ros.recordings.bags.reading import BagInput
from lang2segtrack_ros.recordings.bags.tracks import tracks_topic
from lang2segtrack_ros.recordings.exporting import TraceOptions, open_trace
from test.io.exports.traces import FIRST_NS, check_equal, odd_results, truth_of, write_trace
from test.recordings.bags.making import header

PERIOD_NS = 100_000_000


def record_tracks(path: Path, topics: Mapping[str, Iterable[int]]) -> Path:
    """Write a bag with results of the odd trace, by their positions, on each topic."""
    codec = MessageCodec()
    results = odd_results()
    with Writer(path, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        for topic, positions in topics.items():
            connection = writer.add_connection(topic, TRACKS, typestore=codec.store)
            for time, position in enumerate(positions):
                result = results[position]
                message = codec.make.tracks(result.tracks, header(codec.store.types, result.stamp_ns))
                writer.write(connection, FIRST_NS + time * PERIOD_NS, codec.encode("tracks", message))
    return path


def test_bag_has_the_same_objects_as_its_results(tmp_path: Path) -> None:
    """Images without a track have no size in the message, also the first one. A hidden object has no box."""
    order = [4, 5, 6, 7, 8, 9]
    bag = record_tracks(tmp_path / "bag", {"/tracks": order})
    with open_trace(bag, TraceOptions(), tmp_path) as (trace, sentences):
        found = [{item.id: item.mask for item in frame.objects} for frame in trace.frames()]
        assert [(frame.height, frame.width) for frame in trace.frames()] == [(37, 53)] * 6
        assert trace.info.name == "bag"
    results = [odd_results()[position] for position in order]
    check_equal(found, truth_of(write_trace(tmp_path / "tracks.jsonl", results)))
    assert sentences == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bag", "tracks.jsonl"]


def test_repeated_refinements_are_counted(tmp_path: Path) -> None:
    """Each refinement publishes the images of the history again."""
    bag = record_tracks(tmp_path / "bag", {"/tracks_refined": [0, 1, 2, 1, 2, 3]})
    with open_trace(bag, TraceOptions(), tmp_path) as (trace, sentences):
        assert trace.info.length == 4
    assert sentences == ["/tracks_refined: 2 messages whose stamp is not later than the one before were left out"]


@pytest.mark.parametrize(
    ("topics", "expected"),
    [
        ({"/tracks": [0, 1], "/tracks_refined": [0, 1]}, "/tracks_refined"),
        ({"/tracks": [0, 1, 2], "/tracks_refined": [0, 1]}, "/tracks"),  # the node has refined a part only
        ({"/robot/tracks_refined": [0]}, "/robot/tracks_refined"),
    ],
)
def test_topic_that_covers_the_recording_is_chosen(tmp_path: Path, topics: dict[str, list[int]], expected: str) -> None:
    """Refined tracks are better, but a part of the recording is less than the whole."""
    with BagInput(record_tracks(tmp_path / "bag", topics)) as bag:
        assert tracks_topic(bag, "") == expected


def test_several_topics_need_a_choice(tmp_path: Path) -> None:
    """Two cameras have two trackers."""
    bag = record_tracks(tmp_path / "bag", {"/left/tracks": [0, 1], "/right/tracks": [5]})
    message = "has several topics of tracks; choose one with --topic: /left/tracks, /right/tracks"
    with pytest.raises(TraceError, match=message), open_trace(bag, TraceOptions(), tmp_path):
        pass
    with open_trace(bag, TraceOptions(topic="/left/tracks"), tmp_path) as (trace, _):
        assert isinstance(trace, Trace)
        assert trace.info.length == 2
