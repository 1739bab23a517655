# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Overlapping masks with the rules of SAM 3, after the other stages of a frame.

* A track that another one occludes is hidden; see `sam3_rules.occluded_tracks`. Its memory of the frame is that of a hidden object.
* A mask that loses more than 70 % of its area to others of its label, pixel by pixel to the highest logit, stays in the result. Its memory
  of the frame is that of a hidden object; see `Sam3VideoModel._suppress_object_pw_area_shrinkage`.
* In the result, each pixel belongs to one object of a label: that with the highest object score; see `Sam3VideoProcessor`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lang2segtrack_ros.identity.sam3_rules import occluded_tracks
from lang2segtrack_ros.session.state import SessionState
from lang2segtrack_ros.tracking.open_frame import OpenFrame
from lang2segtrack_ros.types.results import Track
from lang2segtrack_ros.types.rle import mask_box

MIN_KEPT_AREA = 0.3
"""Minimum ratio of a mask's area that must remain for a memory of the mask."""


def resolve_overlaps(
    state: SessionState, tracks: Sequence[Track], opened: OpenFrame, removed: Collection[int]
) -> tuple[SessionState, tuple[Track, ...]]:
    """Return the state and the tracks of a frame without overlaps, and empty the memories of occluded objects.

    Args:
        state: the state after the other stages.
        tracks: the tracks after the other stages.
        opened: the open frame.
        removed: ids of objects that end with this frame.
    """
    ids = opened.rows.ids
    existing = [track for track in tracks if track.id in ids and track.id not in opened.prompted]
    occluded = occluded_tracks(existing, state.sam3.hidden)
    hidden = dict.fromkeys((track.id for track in existing if track.box is None or track.id in occluded), state.frame_index)
    state = replace(state, sam3=replace(state.sam3, hidden={**state.sam3.hidden, **hidden}))
    if opened.readout is not None:
        logits = opened.readout.prediction.low_res_logits
        labels = {row: state.labels.get(key, "") for row, key in enumerate(ids) if key not in occluded}
        lost = {ids[row] for row in lost_masks(logits, labels)}
        opened.empty_memories(occluded | lost - {*opened.prompted})
    last = state.last.by_id if state.last is not None else {}
    masks = _exclusive_masks([track for track in tracks if track.id not in occluded and track.id not in removed])
    masks |= {track.id: np.zeros_like(track.mask) for track in existing if track.id in occluded}
    return state, tuple(_with_mask(track, masks[track.id], last.get(track.id)) if track.id in masks else track for track in tracks)


def lost_masks(logits: Tensor, labels: Mapping[int, str]) -> list[int]:
    """Return the rows of the masks that lose most of their area if each pixel belongs to the highest logit of a label.

    Args:
        logits: [N, h, w], mask logits.
        labels: labels by row, for the rows to compare.
    """
    lost: list[int] = []
    for label in sorted({*labels.values()}):
        rows = torch.tensor([row for row, other in labels.items() if other == label], device=logits.device)
        masks = logits[rows]
        owned = masks.argmax(0) == torch.arange(len(rows), device=logits.device)[:, None, None]
        area, kept = (pixels.flatten(1).sum(1) for pixels in (masks > 0, (masks > 0) & owned))
        lost += rows[kept < MIN_KEPT_AREA * area].tolist()
    return lost


def _exclusive_masks(tracks: Sequence[Track]) -> dict[int, NDArray[np.bool_]]:
    """Return the masks that lose pixels to a track of their label with a higher object score, by id."""
    taken: dict[str, NDArray[np.bool_]] = {}
    changed = {}
    for track in sorted((track for track in tracks if track.box is not None), key=lambda track: (-track.object_score, track.id)):
        others = taken.get(track.label)
        if others is not None and (track.mask & others).any():
            changed[track.id] = track.mask & ~others
        taken[track.label] = track.mask if others is None else track.mask | others
    return changed


def _with_mask(track: Track, mask: NDArray[np.bool_], last: Track | None) -> Track:
    """Return a track with another mask. `last` is the track in the previous result."""
    box = mask_box(mask)
    if box is not None:
        return replace(track, mask=mask, box=box)
    return replace(track, mask=mask, box=None, score=0.0, frames_since_seen=1 + (last.frames_since_seen if last is not None else 0))
