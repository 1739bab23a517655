# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The association rules of SAM 3, for comparison with the standard rules.

Source: `Sam3VideoModel` of transformers 5.23 with the defaults of `Sam3VideoConfig`, and N. Carion et al., "SAM 3: Segment Anything with
Concepts", 2025. SAM 3 detects on every frame, so a run of the detector counts as a frame here. All rules compare masks of one label.

* Match. A detection starts an object if its score reaches `NEW_SCORE` and its IoU with every track is below `MATCH_IOU`. One detection
  may match several tracks. Without any track, every detection starts an object.
* Probation (hotstart in SAM 3). An object is tentative in its first `PROBATION_RUNS` runs. It is removed after `MAX_UNMATCHED_RUNS` runs
  that show it without a detection, or after `MAX_SHARED_RUNS` runs on which an older track matches its detection. SAM 3 has no probation
  in a live stream.
* Conditioning (reconditioning in SAM 3). On every 16th run, a sure detection with nearly the mask of a track makes the track's memory of
  this frame a conditioning memory, as after a prompt.
* Occlusion. Of two tracks on the same pixels, the one that was hidden more recently is hidden. Both must have been hidden before.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from lang2segtrack_ros.identity.association import track_iou
from lang2segtrack_ros.identity.track_state import Pair
from lang2segtrack_ros.types.options import option
from lang2segtrack_ros.types.results import Track

DETECTION_SCORE = 0.5
"""SAM 3's minimum score of a detection. The scores of another detector are scaled, so that its default threshold has this value."""
NMS_IOU = 0.1
"""A detection whose mask has a higher IoU with one of a higher score is dropped."""
NEW_SCORE = 0.7
"""Minimum score of a detection that starts an object."""
MATCH_IOU = 0.1
"""Minimum mask IoU of a detection and a track to match."""
UNMATCHED_IOU = 0.5
"""A track is unmatched if its IoU with every detection is lower."""
PROBATION_RUNS = 15
"""Runs of the detector for which an object is tentative."""
MAX_UNMATCHED_RUNS = 8
"""Runs without a detection after which a tentative object is removed. They need not be consecutive."""
MAX_SHARED_RUNS = 8
"""Runs with a detection that an older track matches too, after which a tentative object is removed."""
CONDITIONING_RUNS = 16
"""Runs from one conditioning to the next."""
SURE_SCORE = 0.8
"""Minimum score of a detection that conditions a track. The logit of the track's object score must be higher than this value, too."""
SURE_IOU = 0.8
"""Minimum mask IoU of a detection and the track that it conditions."""
OCCLUDED_IOU = 0.7
"""Minimum mask IoU of two tracks on the same pixels."""


@dataclass(frozen=True)
class AssociationOptions:
    """Options of the association."""

    association: str = option(
        "standard",
        "Rules of association. standard: one-to-one association, with appearance, crossings and re-identification. sam3: the rules of "
        "SAM 3, for comparison. They keep objects tentative for 15 detections, and re-identify none. sam3-streaming: the same without "
        "tentative objects, as SAM 3 runs on a live stream.",
        choices=("standard", "sam3", "sam3-streaming"),
    )


@dataclass(frozen=True)
class Sam3State:
    """The memory of the rules.

    Attributes:
        runs: number of detector runs.
        born: number of the run that started each tentative object, by id.
        unmatched: number of runs without a detection, by id of a tentative object.
        shared: number of runs on which both tracks of a pair matched one detection, the older one first.
        hidden: last frame on which an object was hidden, by id. An object that was never hidden is absent.
    """

    runs: int = 0
    born: Mapping[int, int] = field(default_factory=dict)
    unmatched: Mapping[int, int] = field(default_factory=dict)
    shared: Mapping[Pair, int] = field(default_factory=dict)
    hidden: Mapping[int, int] = field(default_factory=dict)

    def of_objects(self, ids: Collection[int], tentative: Collection[int]) -> Sam3State:
        """Return the state without what it knows of other objects.

        Args:
            ids: ids of all objects.
            tentative: ids of the tentative objects.
        """
        return replace(
            self,
            born={key: run for key, run in self.born.items() if key in tentative},
            unmatched={key: count for key, count in self.unmatched.items() if key in tentative},
            shared={pair: count for pair, count in self.shared.items() if pair[0] in ids and pair[1] in tentative},
            hidden={key: frame for key, frame in self.hidden.items() if key in ids},
        )


