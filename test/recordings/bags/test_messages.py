# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The messages of bags are those of the node."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from rclpy.serialization import deserialize_message

from lang2segtrack.msg import TrackArray
from lang2segtrack_ros.recordings.bag_types import DEFINITIONS
from lang2segtrack_ros.recordings.bags.messages import Messages
from test.io.test_rendering import make_track
from test.recordings.bags.making import header

ROOT = Path(__file__).resolve().parents[3]


def fields(text: str) -> list[str]:
    """The lines of a definition without comments and spacing."""
    return [" ".join(line.split()) for line in re.sub(r"#.*", "", text).splitlines() if line.strip()]


@pytest.mark.parametrize("name", DEFINITIONS)
def test_definitions_are_those_of_the_package(name: str) -> None:
    assert fields(DEFINITIONS[name]) == fields((ROOT / "msg" / f"{name.rpartition('/')[2]}.msg").read_text())


def test_ros_reads_what_we_write() -> None:
    """The real deserialiser of rclpy, not the library that wrote it."""
    messages = Messages()
    mask = np.zeros((6, 8), bool)
    mask[2:4, 3:7] = True
    track = make_track(mask, 5)
    made = messages.make.tracks([track], header(messages.store.types, 1_000_000_007))
    back = deserialize_message(messages.bytes_of("tracks", made), TrackArray)
    assert (back.header.stamp.sec, back.header.stamp.nanosec) == (1, 7)
    assert (back.tracks[0].id, back.tracks[0].label, back.tracks[0].mask.counts) == (5, "cup", track.rle.counts)
