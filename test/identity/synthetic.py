# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Tracks, objects and images for the tests of identity rules, without any network."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lang2segtrack_ros.identity.appearance import Appearance, appearance_of
from lang2segtrack_ros.identity.feature_appearance import GEOMETRY, Observation
from lang2segtrack_ros.identity.track_state import Origin, Tracks, TrackState, Verification
from lang2segtrack_ros.types.results import Track, TrackStatus

Color = tuple[int, int, int]
RED: Color = (215, 40, 40)
REDDISH: Color = (200, 60, 50)
BLUE: Color = (45, 80, 215)
HEIGHT, WIDTH = 40, 120
PHRASES = ("red circle",)


def track(track_id: int, x: int | None = 10, label: str = "red circle", predicted_iou: float = 0.9) -> Track:
    """Return a track with a square of 10 pixels at column x, or without a mask for None."""
    mask = np.zeros((HEIGHT, WIDTH), bool)
    if x is not None:
        mask[5:15, x : x + 10] = True
    box = None if x is None else (float(x), 5.0, float(x + 10), 15.0)
    return Track(track_id, label, TrackStatus.TRACKED, 0.9, box, mask, predicted_iou, 3.0, 0.9, 5)


def picture(*colors: Color, seed: int = 0) -> NDArray[np.uint8]:
    """Return an image with vertical stripes of these colors from left to right, and with camera noise."""
    noise = np.random.default_rng(seed).normal(0, 5, (HEIGHT, WIDTH, 3))
    columns = np.array(colors)[np.arange(WIDTH) * len(colors) // WIDTH]
    return np.clip(columns[None] + noise, 0, 255).astype(np.uint8)


def appearance(color: Color) -> Appearance | None:
    """Return the appearance of an object of one color."""
    return appearance_of(picture(color), track(1).mask)


def detected(track_id: int, label: str = "red circle", confirmed: bool = False) -> TrackState:
    """Return an object of a continuous text prompt after its first detection."""
    return TrackState(track_id, label, Origin.DETECTION, confirmed)


def prompted(track_id: int, label: str = "mine") -> TrackState:
    """Return an object of a user's box, points or mask."""
    return TrackState(track_id, label, Origin.PROMPT, confirmed=True)


def observation(size: float = 0.0, context: int = 0, geometry: float = 0.0) -> Observation:
    """Return features with 2 surface and 16 context channels. `context` is the channel of the unit vector; `geometry` NaN is unknown."""
    values = np.zeros(GEOMETRY + 18, np.float32)
    values[:GEOMETRY] = geometry
    values[0] += size
    values[GEOMETRY : GEOMETRY + 2] = 1.0
    values[GEOMETRY + 2 + context] = 1.0
    return values


def by_id(*states: TrackState) -> dict[int, TrackState]:
    """Return objects by id."""
    return {state.id: state for state in states}


def unverified(states: Tracks) -> list[int]:
    """Return the ids of the objects that need verification."""
    return [key for key, state in states.items() if state.verification is not Verification.VERIFIED]
