# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The actions of the stages on the masks and the memories of a frame. `apply_actions` is the only place that carries them out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Union

from lang2segtrack_ros.identity.track_state import Pair
from lang2segtrack_ros.segmentation.shrinking import Patch
from lang2segtrack_ros.tracking.open_frame import OpenFrame, PromptPrediction


@dataclass(frozen=True, eq=False)
class Spawn:
    """Start a new object from the mask of a prompt."""

    track_id: int
    predicted: PromptPrediction


@dataclass(frozen=True, eq=False)
class Correct:
    """Replace the mask of an object by that of a prompt. The object keeps its memories."""

    track_id: int
    predicted: PromptPrediction


@dataclass(frozen=True, eq=False)
class Reinitialize:
    """Start an object anew from the mask of a prompt, under its id. Its memories show another object, and are dropped."""

    track_id: int
    predicted: PromptPrediction


@dataclass(frozen=True, eq=False)
class Reidentify:
    """Continue an absent object with the mask of a detection. The object keeps its memories, if the frame has them."""

    track_id: int
    predicted: PromptPrediction


@dataclass(frozen=True)
class Suspend:
    """Hide an object that failed its verification. The frame writes no memory of it."""

    track_id: int


@dataclass(frozen=True, eq=False)
class SplitOverlap:
    """Assign the pixels of two overlapping objects.

    Attributes:
        pair: ids of the objects.
        ownership: float32 image from 1 (first object) to -1 (second object), 0 for undecided pixels.
    """

    pair: Pair
    ownership: Patch


@dataclass(frozen=True)
class Remove:
    """End an object with this frame, because it is a false alarm."""

    track_id: int


Action = Union[Spawn, Correct, Reinitialize, Reidentify, Suspend, SplitOverlap, Remove]


def apply_actions(opened: OpenFrame, actions: Iterable[Action]) -> set[int]:
    """Carry out actions on an open frame: first hide and split masks as predicted from memory, then the others in order.

    Args:
        opened: the open frame.
        actions: the actions.

    Returns:
        Ids of the objects that end with this frame.
    """
    actions = list(actions)
    opened.hide({action.track_id for action in actions if isinstance(action, Suspend)})
    opened.split_overlaps({action.pair: action.ownership for action in actions if isinstance(action, SplitOverlap)})
    removed = set()
    for action in actions:
        if isinstance(action, (Spawn, Reinitialize)):
            opened.accept(action.predicted, action.track_id)
        elif isinstance(action, (Correct, Reidentify)):
            opened.accept(action.predicted, action.track_id, keep_memories=action.track_id in opened.rows.ids)
        elif isinstance(action, Remove):
            removed.add(action.track_id)
    return removed
