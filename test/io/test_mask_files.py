# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Masks of other tools are read as their users mean them, or refused with their values."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from lang2segtrack_ros.io.mask_files import read_mask
from lang2segtrack_ros.types.prompts import PromptError

DISK = cv2.circle(np.zeros((60, 80), np.uint8), (40, 30), 20, 1, -1)


def colored(*bgr: int) -> NDArray[np.uint8]:
    """Return the disk in one color on black."""
    return DISK[..., None] * np.array(bgr, np.uint8)


ALPHA = np.dstack((np.full((60, 80, 3), 200, np.uint8), DISK * 255))
OPAQUE = np.dstack((colored(0, 0, 255), np.full((60, 80), 255, np.uint8)))


@pytest.mark.parametrize(
    "pixels",
    [DISK, DISK * 255, DISK.astype(np.uint16), DISK.astype(np.uint16) * 260, colored(0, 0, 1), colored(9, 80, 0), ALPHA, OPAQUE],
    ids=["id 1", "white", "16 bits, id 1", "16 bits, id 260", "dim red", "a color", "alpha channel", "opaque color"],
)
def test_every_value_but_zero_is_the_object(tmp_path: Path, pixels: NDArray[np.uint8]) -> None:
    cv2.imwrite(str(tmp_path / "mask.png"), pixels)
    np.testing.assert_array_equal(read_mask(tmp_path / "mask.png"), DISK > 0)


@pytest.mark.parametrize(("pixels", "values"), [(np.uint16, "5, 260"), (np.uint8, "1, 2")], ids=["16 bits", "8 bits"])
def test_several_objects_are_refused_by_their_values(tmp_path: Path, pixels: type, values: str) -> None:
    """One of them would be tracked silently otherwise, or both as one."""
    low, high = map(int, values.split(", "))
    mask = DISK.astype(pixels) * low
    mask[:10, :10] = high
    cv2.imwrite(str(tmp_path / "mask.png"), mask)
    with pytest.raises(PromptError, match=f"shows 2 objects, with the values {values}: give one file for each object"):
        read_mask(tmp_path / "mask.png")


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_soft_edges_are_cut_at_half(tmp_path: Path, caplog: pytest.LogCaptureFixture, suffix: str) -> None:
    """Values just above zero lie around the object. They added 18 percent to a JPEG."""
    soft = DISK * 255 if suffix == ".jpg" else cv2.GaussianBlur(DISK * 255, (9, 9), 2)
    cv2.imwrite(str(tmp_path / f"mask{suffix}"), soft)
    mask = read_mask(tmp_path / f"mask{suffix}")
    assert np.count_nonzero(mask ^ (DISK > 0)) < 0.03 * np.count_nonzero(DISK)
    assert "has soft edges" in caplog.text


def test_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "mask.png").write_bytes(b"no image")
    for name in ("mask.png", "missing.png"):
        with pytest.raises(PromptError, match=f"{name} is not a readable image"):
            read_mask(tmp_path / name)
