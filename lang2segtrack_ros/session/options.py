# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Options of a session."""

from __future__ import annotations

from dataclasses import dataclass, field

from lang2segtrack_ros.identity.track_registry import IdentityOptions


@dataclass(frozen=True)
class SessionOptions:
    """Options of a session. `track_node` has a parameter of the same name for each option and each field of `identity`.

    Attributes:
        detect_every: frames between two detections for continuous text prompts.
        max_objects: maximum number of objects. A prompt for another object is refused.
        min_region_ratio: regions below this fraction of the area of the largest region of a mask are removed, 0..1. 0 keeps all.
        lost_after_s: seconds without a mask after which an object is lost instead of occluded.
        remove_after_s: seconds without a mask after which an object is removed. 0 never removes it.
        scene_cut_threshold: correlation of two consecutive images below which a scene cut is assumed, 0..1. 0 disables the check.
        identity: options of the rules that keep the id of an object.
    """

    detect_every: int = 5
    max_objects: int = 32
    min_region_ratio: float = 0.05
    lost_after_s: float = 2.0
    remove_after_s: float = 0.0
    scene_cut_threshold: float = 0.5
    identity: IdentityOptions = field(default_factory=IdentityOptions)
