# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Look-alikes: objects of one label whose colors do not tell them apart.

The appearance of an object has two models: its colors (`appearance`) and its features with its geometry (`feature_appearance`). By
default, colors decide whether a mask can show an object. Colors and features together decide which of several objects it shows:

* Joint assignment. Masks are assigned to all objects of their label at once, not one after the other.
* Waiting. While the edge of the image or another object cuts a mask, its geometry is unknown. If two objects come into question, the
  decision waits for the whole mask, for a limited time.
* Moved tracks. A track can follow a look-alike of its object. If other objects explain the masks of a label much better together, the
  masks belong to those objects.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from lang2segtrack_ros.identity.appearance import Appearance, appearance_of, appearance_similarity
from lang2segtrack_ros.identity.association import box_iou
from lang2segtrack_ros.identity.feature_appearance import Observation, geometry_of, join, joint_similarity, similarity
from lang2segtrack_ros.identity.track_state import TrackState
from lang2segtrack_ros.types.options import option
from lang2segtrack_ros.types.rle import Box

Mask = NDArray[np.bool_]
Pool = Callable[[Sequence[Mask]], NDArray[np.float32]]
"""Pools the features of an image under masks: [N, S + C], see `feature_pooling.pool`."""

MAX_WAIT_FRAMES = 20  # frames from the first cut mask until the decision no longer waits
_SWAP_MARGIN = 0.1  # gain above which masks belong to other objects
_SAME_BOX_IOU = 0.8  # boxes of two tracks on one object have at least this IoU
_MIN_SIMILARITY = 1e-6


@dataclass(frozen=True)
class AppearanceOptions:
    """Options of the appearance models."""

    appearance: str = option(
        "both",
        "Appearance that re-identifies objects. color: color histograms. features: features of the segmenter, size and shape. "
        "both: color first. Features decide between objects of similar color.",
        choices=("color", "features", "both"),
    )


@dataclass(frozen=True, eq=False)
class Sample:
    """The appearance of one mask.

    Attributes:
        color: color histogram. None for a tiny mask.
        features: features and geometry. None for a tiny mask, or if they were not pooled.
    """

    color: Appearance | None
    features: Observation | None = None

    @property
    def is_cut(self) -> bool:
        """Return True if the geometry is unknown."""
        return self.features is None or bool(np.isnan(self.features[0]))


def samples_of(
    masks: Sequence[Mask], boxes: Sequence[Box], color: NDArray[np.uint8], pool: Pool | None, others: Iterable[Box] = ()
) -> list[Sample]:
    """Observe the appearance of masks on one image.

    Args:
        masks: bool [H, W] each.
        boxes: their boxes.
        color: the image, RGB uint8 [H, W, 3].
        pool: see `Pool`. None leaves out the features.
        others: boxes of all objects, which may cover parts of the masks.
    """
    features = observe_features(masks, boxes, pool, others) if pool is not None else [None] * len(masks)
    return [Sample(appearance_of(color, mask, box), item) for mask, box, item in zip(masks, boxes, features)]


def observe_features(masks: Sequence[Mask], boxes: Sequence[Box], pool: Pool, others: Iterable[Box] = ()) -> list[Observation | None]:
    """Observe the features and the geometry of masks. See `samples_of` for the arguments."""
    if not masks:
        return []
    wholes = _are_whole(boxes, list(others))
    return [join(geometry_of(mask, whole, box), row) for mask, whole, box, row in zip(masks, wholes, boxes, pool(masks))]


def _are_whole(boxes: Sequence[Box], others: Sequence[Box]) -> list[bool]:
    """Return for each box whether it keeps clear of all the others by a pixel. A nearly equal box is that of a track on the same object."""
    every = np.array([*boxes, *others], float).reshape(-1, 4)
    start, end = every[:, None, :2], every[:, None, 2:]
    touches = ((start <= every[None, :, 2:] + 1) & (every[None, :, :2] <= end + 1)).all(-1)
    cuts = touches & (box_iou(every, every) < _SAME_BOX_IOU)
    return [not row.any() for row in cuts[: len(boxes)]]


