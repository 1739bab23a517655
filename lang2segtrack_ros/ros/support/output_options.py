# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Parameters of the outputs, read together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from lang2segtrack_ros.io.semantic_mask import MAX_CLASS_ID
from lang2segtrack_ros.ros.support.parameters import TABLE
from lang2segtrack_ros.types.prompts import split_phrases


@dataclass(frozen=True)
class OutputOptions:
    """Options of the outputs. The parameters of the same names describe them.

    Attributes:
        publish_tf: see the parameter, as all others.
        tf_prefix: also the prefix of the ids of collision objects.
        target_frame: without a leading slash.
        box_orientation: "camera", "gravity" or "free".
        object_clouds_resolution: "sampled" or "full".
        semantic_classes: phrases.
    """

    publish_tf: bool = False
    tf_prefix: str = "object_"
    target_frame: str = ""
    box_orientation: str = "camera"
    object_clouds_resolution: str = "sampled"
    semantic_classes: str = ""

    @staticmethod
    def read(value: Callable[[str], Any]) -> OutputOptions:
        """Return the options.

        Args:
            value: returns the value of a parameter by name.
        """
        return OutputOptions(
            value("publish_tf"),
            value("tf_prefix"),
            value("target_frame").lstrip("/"),
            value("box_orientation"),
            value("object_clouds_resolution"),
            value("semantic_classes"),
        )


def find_problem(values: Mapping[str, Any]) -> str:
    """Return a sentence on why all parameters of a node together are not allowed, or an empty text.

    Args:
        values: value of each parameter by name.
    """
    problem = TABLE.check(dict(values))
    if not problem and values["box_orientation"] == "gravity" and not values["target_frame"]:
        problem = (
            "box_orientation: gravity needs target_frame, a frame whose z axis points up, such as base_link, odom or map: set it, or "
            "choose camera or free"
        )
    if not problem and len(split_phrases(values["semantic_classes"])) > MAX_CLASS_ID:
        problem = f"semantic_classes names more than {MAX_CLASS_ID} classes: a mono8 image cannot hold more"
    return problem
