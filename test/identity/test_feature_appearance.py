# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Features and geometry tell objects apart that have one color, and depend on nothing but the object."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from lang2segtrack_ros.identity.feature_appearance import (
    GEOMETRY,
    FeatureModel,
    Observation,
    geometry_of,
    join,
    joint_similarity,
    similarity,
)
from lang2segtrack_ros.toyworld.shapes import SHAPES, outline

SURFACE, CONTEXT = 2, 16


def mask_of(shape: str, radius: float = 30.0, angle: float = 0.0, center: tuple[float, float] = (100.0, 90.0)) -> NDArray[np.bool_]:
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    mask = np.zeros((200, 240), np.uint8)
    cv2.fillPoly(mask, [np.round(outline(shape) @ turn * radius + center).astype(np.int32)], 1)
    return mask.view(np.bool_)


def geometry(shape: str, radius: float = 30.0, angle: float = 0.0, center: tuple[float, float] = (100.0, 90.0)) -> NDArray[np.float32]:
    values = geometry_of(mask_of(shape, radius, angle, center))
    assert values is not None
    return values


def observation(shape: str = "square", offset: float = 0.0, radius: float = 30.0, angle: float = 0.0) -> Observation:
    """Return an observation whose surface and context differ from those of other offsets."""
    pooled = np.linspace(1, 2, SURFACE + CONTEXT).astype(np.float32)
    pooled[SURFACE:] /= np.linalg.norm(pooled[SURFACE:])
    pooled[0] += offset
    joined = join(geometry(shape, radius, angle), pooled)
    assert joined is not None
    return joined


def test_geometry_depends_on_neither_position_nor_rotation() -> None:
    for shape in SHAPES:
        reference = geometry(shape)
        for angle, center in ((0.4, (100.0, 90.0)), (1.9, (160.0, 70.0)), (2.8, (60.0, 140.0))):
            np.testing.assert_allclose(geometry(shape, angle=angle, center=center), reference, atol=0.04)


def test_size_is_the_first_value_and_shape_ignores_it() -> None:
    small, large = geometry("star", 20.0), geometry("star", 40.0)
    assert large[0] - small[0] == pytest.approx(np.log(2), abs=0.05)
    np.testing.assert_allclose(small[1:], large[1:], atol=0.05)


def test_shapes_of_one_color_are_dissimilar() -> None:
    for shape in SHAPES:
        model = FeatureModel.of(observation(shape))
        assert similarity(observation(shape, angle=0.7), model) > 0.9
        for other in SHAPES:
            if other != shape:
                assert similarity(observation(other), model) < similarity(observation(shape, angle=0.7), model)


def test_stray_pixels_do_not_change_the_geometry() -> None:
    mask = mask_of("heart")
    mask[5:7, 200:202] = True
    values = geometry_of(mask)
    assert values is not None
    np.testing.assert_allclose(values, geometry("heart"), atol=0.05)


def test_features_without_a_mask_give_no_observation() -> None:
    assert join(geometry("circle"), np.full(SURFACE + CONTEXT, np.nan, np.float32)) is None


def test_cut_masks_have_no_geometry_and_small_masks_no_appearance() -> None:
    cut = geometry_of(mask_of("circle", center=(5.0, 90.0)))
    covered = geometry_of(mask_of("circle"), is_whole=False)
    assert cut is not None
    assert covered is not None
    assert np.isnan(cut).all()
    assert np.isnan(covered).all()
    assert geometry_of(np.zeros((20, 20), bool)) is None
    tiny = np.zeros((20, 20), bool)
    tiny[5:8, 5:8] = True
    assert geometry_of(tiny) is None


def test_model_is_the_running_mean_and_spread() -> None:
    values = [observation(offset=offset) for offset in (0.0, 0.2, 0.4, 0.2)]
    model = FeatureModel.of(values[0])
    for value in values[1:]:
        before = model.mean.copy(), model.spread.copy()
        updated = model.updated(value)
        np.testing.assert_array_equal(model.mean, before[0])
        np.testing.assert_array_equal(model.spread, before[1])
        model = updated
    assert model.count == 4
    np.testing.assert_allclose(model.mean, np.mean(values, axis=0), rtol=1e-5)
    np.testing.assert_allclose(model.spread, np.std(values, axis=0), atol=1e-5)


def test_unknown_geometry_changes_nothing_and_counts_as_equal() -> None:
    unknown = observation()
    unknown[:GEOMETRY] = np.nan
    model = FeatureModel.of(unknown)
    assert similarity(observation("star"), model) == pytest.approx(1.0)
    model = model.updated(observation("star"))
    np.testing.assert_array_equal(model.mean[:GEOMETRY], observation("star")[:GEOMETRY])
    again = model.updated(unknown)
    np.testing.assert_array_equal(again.mean[:GEOMETRY], model.mean[:GEOMETRY])
    np.testing.assert_array_equal(again.spread[:GEOMETRY], model.spread[:GEOMETRY])
    assert similarity(unknown, again) == pytest.approx(1.0)


def test_spread_of_an_object_makes_its_changes_less_dissimilar() -> None:
    steady, varying = FeatureModel.of(observation()), FeatureModel.of(observation())
    for offset in (0.3, -0.3) * 5:
        steady, varying = steady.updated(observation()), varying.updated(observation(offset=offset))
    assert similarity(observation(offset=0.3), varying) > similarity(observation(offset=0.3), steady)


def test_similarities_of_several_observations_equal_single_ones() -> None:
    model = FeatureModel.of(observation())
    several = np.stack([observation("star"), observation("cross", 0.1), observation()])
    np.testing.assert_allclose(similarity(several, model), [similarity(row, model) for row in several])
    assert similarity(several, model)[2] == pytest.approx(1.0)


def test_joint_similarity_needs_both_features_and_color() -> None:
    features, color = np.array([1.0, 0.9, 0.9, 0.5]), np.array([1.0, 1.0, 0.5, 1.0])
    joint = joint_similarity(features, color)
    assert joint[0] == pytest.approx(1.0)
    assert joint[2] < joint[1] < 1.0
    assert joint[3] < joint[1]
