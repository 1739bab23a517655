# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Results encode masks as COCO does, and box them."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pycocotools import mask as coco_mask

from lang2segtrack_ros.types.rle import Rle, mask_box


@settings(max_examples=50, deadline=None)
@given(arrays(bool, st.tuples(st.integers(1, 40), st.integers(1, 40))))
def test_rle_round_trip(mask: np.ndarray) -> None:
    coded = Rle.encode(mask)
    assert (coded.height, coded.width) == mask.shape
    assert np.array_equal(coded.decode(), mask)
    assert coded.counts == coco_mask.encode(np.asfortranarray(mask, np.uint8))["counts"].decode(), "another reader's comparison of strings"


def test_rle_is_column_major() -> None:
    """A wrong order would survive the round trip, but no other COCO reader would understand it."""
    mask = np.zeros((2, 3), bool)
    mask[0, 1] = True  # runs down the columns: 2 off, 1 on, 3 off
    assert Rle.encode(mask).counts == "213"


def test_box_of_a_mask() -> None:
    mask = np.zeros((9, 12), bool)
    assert mask_box(mask) is None
    mask[2:5, 3] = mask[8, 11] = True
    assert mask_box(mask) == (3.0, 2.0, 12.0, 9.0)
    assert mask_box(np.asfortranarray(mask)) == (3.0, 2.0, 12.0, 9.0)
