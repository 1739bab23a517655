# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""`lang2segtrack doctor`: check the installation, the machine and the ROS graph, with advice for each problem."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator

from lang2segtrack_ros.doctor import ros_install, software
from lang2segtrack_ros.doctor.finding import Finding, Level


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the subparsers of `lang2segtrack`.

    Args:
        commands: the subparsers.
    """
    parser = commands.add_parser("doctor", help="check packages, GPU, weights, ROS and the topics of the camera")
    parser.add_argument(
        "--segmenter", default="sam2.1-tiny", help="segmenter to check: a name, a folder, or a plug-in (default: %(default)s)"
    )
    parser.add_argument(
        "--detector", default="grounding-dino-tiny", help="detector to check: a name, a folder, or a plug-in (default: %(default)s)"
    )
    parser.add_argument("--color", help="topic of the color images (default: those of the running trackers, or of a RealSense camera)")
    parser.add_argument("--depth", default="", help="topic of the depth images that belong to --color (default: none)")
    parser.add_argument("--camera-info", default="", help="topic of the camera_info that belongs to --color, needed with --depth")
    parser.add_argument("--seconds", type=float, default=3.0, help="time to listen to the camera (default: %(default)s)")
    parser.add_argument("--no-camera", action="store_true", help="skip the topics of the camera")
    parser.set_defaults(run=run)


def run_checks(options: argparse.Namespace) -> Iterator[tuple[str, Finding]]:
    """Run the checks one after the other and yield each finding with its heading.

    Args:
        options: parsed options.
    """
    for requirement, module in software.REQUIREMENTS.items():
        if module == "torch":
            yield "packages", software.check_python()
        yield "packages", software.check_package(requirement, module)
    yield "packages", software.check_torchvision()
    yield "machine", software.check_local_gpu()
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
    yield from (("ROS 2", finding) for finding in ros_install.check_local_transport())
    yield "ROS 2", ros_install.check_discovery(os.environ)
    if options.no_camera or any(finding.level is Level.ERROR for finding in packages):
        return
    from lang2segtrack_ros.doctor.graph import check_graph
    from lang2segtrack_ros.doctor.trackers import CameraTopics

    given = CameraTopics(options.color, options.depth, options.camera_info) if options.color else None
    yield from (("camera", item) for item in check_graph(given, options.seconds))


def run(options: argparse.Namespace) -> int:
    """Run the command. Return 1 if a finding is an error, 2 if options are missing, else 0.

    Args:
        options: parsed options.
    """
    if options.depth and not (options.color and options.camera_info):
        print("lang2segtrack doctor: --depth needs --color and --camera-info of the same camera", file=sys.stderr)
        return 2
    heading, counts = "", dict.fromkeys(Level, 0)
    try:
        for group, finding in run_checks(options):
            if group != heading:
                heading = group
                print(heading, flush=True)
            print(finding, flush=True)
            counts[finding.level] += 1
    except KeyboardInterrupt:
        return 130
    print(f"\n{counts[Level.ERROR]} errors, {counts[Level.WARNING]} warnings")
    return 1 if counts[Level.ERROR] else 0
