# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Options of the toy camera: content, frame rate and errors of the stream, with their checks. Camera node and bag writer share them."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from lang2segtrack_ros.toyworld.families import FAMILIES, SHAPES_FAMILY
from lang2segtrack_ros.toyworld.room import default_room
from lang2segtrack_ros.toyworld.room_scene import RoomScene
from lang2segtrack_ros.toyworld.scene import Scene, demo_scene, tabletop_scene
from lang2segtrack_ros.toyworld.suites import SUITES, make_clip

DEMO, ROOM = "demo", "room"
DEPTH_ENCODINGS = ("16UC1", "32FC1")
_MAX_ASPECT_RATIO = 2.5
_MAX_DEVIATIONS = 3.0  # the jitter is clipped at this many standard deviations
_TYPE_NAMES = {str: "a string", int: "a whole number", float: "a number"}
_DROP_STREAM, _DELAY_STREAM = 1, 2  # separate random streams of one seed


class StreamError(ValueError):
    """Error of an invalid option of the toy camera. The message names the option and the allowed values."""


def _option(default: Any, text: str, low: float | None = None, high: float | None = None, choices: tuple[str, ...] = ()) -> Any:
    return field(default=default, metadata={"text": text, "low": low, "high": high, "choices": choices})


@dataclass(frozen=True)
class StreamOptions:
    """Options of the toy camera. Each field's metadata holds its description (`text`), range (`low`, `high`) or `choices`.

    Raises:
        StreamError: A value has the wrong type or is out of its range.
    """

    suite: str = _option(
        DEMO,
        "Content: demo, a room with a moving camera and TF, or a suite of clips with one difficulty each.",
        choices=(DEMO, ROOM, *SUITES),
    )
    seed: int = _option(4, "Seed of the clip, the drops and the jitter.", 0, 2**31 - 1)
    width: int = _option(640, "Image width in pixels; 1 to 2.5 times the height.", 32, 4096)
    height: int = _option(480, "Image height in pixels.", 32, 4096)
    fps: float = _option(15.0, "Frame rate in images per second.", 0.1, 240.0)
    depth_encoding: str = _option(
        "16UC1", "16UC1 (Z16: millimeters, 0 for unknown) or 32FC1 (meters, NaN for unknown).", choices=DEPTH_ENCODINGS
    )
    drop: float = _option(0.0, "Fraction of frames that are left out, on all topics.", 0.0, 0.95)
    jitter_ms: float = _option(
        0.0,
        "Standard deviation of the publication time in milliseconds. Stamps stay regular; the mean delay is three times this value.",
        0.0,
        1000.0,
    )
    family: str = _option("shapes", "Objects: colored shapes, or everyday things on tables.", choices=tuple(FAMILIES))

    def __post_init__(self) -> None:
        for option in fields(self):
            value, limits = getattr(self, option.name), option.metadata
            types = (int, float) if isinstance(option.default, float) else (type(option.default),)
            if isinstance(value, bool) or not isinstance(value, types):
                raise StreamError(f"{option.name} must be {_TYPE_NAMES[types[-1]]}, not {value!r}")
            if limits["choices"] and value not in limits["choices"]:
                raise StreamError(f'{option.name} is "{value}"; it must be one of: {", ".join(limits["choices"])}')
            if limits["low"] is not None and not limits["low"] <= value <= limits["high"]:
                raise StreamError(f"{option.name} is {value}; it must lie between {limits['low']:g} and {limits['high']:g}")
        if self.suite == ROOM and self.family != SHAPES_FAMILY.name:
            raise StreamError(
                f"the room has only {SHAPES_FAMILY.name}, not {self.family}: give another suite, or family {SHAPES_FAMILY.name}"
            )
        if not self.height <= self.width <= _MAX_ASPECT_RATIO * self.height:
            raise StreamError(
                f"the image size is {self.width} x {self.height}; the width must be 1 to {_MAX_ASPECT_RATIO} times the height"
            )

    def scene(self) -> Scene | RoomScene:
        """Return the scene. After the end of a clip its paths are followed back and forth; the walk through a room starts anew."""
        if self.suite == ROOM:
            return RoomScene(default_room(), self.width, self.height, self.seed, self.fps)
        if self.suite == DEMO:
            make = demo_scene if self.family == SHAPES_FAMILY.name else tabletop_scene
            return make(self.width, self.height, self.seed)
        return make_clip(self.suite, self.seed, self.width, self.height, FAMILIES[self.family]).scene

    @property
    def period_ns(self) -> int:
        """Return the time between frames in nanoseconds."""
        return round(1e9 / self.fps)

    def is_published(self, index: int) -> bool:
        """Return False for a frame that `drop` leaves out. The result depends on seed and frame index alone."""
        return bool(np.random.default_rng([self.seed, index, _DROP_STREAM]).random() >= self.drop)

    def delay_ns(self, index: int) -> int:
        """Return the delay from a frame's stamp to its publication in nanoseconds.

        The delay is never negative and depends on seed and frame index alone.
        """
        drawn = np.random.default_rng([self.seed, index, _DELAY_STREAM]).standard_normal()
        deviation = float(np.clip(drawn, -_MAX_DEVIATIONS, _MAX_DEVIATIONS))
        return round((_MAX_DEVIATIONS + deviation) * self.jitter_ms * 1e6)
