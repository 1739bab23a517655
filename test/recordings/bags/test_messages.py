# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The messages in bags equal the messages of the node."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from rclpy.serialization import deserialize_message

from lang2segtrack.msg import TrackArray
from lang2segtrack_ros.recordings.bag_types import DEFINITIONS
from lang2segtrack_ros.recordings.bags.messages import MessageCodec
from test.io.test_rendering import make_track
from test.recordings.bags.making import header

ROOT = Path(__file__).resolve().parents[3]


def fields(text: str) -> list[str]:
    """Return the lines of a definition without comments and extra spaces."""
    return [" ".join(line.split()) for line in re.sub(r"#.*", "", text).splitlines() if line.strip()]


@pytest.mark.parametrize("name", DEFINITIONS)
def test_definition_equals_msg_file(name: str) -> None:
    """The package and the bags must not differ after a change of a message."""
    assert fields(DEFINITIONS[name]) == fields((ROOT / "msg" / f"{name.rpartition('/')[2]}.msg").read_text())


def test_rclpy_reads_serialized_messages() -> None:
    """Users read the bags with ROS, so the test uses the deserializer of rclpy instead of rosbags."""
    codec = MessageCodec()
    mask = np.zeros((6, 8), bool)
    mask[2:4, 3:7] = True
    track = make_track(mask, 5)
    made = codec.make.tracks([track], header(codec.store.types, 1_000_000_007))
    read = deserialize_message(codec.encode("tracks", made), TrackArray)
    assert (read.header.stamp.sec, read.header.stamp.nanosec) == (1, 7)
    assert (read.tracks[0].id, read.tracks[0].label, read.tracks[0].mask.counts) == (5, "cup", track.rle.counts)