def compare(
    samples: Sequence[Sample], states: Sequence[TrackState], kind: str, threshold: float
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Compare masks with objects.

    Args:
        samples: appearances of N masks.
        states: states of M objects.
        kind: value of the option `appearance`.
        threshold: minimum similarity of the same object, 0..1.

    Returns:
        Similarities float64 [N, M], 0..1, and bool [N, M], True if the mask can show the object.
    """
    by_color = np.array([[appearance_similarity(item.color, state.appearance) for state in states] for item in samples])
    by_color = by_color.reshape(len(samples), len(states))
    if kind == "color" or not any(state.features is not None for state in states):
        return by_color, by_color >= threshold
    by_features = np.array([[_feature_similarity(item, state) for state in states] for item in samples]).reshape(by_color.shape)
    if kind == "features":
        return by_features, by_features >= threshold
    return joint_similarity(by_features, by_color), by_color >= threshold


def _feature_similarity(sample: Sample, state: TrackState) -> float:
    """Return the similarity in features; 1 if one of both is unknown."""
    if sample.features is None or state.features is None:
        return 1.0
    return float(similarity(sample.features, state.features))


def must_wait(sample: Sample, states: Iterable[TrackState], index: int) -> bool:
    """Return True if the decision on a cut mask waits for the whole mask.

    Args:
        sample: appearance of the mask.
        states: objects of its label that come into question.
        index: frame number.
    """
    known = [state for state in states if state.features is not None and not np.isnan(state.features.mean[0])]
    return len(known) > 1 and sample.is_cut and all(is_patient(state, index) for state in known)


def is_patient(state: TrackState, index: int) -> bool:
    """Return True if an object has not yet waited `MAX_WAIT_FRAMES` frames for a whole mask."""
    return state.waiting_since is None or index - state.waiting_since < MAX_WAIT_FRAMES


@dataclass(frozen=True)
class Explanation:
    """The objects that masks show.

    Attributes:
        objects: id of the object of each mask, by id of the track. Masks that can show no object are left out.
        gain: logarithm of the similarities of all masks with these objects, minus that with the objects of their tracks.
    """

    objects: Mapping[int, int]
    gain: float = 0.0

    @property
    def moved(self) -> dict[int, int]:
        """Return the id of the object by id of the track, for masks of other objects whose own tracks have other masks."""
        return {key: track_id for key, track_id in self.objects.items() if key != track_id and self.objects.get(track_id) != track_id}

    def is_certain(self, samples: Mapping[int, Sample]) -> bool:
        """Return True if masks certainly show other objects, and one of these masks is whole."""
        return self.gain > _SWAP_MARGIN and any(not samples[key].is_cut for key in self.moved)


def explain(samples: Mapping[int, Sample], states: Mapping[int, TrackState], kind: str, threshold: float) -> Explanation:
    """Assign different masks to objects of one label.

    Args:
        samples: appearances of the masks of tracks, by id of the track.
        states: states of all objects of the label with a model, by id.
        kind: value of the option `appearance`.
        threshold: minimum similarity of the same object, 0..1.
    """
    keys, ids = list(samples), list(states)
    if not keys or not ids:
        return Explanation({})
    similarities, allowed = compare([samples[key] for key in keys], [states[key] for key in ids], kind, threshold)
    table = np.log(np.maximum(similarities, _MIN_SIMILARITY))
    objects, gain = {}, 0.0
    for row, column in zip(*linear_sum_assignment(table, maximize=True)):
        if allowed[row, column]:
            objects[keys[row]] = ids[column]
            gain += float(table[row, column] - table[row, ids.index(keys[row])]) if keys[row] in states else 0.0
    return Explanation(objects, gain)
