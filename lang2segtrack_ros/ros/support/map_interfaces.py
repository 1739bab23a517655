# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Topics and services of object_map_node, each declared once. The node and docs/interfaces.md read them."""

from __future__ import annotations

from visualization_msgs.msg import MarkerArray

from lang2segtrack.msg import MapObjectArray
from lang2segtrack.srv import FindObject, ForgetObject, ListObjects, RenameObject
from lang2segtrack_ros.ros.support.interfaces import (
    COLOR_IMAGE,
    COLOR_INFO,
    DEPTH_IMAGE,
    DEPTH_INFO,
    DETECTIONS_3D,
    DIAGNOSTICS,
    LATCHED_QOS,
    TF_INPUT,
    TF_STATIC,
    TRACKS,
    Service,
    Topic,
)

OBJECTS = Topic(
    "objects",
    MapObjectArray,
    "Objects of the map, the latest seen first: place, state, times, tracks. Latched, at most once in `publish_period_s`.",
    LATCHED_QOS,
)
OBJECT_MARKERS = Topic(
    "object_markers", MarkerArray, "Box, id and label of the same objects, for RViz. Missing objects are red. Latched.", LATCHED_QOS
)
FIND_OBJECT = Service("find_object", FindObject, "Find objects by words, near a point, by time and state. The best match comes first.")
LIST_OBJECTS = Service("list_objects", ListObjects, "List the objects, the latest seen first.")
FORGET_OBJECT = Service("forget_object", ForgetObject, "Remove objects from the map and its file.")
RENAME_OBJECT = Service("rename_object", RenameObject, "Give an object a name, which `find_object` knows.")
MAP_SERVICES = (FIND_OBJECT, LIST_OBJECTS, FORGET_OBJECT, RENAME_OBJECT)
MAP_PUBLISHED = (OBJECTS, OBJECT_MARKERS, DIAGNOSTICS)
MAP_SUBSCRIBED = (DETECTIONS_3D, TRACKS, COLOR_IMAGE, COLOR_INFO, DEPTH_IMAGE, DEPTH_INFO, TF_INPUT, TF_STATIC)
