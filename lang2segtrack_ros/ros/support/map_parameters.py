# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Parameters of object_map_node, declared once. The node, the launch file and docs/interfaces.md read this table."""

from __future__ import annotations

from dataclasses import fields

from lang2segtrack_ros.object_map.options import MapOptions
from lang2segtrack_ros.ros.support.parameter_table import Parameter, ParameterTable

IN_MEMORY = ":memory:"
PARAMETERS = ParameterTable(
    (
        Parameter(
            "file", "~/.ros/lang2segtrack/objects.db", f"SQLite file that keeps the maps. Set to {IN_MEMORY} to keep nothing after the end."
        ),
        Parameter("map_name", "default", "Name of the map in the file. Each map has its own objects and ids."),
        Parameter("fixed_frame", "map", "Frame in which the places of objects are kept."),
        Parameter(
            "anchor_frame",
            "",
            "Frame, such as `odom`, in which objects of this run stay if `fixed_frame` is corrected. Set it for SLAM that closes loops. "
            "If empty, objects stay in `fixed_frame`, which fits localization on a finished map.",
        ),
        Parameter(
            "sources",
            "",
            "Namespaces of the track_nodes, separated by commas. The topics of each one are those of track_node in its namespace. If "
            "empty, there is one, in the namespace of this node.",
        ),
        Parameter("max_rate", 5.0, "Maximum rate of images that are used of each source, in Hz.", 0.1, 60.0),
        Parameter("tf_wait_s", 0.5, "Maximum time in seconds for which an image waits for the pose of its camera.", 0.0, 10.0),
        Parameter("use_color", True, "True subscribes the color image, for colors of objects and thumbnails."),
        Parameter("thumbnail_size", 96, "Maximum side of thumbnails in pixels.", 16, 512),
        Parameter("use_depth", True, "True subscribes the depth image, for evidence that objects are gone."),
        Parameter("depth_slop_s", 0.05, "Maximum difference between the stamps of depth and color in seconds.", 0.0, 10.0),
        Parameter(
            "depth_registration",
            "auto",
            "See the parameter of track_node. `auto` compares the frames of depth and color.",
            choices=("auto", "registered", "reproject"),
        ),
        Parameter("publish_period_s", 1.0, "Minimum time between two messages on `objects`, in seconds.", 0.1, 3600.0),
        Parameter("max_published", 500, "Maximum number of objects on `objects` and `object_markers`: the latest seen.", 1, 100_000),
        *(Parameter.of_option(item) for item in fields(MapOptions)),
    )
)
