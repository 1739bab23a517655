# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Options of the vision-language model that answers instructions, one for each field of `VlmOptions`."""

from __future__ import annotations

import argparse
from dataclasses import fields
from typing import TYPE_CHECKING

from lang2segtrack_ros.instructions.vlm.options import VlmOptions
from lang2segtrack_ros.types.options import OptionError, info_of

if TYPE_CHECKING:
    from lang2segtrack_ros.detection.detector import Detector
    from lang2segtrack_ros.instructions.vlm.resolver import VlmResolver

IDENTITY = ("vlm_url", "vlm_model", "vlm_answer_format", "vlm_max_edge")
"""Options that change the results."""


def add_vlm_options(parser: argparse.ArgumentParser) -> None:
    """Add the options; `parse_vlm_options` parses them.

    Args:
        parser: parser of a command.
    """
    group = parser.add_argument_group("vision-language model for instructions", "docs/vlm.md describes servers and answer formats.")
    for item in fields(VlmOptions):
        info, name = info_of(item), f"--{item.name.replace('_', '-')}"
        text = f"{info.text.replace('%', '%%')} (default: {item.default or 'none'})"
        if info.choices:
            group.add_argument(name, choices=info.choices, default=item.default, help=text)
        else:
            metavar = "TEXT" if isinstance(item.default, str) else "N"
            group.add_argument(name, type=type(item.default), default=item.default, metavar=metavar, help=text)


def parse_vlm_options(options: argparse.Namespace) -> VlmOptions | None:
    """Return the options of the command line, or None without a model.

    Args:
        options: parsed options of `add_vlm_options`.

    Raises:
        PromptError: a value is not allowed.
    """
    from lang2segtrack_ros.types.prompts import PromptError

    try:
        parsed = VlmOptions(**{item.name: getattr(options, item.name) for item in fields(VlmOptions)})
    except OptionError as error:
        raise PromptError(str(error)) from error
    return parsed if parsed.is_in_use else None


def load_vlm_resolver(options: VlmOptions, device: str, detector: Detector | None = None) -> VlmResolver:
    """Return the resolver of the options.

    Args:
        options: options with a model.
        device: device of a local model.
        detector: detector that gives the boxes of points. None refuses points.

    Raises:
        PromptError: the key of the server is not valid.
        WeightsError: the local model cannot be loaded.
    """
    from lang2segtrack_ros.instructions.vlm.factory import make_vlm_resolver
    from lang2segtrack_ros.types.prompts import PromptError

    try:
        return make_vlm_resolver(options, detector, device)
    except OptionError as error:
        raise PromptError(str(error)) from error
