# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Transports of Fast DDS, ROS 2's usual middleware, through which large images arrive at once.

By default a process sends through half a megabyte of shared memory. Pieces of a larger image are lost in it: for good at sensor-data
QoS; with a reliable one they are asked for again, at 12 ms a time (an image of 1280x720 pixels: three or four times). The profile beside
this file gives each process 16 MB, and leaves UDP for other machines as it is. It counts where images are sent, so the camera needs it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

PROFILE = Path(__file__).with_name("fast_dds.xml")
CHOICES = ("FASTDDS_BUILTIN_TRANSPORTS", "FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE")
"""Environment variables by which a user chooses transports."""
FAST_DDS_2 = ("humble", "iron", "jazzy")


def chosen(environment: Mapping[str, str]) -> list[str]:
    """The variables by which the user has chosen."""
    return [name for name in CHOICES if environment.get(name)]


def large_images(environment: Mapping[str, str]) -> dict[str, str]:
    """The variable to set for processes that exchange images. One alone: Kilted knows both names, and loads a profile twice then."""
    return {CHOICES[2] if environment.get("ROS_DISTRO") in FAST_DDS_2 else CHOICES[1]: str(PROFILE)}


def advice(environment: Mapping[str, str]) -> str:
    """What a user types, on both sides."""
    ((name, value),) = large_images(environment).items()
    return f"export {name}={value}"
