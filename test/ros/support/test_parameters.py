# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The table of parameters, and what it refuses."""

from __future__ import annotations

import pytest

from lang2segtrack_ros.ros.support import parameters
from lang2segtrack_ros.ros.support.parameters import PARAMETERS


def test_names_are_unique_and_defaults_allowed() -> None:
    assert len(parameters.TABLE.by_name) == len(PARAMETERS)
    assert parameters.TABLE.check({parameter.name: parameter.default for parameter in PARAMETERS}) == ""


@pytest.mark.parametrize("parameter", PARAMETERS, ids=lambda parameter: parameter.name)
def test_everything_is_described(parameter: parameters.Parameter) -> None:
    assert len(parameter.description) > 20
    assert parameter.description.endswith((".", "'"))
    if isinstance(parameter.default, (int, float)) and not isinstance(parameter.default, bool):
        assert parameter.low is not None, "a number needs a range"


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"detect_every": 0}, "between 1 and 10000"),
        ({"detect_every": 2.5}, "must be a int"),
        ({"dtype": "magic"}, "one of: auto, float32, bfloat16"),
        ({"use_depth": "yes"}, "must be a bool"),
        ({"overlay_opacity": 1.5}, "between 0 and 1"),
        ({"lost_after_s": float("nan")}, "between"),
    ],
)
def test_refusals(values: dict[str, object], words: str) -> None:
    assert words in parameters.TABLE.check(values)


def test_whole_numbers_do_for_real_ones_and_strangers_are_not_ours() -> None:
    assert parameters.TABLE.check({"lost_after_s": 3, "use_sim_time": True}) == ""
