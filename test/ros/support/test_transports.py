# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Fast DDS profile: the middleware accepts it under the environment variable of the distribution."""

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
    if "/fastdds_" in line or "/fastrtps_" in line:  # Fast DDS 3 or 2
        begin, end = line.split()[0].split("-")
        print("shared", int(end, 16) - int(begin, 16))
rclpy.shutdown()
"""


def test_variable_fits_the_distribution() -> None:
    assert list(transports.large_images({"ROS_DISTRO": "humble"})) == ["FASTRTPS_DEFAULT_PROFILES_FILE"]
    assert list(transports.large_images({"ROS_DISTRO": "lyrical"})) == ["FASTDDS_DEFAULT_PROFILES_FILE"]
    assert transports.advice({"ROS_DISTRO": "kilted"}) == f"export FASTDDS_DEFAULT_PROFILES_FILE={transports.PROFILE}"


def test_transports_chosen_by_the_user_are_found() -> None:
    assert transports.chosen({"FASTDDS_BUILTIN_TRANSPORTS": "UDPv4"}) == ["FASTDDS_BUILTIN_TRANSPORTS"]
    assert transports.chosen({"FASTDDS_BUILTIN_TRANSPORTS": ""}) == []


@pytest.mark.skipif(os.environ.get("RMW_IMPLEMENTATION", "rmw_fastrtps_cpp") != "rmw_fastrtps_cpp", reason="another middleware is in use")
def test_middleware_accepts_the_profile() -> None:
    """The middleware only prints errors about an invalid profile and continues without it."""
    variables = transports.large_images(os.environ)
    environment = {name: value for name, value in os.environ.items() if name not in transports.CHOICES}
    done = subprocess.run([sys.executable, "-c", NODE], env={**environment, **variables}, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert not re.search("XMLPARSER|deprecated", done.stdout + done.stderr)
    assert max(int(line.split()[1]) for line in done.stdout.splitlines() if line.startswith("shared")) >= 16 * 2**20
