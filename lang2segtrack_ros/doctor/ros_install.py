# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Checks of the ROS 2 installation and of its communication settings."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from lang2segtrack_ros.doctor.finding import Finding, Level, probe
from lang2segtrack_ros.ros.support import transports

MESSAGE_PACKAGES = ("sensor_msgs", "vision_msgs", "visualization_msgs", "diagnostic_msgs", "tf2_msgs", "lifecycle_msgs")
FAST_DDS = "rmw_fastrtps_cpp"
MIN_SHARED_MEMORY = 64 * 2**20
MIN_RECEIVE_BUFFER = 10 * 2**20
"""Minimum sizes for large images, in bytes."""


def check_rclpy(environment: Mapping[str, str] | None = None, distributions: list[str] | None = None) -> Finding:
    """Check that rclpy works.

    Args:
        environment: environment variables of the import. None takes those of this process.
        distributions: names of the installed ROS distributions. None lists /opt/ros.
    """
    environment = os.environ if environment is None else environment
    failure = probe("import rclpy; rclpy.init(); rclpy.shutdown()", environment)
    if not failure:
        return Finding(Level.OK, "ROS 2", f"rclpy works (ROS_DISTRO {environment.get('ROS_DISTRO', 'not set')})")
    folder = Path("/opt/ros")
    installed = distributions if distributions is not None else sorted(item.name for item in folder.iterdir()) if folder.is_dir() else []
    if environment.get("ROS_DISTRO") and "No module named" not in failure:
        python = f"{sys.version_info.major}.{sys.version_info.minor}"
        advice = f"this is Python {python}: use the version that ROS {environment['ROS_DISTRO']} was built for"
    elif installed:
        advice = f"source /opt/ros/{installed[-1]}/setup.bash, then your workspace's install/setup.bash"
    else:
        advice = "install ROS 2 (Humble, Jazzy, Kilted or Lyrical) and source it, or use `make setup`"
    return Finding(Level.ERROR, "ROS 2", f"rclpy does not work: {failure}", advice)


def check_messages(package: str, environment: Mapping[str, str] | None = None) -> Finding:
    """Check that a package of messages can be imported.

    Args:
        package: name of the ROS package.
        environment: environment variables of the import. None passes those of this process.
    """
    failure = probe(f"import {package}.msg", environment)
    if not failure:
        return Finding(Level.OK, package, "can be imported")
    if package == "lang2segtrack":
        advice = "build it (colcon build --packages-select lang2segtrack) and source install/setup.bash"
    else:
        advice = f"sudo apt install ros-$ROS_DISTRO-{package.replace('_', '-')}"
    return Finding(Level.ERROR, package, f"its messages cannot be imported: {failure}", advice)


def check_composition(environment: Mapping[str, str] | None = None) -> Finding:
    """Check the services of `component_container`. The other nodes work without them.

    Args:
        environment: environment variables of the import. None passes those of this process.
    """
    package = "composition_interfaces"
    failure = probe(f"import {package}.srv", environment)
    if not failure:
        return Finding(Level.OK, package, "can be imported")
    text = f"its services cannot be imported, so component_container does not start: {failure}"
    return Finding(Level.WARNING, package, text, f"sudo apt install ros-$ROS_DISTRO-{package.replace('_', '-')}")


def check_numpy_in_messages(environment: Mapping[str, str] | None = None) -> Finding:
    """Check that messages with arrays can be serialized.

    Compiled code of ROS handles fixed-size arrays and fits one NumPy only. With another NumPy, the first such message fails.

    Args:
        environment: environment variables of the probe. None passes those of this process.
    """
    code = (
        "from rclpy.serialization import serialize_message, deserialize_message as back; from sensor_msgs.msg import CameraInfo as C; "
        "back(serialize_message(C(k=[1.0] * 9)), C)"
    )
    failure = probe(code, environment)
    if failure:
        advice = 'use the NumPy that ROS was built with: pip install "numpy<2" on Humble and Jazzy'
        return Finding(Level.ERROR, "NumPy in messages", f"a message with an array cannot be serialized: {failure}", advice)
    return Finding(Level.OK, "NumPy in messages", "messages with arrays can be serialized")


def check_transport(environment: Mapping[str, str], shared_memory_free: int | None, receive_buffer: int | None) -> list[Finding]:
    """Check that the transport can deliver large images.

    Args:
        environment: environment variables of the process.
        shared_memory_free: free bytes of /dev/shm, None if there is no shared memory.
        receive_buffer: net.core.rmem_max in bytes, None if unknown.
    """
    middleware = environment.get("RMW_IMPLEMENTATION") or FAST_DDS
    findings = []
    if middleware == FAST_DDS:
        chosen = transports.chosen(environment)
        if chosen:
            findings.append(Finding(Level.OK, "transport", f"Fast DDS with {', '.join(f'{name}={environment[name]}' for name in chosen)}"))
        else:
            findings.append(
                Finding(
                    Level.WARNING,
                    "transport",
                    "the default transports of Fast DDS lose large images with sensor-data QoS, and delay them with other QoS",
                    f"for the camera and for track_node (track.launch.py does this for its own nodes): {transports.advice(environment)}",
                )
            )
        if shared_memory_free is not None and shared_memory_free < MIN_SHARED_MEMORY:
            text = f"/dev/shm has {shared_memory_free / 2**20:.0f} MB left, and images need shared memory"
            findings.append(Finding(Level.WARNING, "shared memory", text, "start the container with --shm-size=1g or --ipc=host"))
    else:
        findings.append(Finding(Level.OK, "transport", middleware))
        if receive_buffer is not None and receive_buffer < MIN_RECEIVE_BUFFER:
            text = f"net.core.rmem_max is {receive_buffer} bytes, less than a large image: fragments may be lost"
            findings.append(Finding(Level.WARNING, "receive buffer", text, f"sudo sysctl -w net.core.rmem_max={2**31 - 1}"))
    return findings


def check_local_transport() -> list[Finding]:
    """Run `check_transport` on this machine."""
    shared = Path("/dev/shm")
    buffer = Path("/proc/sys/net/core/rmem_max")
    return check_transport(
        os.environ,
        shutil.disk_usage(shared).free if shared.is_dir() else None,
        int(buffer.read_text()) if buffer.is_file() else None,
    )


def check_discovery(environment: Mapping[str, str]) -> Finding:
    """Check the settings of DDS discovery.

    Args:
        environment: environment variables of the process.
    """
    domain = environment.get("ROS_DOMAIN_ID") or "0"
    reach = environment.get("ROS_AUTOMATIC_DISCOVERY_RANGE", "")
    if not domain.isdigit() or int(domain) > 232:
        return Finding(
            Level.ERROR,
            "discovery",
            f'ROS_DOMAIN_ID is "{domain}"',
            "set ROS_DOMAIN_ID to a number from 0 to 101, the same on all machines",
        )
    if reach.upper() == "OFF":
        return Finding(
            Level.ERROR, "discovery", "ROS_AUTOMATIC_DISCOVERY_RANGE is OFF: no other node is found", "set it to SUBNET or LOCALHOST"
        )
    if reach.upper() == "LOCALHOST" or environment.get("ROS_LOCALHOST_ONLY") == "1":
        text = f"domain {domain}, this machine only: cameras on other machines are not found"
        return Finding(Level.OK, "discovery", text)
    return Finding(Level.OK, "discovery", f"domain {domain}")
