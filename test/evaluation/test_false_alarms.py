# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Texts and thresholds of the conditions that provoke false tracks."""

from __future__ import annotations

import pytest

from lang2segtrack_ros.evaluation.false_alarms import ABSENT_NAMES, FALSE_ALARMS, LOW_THRESHOLD, PLAIN, absent_names
from lang2segtrack_ros.evaluation.texts import names_of, scene_text
from lang2segtrack_ros.toyworld.suites import SUITES, make_clip


@pytest.mark.parametrize("suite", SUITES)
def test_absent_names_name_no_object_and_resemble_one(suite: str) -> None:
    clip = make_clip(suite, 5)
    names = absent_names(clip, ABSENT_NAMES)
    present = set(names_of(clip).values())
    words = {word for name in present for word in name.split()}
    assert len(set(names)) == ABSENT_NAMES
    assert not present & set(names)
    assert all(words & set(name.split()) for name in names)
    assert names == absent_names(make_clip(suite, 5), ABSENT_NAMES)
    assert names != absent_names(make_clip(suite, 6), ABSENT_NAMES)


def test_conditions_differ_in_text_and_threshold() -> None:
    clip = make_clip("easy", 5)
    present = set(names_of(clip).values())
    assert PLAIN.prompt(clip, 0.35).phrases == scene_text(clip).phrases
    assert PLAIN.prompt(clip, 0.35).threshold == 0.35
    for name, condition in FALSE_ALARMS.items():
        prompt = condition.prompt(clip, 0.5)
        assert (prompt.threshold == 0.5 * LOW_THRESHOLD) == ("low threshold" in name)
        assert (len(set(prompt.phrases) - present) == ABSENT_NAMES) == ("absent names" in name)
        assert present.isdisjoint(prompt.phrases) == ("only" in name)
