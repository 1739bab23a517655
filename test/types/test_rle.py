# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Run-length encoding and bounding boxes of masks follow the conventions of COCO."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pycocotools import mask as coco_mask

from lang2segtrack_ros.types.rle import Rle, mask_box


@settings(max_examples=50, deadline=None)
@given(arrays(bool, st.tuples(st.integers(1, 40), st.integers(1, 40))))
def test_rle_round_trip_equals_pycocotools(mask: np.ndarray) -> None:
    """Other programs compare the encoded strings, so the encoding must equal the one of pycocotools exactly."""
    encoded = Rle.encode(mask)
    assert (encoded.height, encoded.width) == mask.shape
    assert np.array_equal(encoded.decode(), mask)
    assert encoded.counts == coco_mask.encode(np.asfortranarray(mask, np.uint8))["counts"].decode()


def test_rle_is_column_major() -> None:
    """A row-major encoding would survive the round trip, but other COCO readers would decode it wrongly."""
    mask = np.zeros((2, 3), bool)
    mask[0, 1] = True  # column-major runs: 2 off, 1 on, 3 off
    assert Rle.encode(mask).counts == "213"


def test_mask_box_has_exclusive_maxima() -> None:
    mask = np.zeros((9, 12), bool)
    assert mask_box(mask) is None
    mask[2:5, 3] = mask[8, 11] = True
    assert mask_box(mask) == (3.0, 2.0, 12.0, 9.0)
    assert mask_box(np.asfortranarray(mask)) == (3.0, 2.0, 12.0, 9.0)


@pytest.mark.parametrize("change", [lambda text: "", lambda text: text[:-5], lambda text: text + "1"], ids=["none", "cut", "longer"])
def test_runs_of_another_size_are_refused(change: Callable[[str], str]) -> None:
    """A damaged file must not become a mask with uninitialized pixels."""
    mask = np.zeros((480, 640), bool)
    mask[100:300, 200:400] = True
    damaged = Rle(480, 640, change(Rle.encode(mask).counts))
    with pytest.raises(ValueError, match=r"of 480 x 640 pixels|run-length counts"):
        damaged.decode()
