# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The layouts for RViz and Foxglove show topics that exist, with displays that can show them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from lang2segtrack_ros.ros.outputs.publisher import TOPICS
from lang2segtrack_ros.ros.services.prompt_services import SERVICES
from tools.write_interface_docs import SUBSCRIBED

CONFIG = Path(__file__).resolve().parent.parent / "config"
TYPES = {name: kind for name, kind, _ in (*TOPICS, *SUBSCRIBED)} | {"/diagnostics": "diagnostic_msgs/DiagnosticArray"}
RVIZ_SHOWS = {
    "rviz_default_plugins/Image": "sensor_msgs/Image",
    "rviz_default_plugins/MarkerArray": "visualization_msgs/MarkerArray",
    "rviz_default_plugins/PointCloud2": "sensor_msgs/PointCloud2",
    "rviz_default_plugins/PublishPoint": "geometry_msgs/PointStamped",
}


def nested(value: Any) -> Iterator[dict[str, Any]]:
    """Every mapping in a parsed file."""
    if isinstance(value, dict):
        yield value
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from nested(item)


def test_rviz_displays_fit_their_topics() -> None:
    parsed = yaml.safe_load((CONFIG / "track.rviz").read_text(encoding="utf-8"))
    named = {item["Topic"]["Value"]: item["Class"] for item in nested(parsed) if "Topic" in item}
    assert {"overlay", "instance_masks", "markers", "objects_cloud", "clicked_point"} == set(named)
    for topic, display in named.items():
        assert TYPES[topic] == RVIZ_SHOWS[display], topic


def test_rviz_shows_what_one_may_click_at() -> None:
    """Publish Point needs points under the cursor: the whole scene's, not those of tracked objects alone."""
    parsed = yaml.safe_load((CONFIG / "track.rviz").read_text(encoding="utf-8"))
    (scene,) = [item for item in nested(parsed) if item.get("Class") == "rviz_default_plugins/DepthCloud"]
    for key in ("Depth Map Topic", "Color Image Topic"):
        assert TYPES[scene[key]] == "sensor_msgs/Image"


def test_rviz_queues_do_not_ask_for_more_than_is_offered() -> None:
    """A transient local subscription would hear nothing of these volatile topics."""
    parsed = yaml.safe_load((CONFIG / "track.rviz").read_text(encoding="utf-8"))
    assert {item["Topic"]["Durability Policy"] for item in nested(parsed) if "Topic" in item} == {"Volatile"}


def test_foxglove_panels_name_what_exists() -> None:
    parsed = json.loads((CONFIG / "foxglove_layout.json").read_text(encoding="utf-8"))
    topics, services = set(), set()
    for panel in nested(parsed["configById"]):
        topics |= {panel[key].partition(".")[0] for key in ("imageTopic", "pointTopic", "topicPath", "topicToRender") if key in panel}
        topics |= set(panel.get("topics", ())) | set(panel.get("annotations", ()))
        services |= {panel["serviceName"]} if "serviceName" in panel else set()
    camera = ("color/", "depth/")  # which the launch file takes from the camera
    known = {f"/camera/camera/{name}" if name.startswith(camera) else f"/{name.lstrip('/')}" for name in TYPES}
    assert {"/overlay", "/clicked_point", "/diagnostics"} <= topics <= known
    assert {"/add_text_prompt", "/remove_track"} == services <= {f"/{name}" for name, _, _ in SERVICES}


def test_every_foxglove_panel_has_its_place_and_its_settings() -> None:
    parsed = json.loads((CONFIG / "foxglove_layout.json").read_text(encoding="utf-8"))
    placed = [item[side] for item in nested(parsed["layout"]) for side in ("first", "second") if isinstance(item[side], str)]
    assert sorted(placed) == sorted(parsed["configById"])


def test_foxglove_requests_have_the_services_fields() -> None:
    from lang2segtrack.srv import AddTextPrompt, RemoveTrack

    parsed = json.loads((CONFIG / "foxglove_layout.json").read_text(encoding="utf-8"))
    requests = {"/add_text_prompt": AddTextPrompt.Request, "/remove_track": RemoveTrack.Request}
    for panel in parsed["configById"].values():
        if "serviceName" in panel:
            requests[panel["serviceName"]](**json.loads(panel["requestPayload"]))
