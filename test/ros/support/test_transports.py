# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The profile is one that the middleware takes, under the name that the distribution knows."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from lang2segtrack_ros.ros.support import transports

NODE = """
import rclpy
rclpy.init()
node = rclpy.create_node("any")
for line in open("/proc/self/maps"):
    if "/fastdds_" in line:
        begin, end = line.split()[0].split("-")
        print("shared", int(end, 16) - int(begin, 16))
rclpy.shutdown()
"""


def test_the_name_fits_the_distribution() -> None:
    assert list(transports.large_images({"ROS_DISTRO": "humble"})) == ["FASTRTPS_DEFAULT_PROFILES_FILE"]
    assert list(transports.large_images({"ROS_DISTRO": "lyrical"})) == ["FASTDDS_DEFAULT_PROFILES_FILE"]
    assert transports.advice({"ROS_DISTRO": "kilted"}) == f"export FASTDDS_DEFAULT_PROFILES_FILE={transports.PROFILE}"


def test_what_the_user_has_chosen_is_seen() -> None:
    assert transports.chosen({"FASTDDS_BUILTIN_TRANSPORTS": "UDPv4"}) == ["FASTDDS_BUILTIN_TRANSPORTS"]
    assert transports.chosen({"FASTDDS_BUILTIN_TRANSPORTS": ""}) == []


@pytest.mark.skipif(os.environ.get("RMW_IMPLEMENTATION", "rmw_fastrtps_cpp") != "rmw_fastrtps_cpp", reason="another middleware is chosen")
def test_the_middleware_takes_the_profile() -> None:
    """It prints errors about a profile that it does not understand, and goes on without."""
    given = transports.large_images(os.environ)
    environment = {name: value for name, value in os.environ.items() if name not in transports.CHOICES}
    ended = subprocess.run([sys.executable, "-c", NODE], env={**environment, **given}, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stderr
    assert not re.search("XMLPARSER|deprecated", ended.stdout + ended.stderr)
    assert max(int(line.split()[1]) for line in ended.stdout.splitlines() if line.startswith("shared")) >= 16 * 2**20
