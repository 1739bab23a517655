# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Prompts validate themselves, and each error message names the fault."""

from __future__ import annotations

import math

import numpy as np
import pytest

from lang2segtrack_ros.types.prompts import BoxPrompt, ExemplarPrompt, MaskPrompt, PointPrompt, PromptError, TextPrompt, split_phrases


@pytest.mark.parametrize(
    ("text", "phrases"),
    [
        ("red mug. cardboard box.", ("red mug", "cardboard box")),
        ("Red Mug", ("red mug",)),  # users often omit the last dot and write capitals
        ("a;b,c\nd", ("a", "b", "c", "d")),
        ("cup.  cup . Cup.", ("cup",)),  # repeats, case and white space are ignored
        ("what is this? a box!", ("what is this", "a box")),  # the network reads ? as a separator
        ("...", ()),
        ("a 3.5 inch disk. a 1,5 l bottle", ("a 3 5 inch disk", "a 1 5 l bottle")),  # two phrases of nonsense otherwise
        ("\u7ea2\u676f\u3002\u7eb8\u7bb1\u3001\u7403", ("\u7ea2\u676f", "\u7eb8\u7bb1", "\u7403")),  # East Asian punctuation
        ("a4.b", ("a4", "b")),
    ],
)
def test_text_is_split_into_phrases(text: str, phrases: tuple[str, ...]) -> None:
    assert split_phrases(text) == phrases


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "names no object"),
        (" . . ", "names no object"),
        ("-. +.", "names no object"),  # the detector would receive an empty caption
        ("x" * 10_240, "10240 characters"),
    ],
)
def test_invalid_text_is_refused(text: str, fault: str) -> None:
    with pytest.raises(PromptError, match=fault):
        TextPrompt(text)


def test_invalid_mode_threshold_and_interval_are_refused() -> None:
    with pytest.raises(PromptError, match="once"):
        TextPrompt("cup", mode="sometimes")  # type: ignore[arg-type]
    with pytest.raises(PromptError, match="between 0 and 1"):
        TextPrompt("cup", threshold=1.5)
    with pytest.raises(PromptError, match="interval is 0"):
        TextPrompt("cup", interval=0)


@pytest.mark.parametrize(
    ("box", "fault"),
    [
        ((10, 10, 5, 20), "inverted"),
        ((10, 10, 10, 20), "no area"),
        ((0, 0, math.nan, 5), "finite"),
        ((0, 0, math.inf, 5), "finite"),
    ],
)
def test_invalid_box_is_refused(box: tuple[float, float, float, float], fault: str) -> None:
    with pytest.raises(PromptError, match=fault):
        BoxPrompt(box)


def test_too_long_labels_are_refused() -> None:
    """Every image publishes the labels, so their length must be bounded."""
    with pytest.raises(PromptError, match="10240 characters"):
        BoxPrompt((0, 0, 5, 5), "x" * 10_240)
    with pytest.raises(PromptError, match="10240 characters"):
        PointPrompt([(1, 2)], label="x" * 10_240)
    with pytest.raises(PromptError, match="10240 characters"):
        MaskPrompt(np.ones((2, 2), bool), "x" * 10_240)


def test_box_is_clipped_to_the_image() -> None:
    assert BoxPrompt((-5, -5, 10, 700)).check_fits(480, 640).box == (0, 0, 10, 480)


@pytest.mark.parametrize("box", [(700, 10, 800, 20), (-50, 10, -1, 20), (639.5, 0, 900, 10)])
def test_box_outside_the_image_is_refused(box: tuple[float, float, float, float]) -> None:
    with pytest.raises(PromptError, match="outside the 640 x 480 image"):
        BoxPrompt(box).check_fits(480, 640)


def test_point_prompts_are_validated() -> None:
    assert PointPrompt([(1, 2), (3, 4)]).labels == (1, 1)
    with pytest.raises(PromptError, match="1 to 64"):
        PointPrompt([])
    with pytest.raises(PromptError, match="2 points came with 1 labels"):
        PointPrompt([(1, 2), (3, 4)], [1])
    with pytest.raises(PromptError, match="labels of points are 1"):
        PointPrompt([(1, 2)], [2])
    with pytest.raises(PromptError, match="at least one point on it"):
        PointPrompt([(1, 2)], [0])
    assert PointPrompt([(1, 2)], [0], track_id=3).labels == (0,)  # a point off the object is enough to correct a track
    with pytest.raises(PromptError, match="off the 640 x 480 image"):
        PointPrompt([(640, 10)]).check_fits(480, 640)
    PointPrompt([(639.4, 0)]).check_fits(480, 640)  # the last pixel ends at 639.5


def test_mask_prompts_are_validated() -> None:
    with pytest.raises(PromptError, match="empty"):
        MaskPrompt(np.zeros((4, 4), bool))
    with pytest.raises(PromptError, match="two-dimensional"):
        MaskPrompt(np.ones((4, 4, 3), bool))
    with pytest.raises(PromptError, match="4 x 5, the image 640 x 480"):
        MaskPrompt(np.ones((5, 4), bool)).check_fits(480, 640)
    assert MaskPrompt(np.eye(4, dtype=np.uint8) * 255).mask.dtype == bool  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"label": " "}, "the exemplar has no label"),
        ({"label": "x" * 10_240}, "10240 characters"),
        ({"label": None}, "label is None"),
        ({"box": (1, 2, 3)}, "four finite numbers"),
        ({"box": (10, 10, 5, 20)}, "inverted"),
        ({"image": np.zeros((40, 60), np.uint8)}, "give a uint8 array"),
        ({"image": np.zeros((40, 60, 3), np.float32)}, "give a uint8 array"),
        ({"image": np.zeros((0, 60, 3), np.uint8)}, "give a uint8 array"),
        ({"image": "mug.png"}, "the image of the exemplar is 'mug.png'"),
        ({"image": np.zeros((4, 6, 3), np.uint8)}, "outside the 6 x 4 image"),
        ({"box": (0.1, 0.1, 0.9, 0.9), "image": np.zeros((40, 60, 3), np.uint8)}, "within one pixel"),
        ({"mode": "twice"}, "once"),
        ({"threshold": -0.1}, "between 0 and 1"),
        ({"interval": 0}, "interval is 0"),
    ],
)
def test_invalid_exemplar_is_refused(fields: dict[str, object], fault: str) -> None:
    """Each refusal comes where the prompt is made, before any network runs."""
    with pytest.raises(PromptError, match=fault):
        ExemplarPrompt(**{"box": (10, 10, 30, 20), "label": "cup", **fields})  # type: ignore[arg-type]


def test_exemplar_is_clipped_to_its_image_and_named_as_given() -> None:
    """A box drawn beyond the edge is meant up to the edge. The label is no phrase for a detector, so its capitals stay."""
    prompt = ExemplarPrompt((-5, 10, 30, 90), " My Mug ", interval=np.int64(3))  # type: ignore[arg-type]
    assert (prompt.label, prompt.phrases, prompt.interval) == ("My Mug", ("My Mug",), 3)
    bound = prompt.on(np.zeros((40, 60, 3), np.uint8))
    assert (prompt.box, bound.box) == ((-5.0, 10.0, 30.0, 90.0), (0.0, 10.0, 30.0, 40.0))
    assert "60 x 40" in repr(bound)
