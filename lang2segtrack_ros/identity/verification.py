# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Verification: the rules that decide whether a track still shows its object.

* Re-identification. An object needs re-identification after `reid_after_s` without being visible, and after a scene cut. Such an object
  is hidden until its mask resembles it (`reid_threshold`), or until the detector finds it again. After a scene cut, its mask must
  have its shape and size too. For an object that the detector looks for, even this is not enough. The detector must find it.
* Changed appearance. An object whose appearance differs from its model on three consecutive frames needs re-identification too. Its
  track has moved to something else.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lang2segtrack_ros.identity.appearance import Appearance, appearance_of, appearance_similarity
from lang2segtrack_ros.identity.association import CONFIDENT_IOU
from lang2segtrack_ros.identity.feature_appearance import FeatureModel, Observation
from lang2segtrack_ros.identity.lifecycle import NS
from lang2segtrack_ros.identity.look_alikes import AppearanceOptions, Sample, compare
from lang2segtrack_ros.identity.shape import ShapeModel, shape_of
from lang2segtrack_ros.identity.track_state import Tracks, TrackState, Verification
from lang2segtrack_ros.types.options import option
from lang2segtrack_ros.types.results import Track

_APPEARANCE_MOMENTUM = 0.95  # weight of the stored appearance when the appearance on a new frame is mixed in
_DISSIMILARITY_MARGIN = 0.2  # an object differs from its model below `reid_threshold` minus this margin
_MAX_DISSIMILAR_FRAMES = 3  # consecutive frames with a different appearance before re-identification


@dataclass(frozen=True)
class VerificationOptions(AppearanceOptions):
    """Options of the verification of tracks."""

    reid_after_s: float = option(
        1.0,
        "Time in seconds after which a hidden object must be re-identified. Set to 0 to disable all re-identification of tracks.",
        0.0,
        3600.0,
    )
    reid_threshold: float = option(
        0.8,
        "Minimum similarity of appearances to re-identify an object. Set to 0 to accept every match.",
        0.0,
        1.0,
    )


def require_reid(tracks: Tracks, phrases: Collection[str], options: VerificationOptions) -> dict[int, TrackState]:
    """Return the states after a scene cut: all objects need re-identification.

    Args:
        tracks: states of the objects by id.
        phrases: names that the detector looks for. The detector must find objects with these names again.
        options: see `VerificationOptions`.
    """
    if options.reid_after_s <= 0:
        return dict(tracks)

    def need(state: TrackState) -> Verification:
        must_detect = state.is_detected and state.label in phrases
        return Verification.NEEDS_REDETECTION if must_detect else Verification.NEEDS_CLOSE_REID

    return {key: replace(state, verification=need(state)) for key, state in tracks.items()}


def resembles(track: Track, state: TrackState, sample: Sample, options: VerificationOptions) -> bool:
    """Return True if the mask of a track on an image resembles its object. An object without a model resembles every mask.

    Args:
        track: the visible track.
        state: state of its object.
        sample: appearance of the mask.
        options: see `VerificationOptions`.
    """
    if state.appearance is None:
        return True
    if not compare([sample], [state], options.appearance, options.reid_threshold)[1][0, 0]:
        return False
    return state.verification < Verification.NEEDS_CLOSE_REID or state.shape is None or state.shape.fits(shape_of(track.mask, track.box))


def count_unseen(state: TrackState, visible: bool, elapsed_ns: int, options: VerificationOptions) -> TrackState:
    """Return the state of an object after a frame on which it is visible or not.

    Args:
        state: the state before the frame.
        visible: True if the object has a mask on the frame.
        elapsed_ns: time since the previous frame in nanoseconds.
        options: see `VerificationOptions`.
    """
    unseen_ns = 0 if visible else state.unseen_ns + elapsed_ns
    state = replace(state, unseen_ns=unseen_ns) if unseen_ns != state.unseen_ns else state
    too_long = options.reid_after_s and unseen_ns >= options.reid_after_s * NS
    return state.requiring(Verification.NEEDS_REID) if too_long else state


def update_appearance(
    tracks: Tracks,
    visible: Iterable[Track],
    color: NDArray[np.uint8],
    options: VerificationOptions,
    observations: Mapping[int, Observation | None],
) -> dict[int, TrackState]:
    """Return the states with the appearances on a finished frame. Objects that differ from their model need re-identification.

    Args:
        tracks: states of the objects by id.
        visible: the visible tracks of the frame.
        color: image of the frame, RGB uint8 [H, W, 3].
        options: see `VerificationOptions`.
        observations: features and geometry by id, for the tracks that were observed.
    """
    updated = dict(tracks)
    for track in visible:
        state = tracks.get(track.id)
        if state is not None and state.verification is Verification.VERIFIED:
            appearance = appearance_of(color, track.mask, track.box)
            if appearance is not None:
                updated[track.id] = _with_appearance(state, appearance, track, options, observations.get(track.id))
    return updated


def differs(track: Track, state: TrackState, color: NDArray[np.uint8], options: VerificationOptions) -> bool:
    """Return True if the mask of a track on an image certainly shows something else than its object.

    Args:
        track: the visible track.
        state: state of its object.
        color: the image, RGB uint8 [H, W, 3].
        options: see `VerificationOptions`.
    """
    similarity = appearance_similarity(appearance_of(color, track.mask, track.box), state.appearance)
    return similarity < options.reid_threshold - _DISSIMILARITY_MARGIN


def _with_appearance(
    state: TrackState, appearance: Appearance, track: Track, options: VerificationOptions, observation: Observation | None
) -> TrackState:
    """Mix the appearance of a mask into the models of an object, or count a frame on which the colors differ from the model."""
    threshold = options.reid_threshold - _DISSIMILARITY_MARGIN
    dissimilar = state.appearance is not None and appearance_similarity(appearance, state.appearance) < threshold
    frames = state.dissimilar_frames + 1 if dissimilar else 0
    if frames >= _MAX_DISSIMILAR_FRAMES and options.reid_after_s > 0:
        return replace(state, dissimilar_frames=0).requiring(Verification.NEEDS_REID)
    if dissimilar or track.predicted_iou < CONFIDENT_IOU:
        return replace(state, dissimilar_frames=frames) if frames != state.dissimilar_frames else state
    old = state.appearance
    mixed = appearance if old is None else _APPEARANCE_MOMENTUM * old + (1 - _APPEARANCE_MOMENTUM) * appearance
    shape = shape_of(track.mask, track.box)
    model = ShapeModel.updated(state.shape, shape) if shape is not None else state.shape
    features = state.features
    if observation is not None:
        features = FeatureModel.of(observation) if features is None else features.updated(observation)
    return replace(state, dissimilar_frames=frames, appearance=mixed.astype(np.float32), features=features, shape=model)
