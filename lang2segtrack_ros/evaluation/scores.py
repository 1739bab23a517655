# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Scores that runs from boxes and from text share: agreement of masks, and identity over time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from lang2segtrack_ros.evaluation.identity import Reappearance, combine
from lang2segtrack_ros.evaluation.masks import Mask, boundary_f, region_j
from lang2segtrack_ros.toyworld.metrics import MIN_PIXELS
from lang2segtrack_ros.types.frame import Frame
from lang2segtrack_ros.types.prompt_handle import PromptHandle
from lang2segtrack_ros.types.prompts import BoxPrompt
from lang2segtrack_ros.types.results import FrameResult

FRAME_NS = 1_000_000_000 // 15
"""Time between two frames of a toy clip in nanoseconds."""
ObjectKey = tuple[str, int, int]
"""Suite, seed and number of an object."""
ScoreT = TypeVar("ScoreT", bound="TrackScore")


class BoxTracker(Protocol):
    """A tracker that starts from boxes, such as `Session`."""

    def prompt(self, prompt: BoxPrompt) -> PromptHandle:
        """Queue a box for the next frame."""
        ...

    def step(self, frame: Frame) -> FrameResult:
        """Process one frame."""
        ...


@dataclass
class TrackScore:
    """Agreement of objects with their tracks, one entry per object and evaluated frame.

    Attributes:
        objects: object of each entry.
        j, f: region similarity and boundary accuracy.
        pixels: number of visible pixels of the object in ground truth.
        empty: True for an empty mask.
        reappearances: see `IdentityRecord.reappearances`.
        results: TrackEval's results of each clip.
    """

    objects: list[ObjectKey] = field(default_factory=list)
    j: list[float] = field(default_factory=list)
    f: list[float] = field(default_factory=list)
    pixels: list[int] = field(default_factory=list)
    empty: list[bool] = field(default_factory=list)
    reappearances: list[Reappearance] = field(default_factory=list)
    results: list[dict[str, Any]] = field(default_factory=list)

    def add(self, key: ObjectKey, mask: Mask, truth: Mask) -> None:
        """Add one object on one frame.

        Args:
            key: suite, seed and number of the object.
            mask: bool [H, W], the mask of its track.
            truth: bool [H, W], the visible pixels of the object.
        """
        self.objects.append(key)
        self.j.append(region_j(mask, truth))
        self.f.append(boundary_f(mask, truth))
        self.pixels.append(int(np.count_nonzero(truth)))
        self.empty.append(not mask.any())

    @property
    def j_by_object(self) -> dict[ObjectKey, float]:
        """Return the mean J of each object over its visible frames."""
        values: dict[ObjectKey, list[float]] = defaultdict(list)
        for key, j, pixels in zip(self.objects, self.j, self.pixels):
            if pixels >= MIN_PIXELS:
                values[key].append(j)
        return {key: float(np.mean(entries)) for key, entries in values.items()}

    def summary(self) -> dict[str, float]:
        """Return means over objects and frames, 0..1, and identity metrics over clips; NaN for a mean without any entry."""
        j, pixels, empty = (np.array(values) for values in (self.j, self.pixels, self.empty))
        visible, hidden = pixels >= MIN_PIXELS, pixels == 0
        by_object = list(self.j_by_object.values())
        identity = combine(self.results)
        return {
            "J_objects": mean(by_object),
            "J_visible": mean(j[visible]),
            "hidden_empty": mean(empty[hidden]),
            "visible_empty": mean(empty[visible]),
            "objects": len(by_object),
            "hidden_frames": int(hidden.sum()),
            **identity,
            "switches_per_1000": 1000 * identity["id_switches"] / max(identity["object_frames"], 1),
            "returns": len(self.reappearances),
            "found_again": mean([item.has_old_id for item in self.reappearances]),
            "frames_to_find": mean([item.delay for item in self.reappearances if item.found]),
        }


def mean(values: Sequence[float] | NDArray[Any]) -> float:
    """Return the mean of numbers; NaN without any."""
    return float(np.mean(values)) if len(values) else float("nan")


def merge(scores: Sequence[ScoreT]) -> ScoreT:
    """Return one score with the entries of several clips.

    Args:
        scores: at least one score; all have the same type.
    """
    merged = type(scores[0])()
    for item in fields(merged):
        total = getattr(merged, item.name)
        for score in scores:
            total = total + getattr(score, item.name)
        setattr(merged, item.name, total)
    return merged
