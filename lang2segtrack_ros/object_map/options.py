# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Options of the object map, declared once. The node and docs/interfaces.md read this table."""

from __future__ import annotations

from dataclasses import dataclass

from lang2segtrack_ros.types.options import check_options, option


@dataclass(frozen=True)
class MapOptions:
    """Options of the object map.

    Raises:
        OptionError: a value has a wrong type or is out of its range.
    """

    min_sightings: int = option(3, "Number of images that must show an object before the map has it.", 1, 100)
    match_distance: float = option(
        0.25, "Maximum distance in meters between an object and a sighting of it. The uncertainty of both adds to it.", 0.01, 5.0
    )
    match_appearance: float = option(
        0.6, "Minimum similarity of colors for a sighting at another place to be the same object. Set to 0 to ignore colors.", 0.0, 1.0
    )
    missing_after: int = option(
        5,
        "Number of images in a row that must show free space at the place of an object before it is missing. Set to 0 to disable.",
        0,
        1000,
    )
    free_margin: float = option(
        0.06, "Minimum distance in meters between the place of an object and the surface behind it, for the place to be free.", 0.01, 1.0
    )
    max_range: float = option(
        5.0, "Maximum distance in meters from the camera. Farther sightings are skipped, and farther places give no evidence.", 0.5, 100.0
    )
    visible_s: float = option(1.0, "Time in seconds after its last sighting in which an object is visible.", 0.1, 60.0)
    max_objects: int = option(
        20_000, "Maximum number of objects. Beyond it, the longest missing and then the longest unseen ones are forgotten.", 1, 1_000_000
    )
    forget_after_s: float = option(0.0, "Time in seconds after its last sighting at which an object is forgotten. 0: never.", 0.0, 1e9)

    def __post_init__(self) -> None:
        check_options(self)
