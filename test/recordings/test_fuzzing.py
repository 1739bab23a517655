# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Some dozens of the sources of `make fuzz`, with fixed seeds."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from test.recordings.fuzzing import KINDS, Fuzzer, fuzzer


@pytest.fixture(scope="module")
def fuzzing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fuzzer]:
    with fuzzer(tmp_path_factory.mktemp("fuzz")) as fuzzing:
        yield fuzzing


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_source_is_read_or_refused_and_nothing_is_lost(fuzzing: Fuzzer, kind: str) -> None:
    fuzzing.run(kind, 15, number=5)
    assert fuzzing.complaints == []
    assert any(name.startswith(kind) and name.endswith("finished") for name in fuzzing.outcomes), "not only refused sources"
