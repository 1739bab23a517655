# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Abilities of detectors, and the attributes that each ability needs."""

from __future__ import annotations

ABILITY_PARTS = {"text": ("check", "detect"), "exemplar": ("encode_exemplar", "detect_exemplar"), "batch": ("detect_batch",)}
"""Ability -> attributes of a detector that has it."""
_BASE_PARTS = ("name", "default_threshold")


def has_ability(detector: object, ability: str) -> bool:
    """Return whether a detector has the attributes of an ability.

    Args:
        detector: any detector.
        ability: "text", "exemplar" or "batch".
    """
    return all(hasattr(detector, part) for part in ABILITY_PARTS[ability])


def missing_parts(detector: object) -> list[str]:
    """Return the attributes that an object lacks to be a detector. A detector finds objects by text, by an exemplar, or by both."""
    required = _BASE_PARTS if has_ability(detector, "exemplar") else (*_BASE_PARTS, *ABILITY_PARTS["text"])
    return [part for part in required if not hasattr(detector, part)]
