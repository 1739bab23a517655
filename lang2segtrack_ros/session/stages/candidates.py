# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Candidates: detections without a track. Each is a new object, or an absent one that returns; see `associate`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from lang2segtrack_ros.detection.detector import Detection
from lang2segtrack_ros.identity.look_alikes import Sample, compare, must_wait, samples_of
from lang2segtrack_ros.identity.region import Region
from lang2segtrack_ros.identity.track_state import TrackState
from lang2segtrack_ros.session.context import FrameContext
from lang2segtrack_ros.session.options import SessionOptions
from lang2segtrack_ros.session.state import SessionState
from lang2segtrack_ros.tracking.open_frame import PromptPrediction
from lang2segtrack_ros.types.rle import Box, mask_box

_NO_BOX: Box = (0.0, 0.0, 1.0, 1.0)  # of an empty mask, which has no appearance


@dataclass(frozen=True, eq=False)
class Candidate:
    """A detection without a track.

    Attributes:
        index: index of the detection.
        label: its label.
        predicted: prediction of its mask, clipped to its box.
        region: the mask. None if it is empty.
        sample: appearance of the mask.
    """

    index: int
    label: str
    predicted: PromptPrediction
    region: Region | None
    sample: Sample


def observe(
    masks: Sequence[NDArray[np.bool_]],
    detections: Sequence[Detection],
    state: SessionState,
    context: FrameContext,
    color: NDArray[np.uint8],
) -> list[Sample]:
    """Observe the appearances of candidates. Features are pooled only if objects of their labels have a model of them.

    Args:
        masks: bool [H, W], mask of each candidate.
        detections: detection of each candidate.
        state: the state.
        context: view of the frame of the detections.
        color: image of this frame, RGB uint8 [H, W, 3].
    """
    labels = {detection.label for detection in detections}
    has_model = any(known.features is not None and known.label in labels for known in state.tracks.values())
    pool = context.masks.pool if context.options.appearance != "color" and has_model else None
    others = [cast(Box, track.box) for track in context.visible.values()]
    return samples_of(masks, [mask_box(mask) or _NO_BOX for mask in masks], color, pool, others)


def without_waiting(
    candidates: Sequence[Candidate], lost_ids: Sequence[int], state: SessionState, context: FrameContext
) -> tuple[SessionState, list[Candidate]]:
    """Leave out the candidates that wait for a whole mask. Return the state, in which their possible objects wait, and the others.

    Args:
        candidates: the candidates.
        lost_ids: ids of the objects that come into question.
        state: the state.
        context: view of the frame of the detections.
    """
    tracks, decided = dict(state.tracks), []
    for candidate in candidates:
        lost = [state.tracks[key] for key in lost_ids if state.tracks[key].label == candidate.label]
        if candidate.sample.features is not None and must_wait(candidate.sample, lost, context.index):
            tracks |= {known.id: known.waiting(context.index) for known in lost}
        else:
            decided.append(candidate)
    return replace(state, tracks=tracks), decided


def objects_of(candidates: Sequence[Candidate], lost: Sequence[TrackState], options: SessionOptions) -> dict[int, int]:
    """Assign candidates to absent or stray objects of their label, such that the sum of appearance similarities is maximal.

    Args:
        candidates: the candidates.
        lost: the objects. Each is assigned at most once.
        options: options of the session.

    Returns:
        A dict from index in `candidates` to index in `lost`.
    """
    if not candidates or not lost:
        return {}
    samples = [candidate.sample for candidate in candidates]
    similarities, allowed = compare(samples, lost, options.appearance, options.reid_threshold)
    same_label = np.array([[candidate.label == known.label for known in lost] for candidate in candidates])
    pairs = zip(*linear_sum_assignment(np.where(same_label, similarities, -1.0), maximize=True))
    return {int(row): int(column) for row, column in pairs if allowed[row, column] and same_label[row, column]}
