#!/usr/bin/env python3
# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Writes docs/interfaces.md from the declarations the node itself uses."""

from __future__ import annotations

from pathlib import Path

from lang2segtrack_ros.ros.nodes import web_node
from lang2segtrack_ros.ros.outputs.publisher import TOPICS
from lang2segtrack_ros.ros.services.prompt_services import SERVICES
from lang2segtrack_ros.ros.services.refinement import ACTIONS
from lang2segtrack_ros.ros.services.refinement import TOPICS as REFINED_TOPICS
from lang2segtrack_ros.ros.support import parameters

SUBSCRIBED = (
    ("color/image_raw", "sensor_msgs/Image", "Colour; with `image_transport: compressed`, `color/image_raw/compressed`."),
    (
        "depth/image_raw",
        "sensor_msgs/Image",
        "Depth, 16UC1 millimetres or 32FC1 metres, of any size; best aligned to colour. Found by stamp; masks wait for it only with policy "
        "`depth`.",
    ),
    ("color/camera_info", "sensor_msgs/CameraInfo", "The colour camera, as it takes `color/image_raw`: distortion is undone."),
    ("depth/camera_info", "sensor_msgs/CameraInfo", "The depth camera; needed only for depth that is not aligned to colour."),
    ("/tf_static", "tf2_msgs/TFMessage", "How depth and colour camera stand to each other; needed only for the same."),
    (
        "clicked_point",
        "geometry_msgs/PointStamped",
        "RViz's *Publish Point*: a point prompt on what the camera sees there. Needs `color/camera_info`, and for a frame other than the "
        "camera's `/tf` and `/tf_static`; both are subscribed while a point waits for them.",
    ),
)


def service_names() -> list[str]:
    """Names of the services."""
    return [name for name, _, _ in SERVICES]


def _table(head: tuple[str, ...], rows: tuple[tuple[str, ...], ...]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join((f"`{row[0]}`", f"`{row[1]}`", *row[2:])) + " |" for row in rows]
    return "\n".join(lines)


def markdown() -> str:
    """The whole page."""
    return "\n".join(
        (
            "# Topics, services and parameters",
            "",
            "Written by `make docs` from the declarations in the code; do not edit by hand.",
            "All names are relative: in the root namespace they read as below, a namespace moves them all.",
            "",
            "## Subscribed",
            _table(("topic", "type", "what"), SUBSCRIBED),
            "",
            "## Published",
            "Every message carries the header of the image it is about. Nothing is computed for a topic without a subscriber, but for",
            "`label_info`, `/tf` and `tracks_refined`. All are reliable, with a depth of 5; `label_info` is latched (transient local), and",
            "`tracks_refined`, whole traces in one burst, has a depth of 1,000: subscribe to it as deep.",
            "",
            _table(("topic", "type", "what"), (*TOPICS, *REFINED_TOPICS)),
            "",
            "And once a second `/diagnostics` (`diagnostic_msgs/DiagnosticArray`) with rates, how long each stage takes and what "
            "waits, memory, and all that was replaced, skipped or has failed; see [faults.md](faults.md#what-diagnostics-says).",
            "",
            "## Services",
            "Each answers with success and a sentence, but for `list_tracks`, which just lists; the prompts also with the ids they made.",
            "The fields are described in `srv/`.",
            "",
            _table(("service", "type", "what"), SERVICES),
            "",
            "## Actions",
            _table(("action", "type", "what"), ACTIONS),
            "",
            "## Life cycle",
            "`track_node` is a lifecycle node that starts itself unless `autostart` is false: configure loads the networks, activate",
            "subscribes, deactivate pauses (objects and prompts stay), cleanup frees the device.",
            "",
            "## Parameters",
            parameters.TABLE.markdown(),
            "",
            "## web_node",
            "The web page of [viewers](viewers.md). It subscribes `overlay` while somebody looks and `color/image_raw` where no overlay",
            "comes, calls the services above, and counts what it refuses on `/diagnostics`. Its parameters are fixed at start.",
            "",
            web_node.PARAMETERS.markdown(),
            "",
            "`prompt_window` has one, `max_rate`.",
            "",
        )
    )


if __name__ == "__main__":
    (Path(__file__).resolve().parent.parent / "docs" / "interfaces.md").write_text(markdown(), encoding="utf-8")
