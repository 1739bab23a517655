# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Options of a session: the options of all its stages."""

from __future__ import annotations

from dataclasses import dataclass, replace

from lang2segtrack_ros.detection.schedule import DetectionOptions
from lang2segtrack_ros.identity.confirmation import ConfirmationOptions
from lang2segtrack_ros.identity.crossings import CrossingOptions
from lang2segtrack_ros.identity.duplicates import DuplicateOptions
from lang2segtrack_ros.identity.lifecycle import LifecycleOptions
from lang2segtrack_ros.identity.sam3_rules import AssociationOptions
from lang2segtrack_ros.identity.scene_cut import SceneCutOptions
from lang2segtrack_ros.identity.verification import VerificationOptions
from lang2segtrack_ros.session.instruction_state import InstructionOptions
from lang2segtrack_ros.types.options import check_options, option


@dataclass(frozen=True)
class ObjectOptions:
    """Options of the objects and their masks."""

    max_objects: int = option(32, "Maximum number of objects. Further objects are refused.", 1, 256)
    min_region_ratio: float = option(
        0.05,
        "Minimum area of a mask region, as a fraction of the mask's largest region. Smaller regions are removed. Set to 0 to keep all.",
        0.0,
        1.0,
    )
    prompt_reach: float = option(
        0.02,
        "Maximum distance from a click or box to its mask, as a fraction of the image's longer side. Beyond it, the prompt is refused as "
        "empty background. Set to 1 to accept every mask.",
        0.0,
        1.0,
        dynamic=True,
    )


@dataclass(frozen=True)
class SessionOptions(
    AssociationOptions,
    SceneCutOptions,
    CrossingOptions,
    DuplicateOptions,
    VerificationOptions,
    ConfirmationOptions,
    LifecycleOptions,
    InstructionOptions,
    DetectionOptions,
    ObjectOptions,
):
    """Options of a session. `track_node` has a parameter of the same name for each option.

    Each stage declares its own options, with defaults, ranges and texts.

    Raises:
        OptionError: a value lies outside its range.
    """

    def __post_init__(self) -> None:
        check_options(self)

    @property
    def in_effect(self) -> SessionOptions:
        """Return the options of the stages. The rules of SAM 3 disable those that verify, merge and re-identify objects."""
        if self.association == "standard":
            return self
        return replace(self, scene_cut_threshold=0.0, resolve_crossings=False, merge_frames=0, reid_after_s=0.0, appearance="color")
