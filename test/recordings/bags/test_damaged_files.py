# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Damaged files of bags: the sentence names the file, and the other files are read."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest
from rosbags.rosbag2 import CompressionMode, StoragePlugin

from lang2segtrack_ros.recordings.bag_types import BagError
from lang2segtrack_ros.recordings.bags.reading import BagInput
from lang2segtrack_ros.toyworld.scene import Scene
from test.recordings.bags.making import TOPIC, record


@pytest.mark.parametrize("keep", [0.0, 0.5, 1.0])
def test_damaged_compressed_file_is_refused_by_name(tmp_path: Path, scene: Scene, keep: float) -> None:
    """The decompressor raises types of its own for a cut, an empty and a changed file; one of them left the command."""
    source = record(tmp_path / "in", scene, 3, compression=CompressionMode.FILE)
    (file,) = source.glob("*.zst*")
    data = bytearray(file.read_bytes())
    data[4:40] = bytes(36)
    file.write_bytes(data[: int(len(data) * keep)])
    with pytest.raises(BagError, match=f"{file.name} is compressed, and the bag is damaged"):
        BagInput(source)


def test_damaged_chunk_leaves_the_other_files_readable(tmp_path: Path, scene: Scene) -> None:
    """Without its end, rosbags scans the second file, and the error of the decompressor left the command."""
    bag = tmp_path / "bag"
    bag.mkdir()
    for number in range(2):
        record(tmp_path / str(number), scene, 3, compression=CompressionMode.STORAGE)
        shutil.copy(tmp_path / str(number) / f"{number}.mcap", bag)
    data = bytearray((bag / "1.mcap").read_bytes())
    position = data.index(b"\x28\xb5\x2f\xfd") + 4
    data[position : position + 40] = bytes(40)
    (bag / "1.mcap").write_bytes(data[:-50])
    with BagInput(bag) as reader:
        assert sum(1 for _ in reader.messages(TOPIC)) == 3
        assert any("1.mcap" in sentence for sentence in reader.damage)


def test_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "clip.avi").write_bytes(b"RIFF")
    with pytest.raises(BagError, match=r"clip\.avi is not a recording"):
        BagInput(tmp_path / "clip.avi")


def test_topic_with_a_damaged_row_is_left_out_by_name(tmp_path: Path, scene: Scene) -> None:
    """Its row reads as NULL. The topic without a name then ended the copy of all others with an error of SQLite."""
    file = record(tmp_path / "in", scene, 12, StoragePlugin.SQLITE3) / "in.db3"
    for statement in (
        "UPDATE sqlite_master SET sql = replace(sql, 'NOT NULL', '') WHERE name = 'topics'",
        "UPDATE topics SET name = NULL, type = NULL WHERE name = '/chatter'",
    ):
        database = sqlite3.connect(file)
        database.execute("PRAGMA writable_schema=ON")
        database.execute(statement)
        database.commit()
        database.close()
    data = file.read_bytes()
    file.write_bytes(data[: int(len(data) * 0.8)])  # rosbags refuses it
    with BagInput(tmp_path / "in") as bag:
        assert [item.topic for item in bag.connections] == [TOPIC]
        assert sum(1 for _ in bag.messages(TOPIC)) > 6
        assert any("the name or type of topic 2 is lost" in sentence for sentence in bag.damage)
