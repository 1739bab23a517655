# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""`kill -9` at two moments of each command, of the 20 of `make fuzz`: in the middle, and after the move of the output to its name."""

from __future__ import annotations

import pytest

from test.cli.killing import COMMANDS, Killer


@pytest.fixture(scope="module")
def killer(tmp_path_factory: pytest.TempPathFactory) -> Killer:
    return Killer(tmp_path_factory.mktemp("killed"), images=6)


@pytest.mark.parametrize("name", COMMANDS)
def test_killed_command_leaves_whole_outputs_only_and_goes_on(killer: Killer, name: str) -> None:
    assert list(killer.complaints(name, moments=2)) == []
