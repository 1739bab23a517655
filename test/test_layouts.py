# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Layouts for RViz and Foxglove: every topic exists and has a display that fits its type."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from lang2segtrack_ros.ros.support.interfaces import PUBLISHED, SERVICES, SUBSCRIBED

CONFIG = Path(__file__).resolve().parent.parent / "config"
TYPES = {topic.name: topic.type_name for topic in (*PUBLISHED, *SUBSCRIBED)}
RVIZ_TYPES = {
    "rviz_default_plugins/Image": "sensor_msgs/msg/Image",
    "rviz_default_plugins/MarkerArray": "visualization_msgs/msg/MarkerArray",
    "rviz_default_plugins/PointCloud2": "sensor_msgs/msg/PointCloud2",
    "rviz_default_plugins/PublishPoint": "geometry_msgs/msg/PointStamped",
}


def nested(value: Any) -> Iterator[dict[str, Any]]:
    """Yield every mapping in a parsed file."""
    if isinstance(value, dict):
        yield value
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from nested(item)


def test_rviz_displays_fit_their_topics() -> None:
    parsed = yaml.safe_load((CONFIG / "track.rviz").read_text(encoding="utf-8"))
    named = {item["Topic"]["Value"]: item["Class"] for item in nested(parsed) if "Topic" in item}
    assert {"overlay", "instance_masks", "markers", "objects_cloud", "clicked_point"} == set(named)
    for topic, display in named.items():
        assert TYPES[topic] == RVIZ_TYPES[display], topic


def test_rviz_shows_scene_points_for_clicks() -> None:
    """Publish Point needs points of the whole scene under the cursor, not only points of tracked objects."""
    parsed = yaml.safe_load((CONFIG / "track.rviz").read_text(encoding="utf-8"))
    (scene,) = [item for item in nested(parsed) if item.get("Class") == "rviz_default_plugins/DepthCloud"]
    for key in ("Depth Map Topic", "Color Image Topic"):
        assert TYPES[scene[key]] == "sensor_msgs/msg/Image"


def test_rviz_qos_is_compatible_with_publishers() -> None:
    """A transient local subscription receives nothing from a volatile publisher."""
    parsed = yaml.safe_load((CONFIG / "track.rviz").read_text(encoding="utf-8"))
    assert {item["Topic"]["Durability Policy"] for item in nested(parsed) if "Topic" in item} == {"Volatile"}


def test_foxglove_panels_use_existing_topics_and_services() -> None:
    parsed = json.loads((CONFIG / "foxglove_layout.json").read_text(encoding="utf-8"))
    topics, services = set(), set()
    for panel in nested(parsed["configById"]):
        topics |= {panel[key].partition(".")[0] for key in ("imageTopic", "pointTopic", "topicPath", "topicToRender") if key in panel}
        topics |= set(panel.get("topics", ())) | set(panel.get("annotations", ()))
        services |= {panel["serviceName"]} if "serviceName" in panel else set()
    camera = ("color/", "depth/")  # the launch file remaps these to the camera's topics
    declared = {f"/camera/camera/{name}" if name.startswith(camera) else f"/{name.lstrip('/')}" for name in TYPES}
    assert {"/overlay", "/clicked_point", "/diagnostics"} <= topics <= declared
    assert {"/add_text_prompt", "/remove_track"} == services <= {f"/{service.name}" for service in SERVICES}


def test_every_foxglove_panel_has_a_position_and_settings() -> None:
    parsed = json.loads((CONFIG / "foxglove_layout.json").read_text(encoding="utf-8"))
    placed = [item[side] for item in nested(parsed["layout"]) for side in ("first", "second") if isinstance(item[side], str)]
    assert sorted(placed) == sorted(parsed["configById"])


def test_foxglove_requests_match_service_fields() -> None:
    from lang2segtrack.srv import AddTextPrompt, RemoveTrack

    parsed = json.loads((CONFIG / "foxglove_layout.json").read_text(encoding="utf-8"))
    requests = {"/add_text_prompt": AddTextPrompt.Request, "/remove_track": RemoveTrack.Request}
    for panel in parsed["configById"].values():
        if "serviceName" in panel:
            requests[panel["serviceName"]](**json.loads(panel["requestPayload"]))
