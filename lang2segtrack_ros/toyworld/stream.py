# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""What a toy camera shows and how badly: the options of the camera node and of the bag writer, with their checks."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from lang2segtrack_ros.toyworld.scene import Scene, demo_scene
from lang2segtrack_ros.toyworld.suites import SUITES, make_clip

DEMO = "demo"
DEPTH_ENCODINGS = ("16UC1", "32FC1")
_WIDEST = 2.5
_JITTER_REACH = 3.0  # standard deviations beyond which no publication strays
_IN_WORDS = {str: "a text", int: "a whole number", float: "a number"}
_DROP, _DELAY = 1, 2  # separate random streams of one seed


class StreamError(ValueError):
    """An option of the toy camera that cannot be; the message names it and says what can."""


def _option(default: Any, text: str, low: float | None = None, high: float | None = None, choices: tuple[str, ...] = ()) -> Any:
    return field(default=default, metadata={"text": text, "low": low, "high": high, "choices": choices})


@dataclass(frozen=True)
class StreamOptions:
    """The toy camera's options; each field's metadata holds its description (`text`), range (`low`, `high`) or `choices`.

    Raises:
        StreamError: a value of the wrong type or out of its range.
    """

    suite: str = _option(DEMO, "What is shown: demo, or a suite of clips with one difficulty each.", choices=(DEMO, *SUITES))
    seed: int = _option(4, "Which clip of the suite; also of drops and jitter.", 0, 2**31 - 1)
    width: int = _option(640, "Pixels; between the height and 2.5 times it.", 32, 4096)
    height: int = _option(480, "Pixels.", 32, 4096)
    fps: float = _option(15.0, "Images a second.", 0.1, 240.0)
    depth_encoding: str = _option("16UC1", "16UC1 (Z16: millimetres, 0 unknown) or 32FC1 (metres, NaN unknown).", choices=DEPTH_ENCODINGS)
    drop: float = _option(0.0, "Share of frames that are left out, on all topics.", 0.0, 0.95)
    jitter_ms: float = _option(
        0.0, "Standard deviation of the moment of publication; stamps stay regular, the mean delay is three times it.", 0.0, 1000.0
    )

    def __post_init__(self) -> None:
        for item in fields(self):
            value, rules = getattr(self, item.name), item.metadata
            kinds = (int, float) if isinstance(item.default, float) else (type(item.default),)
            if isinstance(value, bool) or not isinstance(value, kinds):
                raise StreamError(f"{item.name} must be {_IN_WORDS[kinds[-1]]}, not {value!r}")
            if rules["choices"] and value not in rules["choices"]:
                raise StreamError(f'{item.name} is "{value}"; it must be one of: {", ".join(rules["choices"])}')
            if rules["low"] is not None and not rules["low"] <= value <= rules["high"]:
                raise StreamError(f"{item.name} is {value}; it must lie between {rules['low']:g} and {rules['high']:g}")
        if not self.height <= self.width <= _WIDEST * self.height:
            raise StreamError(
                f"an image of {self.width} x {self.height} cannot be shown: the width must be 1 to {_WIDEST} times the height"
            )

    def scene(self) -> Scene:
        """What is seen. Frames after the end of a clip go on: its paths are walked back and forth."""
        if self.suite == DEMO:
            return demo_scene(self.width, self.height, self.seed)
        return make_clip(self.suite, self.seed, self.width, self.height).scene

    @property
    def period_ns(self) -> int:
        """Nanoseconds from frame to frame."""
        return round(1e9 / self.fps)

    def kept(self, index: int) -> bool:
        """Whether a frame is published at all; a function of seed and frame number."""
        return bool(np.random.default_rng([self.seed, index, _DROP]).random() >= self.drop)

    def delay_ns(self, index: int) -> int:
        """From a frame's stamp to its publication, never negative; a function of seed and frame number."""
        strayed = float(np.clip(np.random.default_rng([self.seed, index, _DELAY]).standard_normal(), -_JITTER_REACH, _JITTER_REACH))
        return round((_JITTER_REACH + strayed) * self.jitter_ms * 1e6)
