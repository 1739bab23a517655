#!/usr/bin/env python3
# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Write docs/interfaces.md from the declarations that the nodes use."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from lang2segtrack_ros.ros.support import interfaces, map_interfaces, map_parameters, parameters, web_parameters
from lang2segtrack_ros.ros.support.interfaces import Action, Service, Topic


def service_names() -> list[str]:
    """Return the names of the services."""
    return [service.name for service in (*interfaces.SERVICES, *map_interfaces.MAP_SERVICES)]


def _table(kind: str, declared: Iterable[Topic | Service | Action]) -> str:
    lines = [f"| {kind} | type | description |", "|---|---|---|"]
    lines += [f"| `{item.name}` | `{item.type_name}` | {item.description} |" for item in declared]
    return "\n".join(lines)


def markdown() -> str:
    """Return the whole page."""
    return "\n".join(
        (
            "# Topics, services and parameters",
            "",
            "`make docs` writes this page from the declarations in the code. Do not edit it by hand.",
            "Names without a leading slash are relative, so a namespace applies to them.",
            "",
            "## Subscribed topics",
            _table("topic", interfaces.SUBSCRIBED),
            "",
            "## Published topics",
            "Every message has the header of its input image, except `/diagnostics`. The node computes a topic only while it has",
            "subscribers. The exceptions are `label_info`, `semantic_label_info`, `/tf`, `tracks_refined` and `/diagnostics`. The",
            "outputs in `target_frame` have that frame in their header, with the stamp of the image. See [robots.md](robots.md).",
            "",
            f"All topics are reliable, with a queue depth of {interfaces.RESULT_QOS.depth}. There are five exceptions:",
            "",
            f"* `label_info` and `semantic_label_info` are transient local with depth {interfaces.LATCHED_QOS.depth}.",
            f"* `collision_objects` has depth {interfaces.SCENE_QOS.depth}.",
            f"* `/tf` has depth {interfaces.TF_QOS.depth}.",
            f"* `/diagnostics` has depth {interfaces.DIAGNOSTICS_QOS.depth}.",
            f"* `tracks_refined` has depth {interfaces.REFINED_QOS.depth:,}, because it publishes whole traces in one burst. Subscribe to"
            " it with the same depth.",
            "",
            _table("topic", interfaces.PUBLISHED),
            "",
            "## Services",
            "Each service responds with `success` and a `message`. Services that add prompts also return the ids of the objects.",
            "`list_tracks` returns only its lists. The files in `srv/` describe the fields.",
            "",
            _table("service", interfaces.SERVICES),
            "",
            "## Actions",
            _table("action", interfaces.ACTIONS),
            "",
            "## Lifecycle",
            "`track_node` is a lifecycle node. It starts itself unless `autostart` is false. The transitions have these effects:",
            "",
            "* *configure* loads the networks.",
            "* *activate* subscribes the images.",
            "* *deactivate* pauses. Objects and prompts stay.",
            "* *cleanup* frees the device.",
            "",
            "## Parameters of track_node",
            "A parameter with *yes* in the column *at run time* may change while the node is configured.",
            "",
            parameters.TABLE.markdown(),
            "",
            "Old parameter names still work until version 0.3. The node then logs a warning with the new name:",
            ", ".join(f"`{old}` → `{new}`" for old, new in parameters.RENAMED.items()) + ".",
            "",
            "## Parameters of web_node",
            "`web_node` serves the web page of [viewers](viewers.md). It subscribes `overlay` while at least one viewer watches. If no",
            "overlay arrives, it subscribes `color/image_raw`. It calls the services above and counts refused requests on `/diagnostics`.",
            "Its parameters are fixed at start.",
            "",
            web_parameters.PARAMETERS.markdown(),
            "",
            "`prompt_window` has one parameter, `max_rate`.",
            "",
            "## object_map_node",
            "`object_map_node` remembers where objects are, see [object map](object_map.md). It subscribes these topics of each",
            "track_node and its camera, see the parameter `sources`:",
            ", ".join(f"`{topic.name}`" for topic in map_interfaces.MAP_SUBSCRIBED) + ".",
            "",
            _table("topic", map_interfaces.MAP_PUBLISHED),
            "",
            _table("service", map_interfaces.MAP_SERVICES),
            "",
            "Its parameters are fixed at start.",
            "",
            map_parameters.PARAMETERS.markdown(),
            "",
        )
    )


if __name__ == "__main__":
    (Path(__file__).resolve().parent.parent / "docs" / "interfaces.md").write_text(markdown(), encoding="utf-8")
