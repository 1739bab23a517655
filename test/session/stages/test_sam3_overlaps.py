# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Overlapping masks with the rules of SAM 3."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers import Sam3VideoModel

from lang2segtrack_ros.session.stages.sam3_overlaps import _exclusive_masks, lost_masks
from test.identity.synthetic import track
from test.session.stages.builders import boxed


@pytest.mark.parametrize("seed", range(10))
def test_lost_masks_agree_with_transformers(seed: int) -> None:
    """Blocks of random logits overlap each other. The reference empties the masks that shrink too much."""
    rng = np.random.default_rng(seed)
    logits = torch.full((6, 12, 12), -5.0)
    for row in range(6):
        y, x = rng.integers(0, 7, 2)
        logits[row, y : y + 5, x : x + 5] = torch.from_numpy(rng.normal(3.0, 2.0, (5, 5)).astype(np.float32))
    labels = {row: str(rng.choice(["red circle", "blue star"])) for row in range(6)}
    prompts = [sorted({*labels.values()}).index(label) for label in labels.values()]
    reference = Sam3VideoModel._suppress_object_pw_area_shrinkage
    after = reference(_Methods(), logits[:, None], prompts)[:, 0]  # type: ignore[arg-type]
    emptied = [row for row in range(6) if (logits[row] > 0).any() and not (after[row] > 0).any()]
    assert sorted(lost_masks(logits, labels)) == emptied


class _Methods:
    """The methods that the reference calls on itself."""

    _suppress_object_pw_area_shrinkage_impl = Sam3VideoModel._suppress_object_pw_area_shrinkage_impl
    _apply_non_overlapping_constraints = Sam3VideoModel._apply_non_overlapping_constraints
    _suppress_shrunk_masks = Sam3VideoModel._suppress_shrunk_masks


def test_pixels_belong_to_the_object_of_their_label_with_the_highest_object_score() -> None:
    """The objects have equal scores, so the older one keeps the shared pixels. Another label shares them freely."""
    masks = _exclusive_masks([track(1, 10), track(2, 15), track(3, 12, label="blue star"), boxed(4, None)])
    assert list(masks) == [2]
    assert masks[2].sum() == 50