@dataclass(frozen=True)
class Match:
    """The match of detections and tracks.

    Attributes:
        new: indices of the detections that start objects.
        tracks: ids of the matched tracks by index of the detection, highest IoU first.
        unmatched: ids of the visible tracks without a detection.
        sure: index of the detection that can condition a track, by id of the track.
    """

    new: tuple[int, ...]
    tracks: Mapping[int, tuple[int, ...]]
    unmatched: tuple[int, ...]
    sure: Mapping[int, int]


def match_masks(ious: NDArray[np.float64], scores: NDArray[np.float64], tracks: Sequence[Track]) -> Match:
    """Match detections with tracks, as `Sam3VideoModel._associate_det_trk` does.

    Args:
        ious: [N, M], mask IoUs of the detections and the tracks, 0 for different labels.
        scores: [N], scores of the detections on SAM 3's scale.
        tracks: the M tracks.
    """
    ids = [track.id for track in tracks]
    if not ids:
        return Match(tuple(range(len(scores))), {}, (), {})
    best = ious.max(1)
    new = (scores >= NEW_SCORE) & (best < MATCH_IOU)
    matched = {}
    for row, ious_of_row in enumerate(ious):
        matched[row] = tuple(ids[column] for column in np.argsort(-ious_of_row, kind="stable") if ious_of_row[column] >= MATCH_IOU)
    unmatched = tuple(
        track.id for column, track in enumerate(tracks) if track.box is not None and not (ious[:, column] >= UNMATCHED_IOU).any()
    )
    sure = np.flatnonzero((scores >= SURE_SCORE) & ~new & (best >= SURE_IOU))
    return Match(
        tuple(map(int, np.flatnonzero(new))),
        {row: found for row, found in matched.items() if found},
        unmatched,
        {ids[int(ious[row].argmax())]: int(row) for row in sure},
    )


def next_probation(state: Sam3State, match: Match, tentative: Collection[int]) -> tuple[Sam3State, set[int], set[int]]:
    """Count one run for the tentative objects, as `Sam3VideoModel._process_hotstart` does.

    Args:
        state: the state before the run.
        match: match of the detections of the run.
        tentative: ids of the tentative objects that the detector looked for.

    Returns:
        The state, and the ids of the objects to remove: those without detections, and the duplicates.
    """
    unmatched = Counter(state.unmatched) + Counter(key for key in match.unmatched if key in tentative)
    shared = Counter(state.shared)
    for ids in match.tracks.values():
        oldest = min(ids)
        shared.update((oldest, key) for key in ids if key != oldest and key in tentative)
    lonely = {key for key in tentative if unmatched[key] >= MAX_UNMATCHED_RUNS}
    duplicates = {key for (_, key), count in shared.items() if count >= MAX_SHARED_RUNS and key in tentative} - lonely
    return replace(state, unmatched=dict(unmatched), shared=dict(shared)), lonely, duplicates


def occluded_tracks(tracks: Iterable[Track], hidden: Mapping[int, int]) -> set[int]:
    """Return the ids of the tracks to hide because another one of their label covers the same pixels.

    See `Sam3VideoModel._get_objects_to_suppress_based_on_most_recently_occluded`.

    Args:
        tracks: the tracks of a frame.
        hidden: see `Sam3State`.
    """
    known = [track for track in tracks if track.box is not None and track.id in hidden]
    found = set()
    for index, one in enumerate(known):
        for other in known[index + 1 :]:
            one_hidden, other_hidden = hidden[one.id], hidden[other.id]
            if one.label == other.label and one_hidden != other_hidden and track_iou(one, other) >= OCCLUDED_IOU:
                found.add(one.id if one_hidden > other_hidden else other.id)
    return found
