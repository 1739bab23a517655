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

PROFILE = Path(__file__).with_suffix(".xml")
CHOICES = ("FASTDDS_BUILTIN_TRANSPORTS", "FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE")
"""Environment variables by which a user chooses transports."""
ADVICE = f"export FASTDDS_DEFAULT_PROFILES_FILE={PROFILE} FASTRTPS_DEFAULT_PROFILES_FILE={PROFILE}"


def large_images(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables to set for processes that exchange images; none where the user has chosen already. Humble's has the older name."""
    if any(environment.get(name) for name in CHOICES):
        return {}
    return dict.fromkeys(CHOICES[1:], str(PROFILE))
