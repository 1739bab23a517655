# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""`lang2segtrack doctor`: everything that can be wrong before a robot moves, and what to do about it."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator

from lang2segtrack_ros.doctor import ros_install, software
from lang2segtrack_ros.doctor.finding import Finding, Level

CAMERA = "/camera/camera"


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the subcommand."""
    parser = commands.add_parser("doctor", help="look for what is wrong with packages, GPU, weights, ROS and the camera's topics")
    parser.add_argument("--segmenter", default="sam2.1-tiny", help="SAM 2 weights to look for (default: %(default)s)")
    parser.add_argument("--detector", default="grounding-dino-tiny", help="Grounding DINO weights, likewise (default: %(default)s)")
    parser.add_argument("--color", default=f"{CAMERA}/color/image_raw", help="colour images (default: %(default)s)")
    parser.add_argument(
        "--depth", default=f"{CAMERA}/aligned_depth_to_color/image_raw", help="depth images, '' for none (default: %(default)s)"
    )
    parser.add_argument("--camera-info", default=f"{CAMERA}/color/camera_info", help="of the colour camera (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=3.0, help="how long to listen to the camera (default: %(default)s)")
    parser.add_argument("--no-camera", action="store_true", help="leave the camera's topics out")
    parser.set_defaults(run=run)


def look(options: argparse.Namespace) -> Iterator[tuple[str, Finding]]:
    """All findings, each with the heading it belongs under, as they are made."""
    for requirement, module in software.REQUIREMENTS.items():
        if module == "torch":
            yield "packages", software.check_python()
        yield "packages", software.check_package(requirement, module)
    yield "packages", software.check_torchvision()
    yield "machine", software.look_at_gpu()
    yield "weights", software.check_weights(options.segmenter, "segmenter")
    yield "weights", software.check_weights(options.detector, "detector")
    ros = ros_install.check_rclpy()
    yield "ROS 2", ros
    if ros.level is Level.ERROR:
        return
    packages = [ros_install.check_messages(name) for name in (*ros_install.MESSAGE_PACKAGES, "lang2segtrack")]
    yield from (("ROS 2", finding) for finding in packages)
    yield "ROS 2", ros_install.check_composition()
    yield "ROS 2", ros_install.check_numpy_in_messages()
    yield from (("ROS 2", finding) for finding in ros_install.look_at_transport())
    yield "ROS 2", ros_install.check_discovery(os.environ)
    if options.no_camera or any(finding.level is Level.ERROR for finding in packages):
        return
    from lang2segtrack_ros.doctor.graph import look_at_graph

    yield from (("camera", item) for item in look_at_graph(options.color, options.depth, options.camera_info, options.seconds))


def run(options: argparse.Namespace) -> int:
    """0: nothing that stops lang2segtrack from working; 1: something does."""
    heading, counts = "", dict.fromkeys(Level, 0)
    try:
        for group, finding in look(options):
            if group != heading:
                heading = group
                print(heading, flush=True)
            print(finding, flush=True)
            counts[finding.level] += 1
    except KeyboardInterrupt:
        return 130
    print(f"\n{counts[Level.ERROR]} errors, {counts[Level.WARNING]} warnings")
    return 1 if counts[Level.ERROR] else 0
