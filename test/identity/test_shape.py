# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The shape of an object stays the same under motion and rotation, and tells outlines of one color apart."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from lang2segtrack_ros.identity.shape import Shape, ShapeModel, shape_of
from lang2segtrack_ros.types.rle import mask_box


def polygon(points: NDArray[np.float64], angle: float = 0.0, scale: float = 1.0) -> NDArray[np.bool_]:
    """Return the mask of a polygon around the center of an image, turned by an angle in degrees."""
    turn = np.deg2rad(angle)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    corners = (points * scale @ rotation.T + 60).round().astype(np.int32)
    return cv2.fillPoly(np.zeros((120, 120), np.uint8), [corners], 1).view(bool)


SQUARE = np.array([(-20, -20), (20, -20), (20, 20), (-20, 20)], float)
BAR = np.array([(-40, -8), (40, -8), (40, 8), (-40, 8)], float)
_ANGLES = np.arange(10) * np.pi / 5
STAR = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], 1) * np.where(np.arange(10) % 2, 14, 36)[:, None]
OUTLINES = {"square": SQUARE, "bar": BAR, "star": STAR}


def shape(mask: NDArray[np.bool_]) -> Shape:
    result = shape_of(mask)
    assert result is not None
    return result


def model_of(points: NDArray[np.float64]) -> ShapeModel:
    """Return the model of an object that was seen at three angles."""
    model: ShapeModel | None = None
    for angle in (0, 5, 10):
        model = ShapeModel.updated(model, shape(polygon(points, angle)))
    assert model is not None
    return model


@pytest.mark.parametrize("name", OUTLINES)
@pytest.mark.parametrize("other", OUTLINES)
def test_rotated_object_fits_its_own_shape_only(name: str, other: str) -> None:
    assert model_of(OUTLINES[name]).fits(shape(polygon(OUTLINES[other], 37))) == (name == other)


def test_much_larger_object_of_the_same_outline_does_not_fit() -> None:
    assert model_of(SQUARE).fits(shape(polygon(SQUARE, scale=1.2)))
    assert not model_of(SQUARE).fits(shape(polygon(SQUARE, scale=2.5)))


def test_position_and_known_box_do_not_matter() -> None:
    mask = polygon(STAR)
    moved = np.roll(mask, (13, -9), (0, 1))
    assert shape(moved) == pytest.approx(shape(mask))
    assert shape_of(mask, mask_box(mask)) == pytest.approx(shape(mask))


def test_disk_has_the_moment_of_a_disk_and_no_elongation() -> None:
    rows, columns = np.mgrid[:120, :120]
    log_area, moment, elongation, solidity = shape((rows - 60) ** 2 + (columns - 60) ** 2 < 30**2)
    assert log_area == pytest.approx(np.log(np.pi * 30**2), abs=0.02)
    assert (moment, elongation) == pytest.approx((0.0, 0.0), abs=0.01)
    assert solidity == pytest.approx(1.0, abs=0.05)


def test_object_that_changes_its_outline_gets_a_tolerant_model() -> None:
    walking: ShapeModel | None = None
    for step in range(12):
        points = SQUARE * ((1.0, 1.0) if step % 2 else (1.6, 0.7))
        walking = ShapeModel.updated(walking, shape(polygon(points)))
    assert walking is not None
    other = shape(polygon(SQUARE * (1.9, 0.6)))
    assert walking.fits(other)
    assert not model_of(SQUARE).fits(other)


def test_mask_of_a_few_pixels_has_no_shape_and_fits_nothing() -> None:
    """The mask of a small object says nothing about its outline."""
    mask = np.zeros((120, 120), bool)
    assert shape_of(mask) is None
    mask[3:8, 3:8] = True
    assert shape_of(mask) is None
    assert not model_of(SQUARE).fits(None)


def test_model_is_a_value() -> None:
    model = model_of(SQUARE)
    mean = model.mean.copy()
    assert ShapeModel.updated(model, shape(polygon(BAR))).frames == model.frames + 1 == 4
    assert (model.mean == mean).all()
