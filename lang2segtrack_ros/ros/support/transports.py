# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Transports of Fast DDS, ROS 2's default middleware, that carry large images without delay.

By default, a process sends through half a megabyte of shared memory. Fragments of a larger image are lost in it. With sensor-data QoS
they are lost for good. With reliable QoS they are requested again, which costs 12 ms each time; an image of 1280x720 pixels needs three
or four times. The profile beside this file gives each process 16 MB and leaves UDP for other machines unchanged. It takes effect at the
sender of images, so the camera needs it too.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

PROFILE = Path(__file__).with_name("fast_dds.xml")
CHOICES = ("FASTDDS_BUILTIN_TRANSPORTS", "FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE")
"""Environment variables by which a user selects transports."""
FAST_DDS_2 = ("humble", "iron", "jazzy")


def chosen(environment: Mapping[str, str]) -> list[str]:
    """Return the names of the variables by which the user has already selected transports."""
    return [name for name in CHOICES if environment.get(name)]


def large_images(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment variable to set for processes that exchange images.

    Only one variable is set: Kilted knows both names and would load the profile twice.

    Args:
        environment: environment variables. ROS_DISTRO decides the name.
    """
    return {CHOICES[2] if environment.get("ROS_DISTRO") in FAST_DDS_2 else CHOICES[1]: str(PROFILE)}


def advice(environment: Mapping[str, str]) -> str:
    """Return the command that a user runs in the shells of both sides."""
    ((name, value),) = large_images(environment).items()
    return f"export {name}={value}"
