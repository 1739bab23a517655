# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Options of the toy camera: checks with clear errors, and deterministic drops and jitter."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lang2segtrack_ros.toyworld.stream import StreamError, StreamOptions
from lang2segtrack_ros.toyworld.suites import SUITES


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"suite": "crosing"}, 'suite is "crosing"; it must be one of: demo, room, easy, crossing'),
        ({"suite": 3}, "suite must be a string, not 3"),
        ({"seed": -1}, "seed is -1; it must lie between 0"),
        ({"seed": 1.5}, "seed must be a whole number"),
        ({"seed": True}, "seed must be a whole number"),
        ({"fps": 0.0}, "fps is 0.0; it must lie between 0.1 and 240"),
        ({"fps": float("nan")}, "fps is nan"),
        ({"width": 8}, "width is 8"),
        ({"width": 200}, "the image size is 200 x 480; the width must be 1 to 2.5 times the height"),
        ({"depth_encoding": "mono8"}, "one of: 16UC1, 32FC1"),
        ({"drop": 1.0}, "drop is 1.0; it must lie between 0 and 0.95"),
        ({"jitter_ms": -3}, "jitter_ms is -3"),
    ],
)
def test_invalid_option_is_rejected_by_name(values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(StreamError, match=re.escape(sentence)):
        StreamOptions(**values)


def test_integer_is_accepted_as_float() -> None:
    """`-p fps:=15` yields an int."""
    assert StreamOptions(fps=20).period_ns == 50_000_000


@pytest.mark.parametrize("suite", ["demo", *SUITES])
@pytest.mark.parametrize(("width", "height"), [(96, 96), (240, 96)])
def test_every_suite_works_at_extreme_aspect_ratios(suite: str, width: int, height: int) -> None:
    """Some suites search for positions of their objects; the search must end."""
    for seed in range(3):
        scene = StreamOptions(suite, seed, width, height).scene()
        assert scene.render(0).color.shape == (height, width, 3)


def test_drops_match_the_fraction_and_are_deterministic() -> None:
    published = [StreamOptions(seed=3, drop=0.3).is_published(index) for index in range(2000)]
    assert published == [StreamOptions(seed=3, drop=0.3).is_published(index) for index in range(2000)]
    assert published != [StreamOptions(seed=4, drop=0.3).is_published(index) for index in range(2000)]
    assert np.mean(published) == pytest.approx(0.7, abs=0.04)
    assert all(StreamOptions(seed=3).is_published(index) for index in range(100))


def test_jitter_has_the_given_deviation_and_is_never_negative() -> None:
    options = StreamOptions(seed=3, jitter_ms=20.0)
    delays = np.array([options.delay_ns(index) for index in range(2000)]) / 1e6
    assert delays.min() >= 0
    assert delays.std() == pytest.approx(20.0, rel=0.06)
    assert delays.mean() == pytest.approx(60.0, rel=0.03)
    assert [options.delay_ns(index) for index in (5, 1)] == [round(delays[5] * 1e6), round(delays[1] * 1e6)]
    assert StreamOptions(seed=3).delay_ns(7) == 0


def test_drops_and_jitter_are_independent() -> None:
    """Published frames must have the same delays as dropped ones."""
    options = StreamOptions(drop=0.5, jitter_ms=10.0)
    pairs = np.array([(options.is_published(index), options.delay_ns(index)) for index in range(2000)], float)
    assert abs(np.corrcoef(pairs.T)[0, 1]) < 0.08


def test_options_are_documented() -> None:
    text = (Path(__file__).parents[2] / "docs" / "toyworld.md").read_text(encoding="utf-8")
    for item in fields(StreamOptions):
        assert re.search(rf"^\| `{item.name}` \| `{item.default}` \|.*{re.escape(item.metadata['text'])}", text, re.M), item.name
    for suite in SUITES:
        assert f"| `{suite}` |" in text
