# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Command line of a node: help, and refusal of arguments that are not for ROS."""

from __future__ import annotations

import argparse
import contextlib
import sys
import textwrap
from collections.abc import Iterable, Sequence

from rclpy.utilities import remove_ros_args

Row = tuple[str, object, str]
"""Name, default and description of a parameter."""


def check_command_line(name: str, about: str, parameters: Iterable[Row], args: Sequence[str] | None) -> None:
    """Check the arguments that are not for ROS. End the process with 0 after `--help`, and with 2 after an unknown argument.

    Args:
        name: name of the executable.
        about: a sentence on what the executable does.
        parameters: parameters of the node, for the help.
        args: command line with the program's name first. None uses that of the process.
    """
    lines = [f"  {key} (default: {default!r})\n{textwrap.indent(textwrap.fill(text, 100), '      ')}" for key, default, text in parameters]
    parser = argparse.ArgumentParser(
        f"ros2 run lang2segtrack {name}",
        "%(prog)s [-h] [--ros-args -p NAME:=VALUE ...]",
        about,
        "\n".join(["parameters, each given as --ros-args -p NAME:=VALUE:", *lines] if lines else []),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    remaining = sys.argv if args is None else list(args)
    with contextlib.suppress(RuntimeError):  # wrong ROS arguments, which rclpy.init reports
        remaining = remove_ros_args(remaining)
        _, unknown = parser.parse_known_args(remaining[1:])
        if unknown:
            parser.error(f"unknown arguments: {' '.join(unknown)}; parameters follow --ros-args, such as --ros-args -p NAME:=VALUE")
