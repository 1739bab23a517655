# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The progress line tells a rate where there is one."""

from __future__ import annotations

import pytest

from lang2segtrack_ros.cli import progress


def test_a_stage_without_work_has_no_rate(capsys: pytest.CaptureFixture[str]) -> None:
    """The way back over objects that were there from the first image is done at once; it used to say 630,901 images a second."""
    line = progress.ProgressLine()
    line("backward", 0, 500)
    line("backward", 500, 500)
    assert capsys.readouterr().err.splitlines()[-1] == "backward: 500 of 500 images"


def test_a_stage_with_work_tells_rate_and_rest(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter([100.0, 150.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(now))
    line = progress.ProgressLine()
    line("forward", 0, 500)
    line("forward", 100, 500)
    assert capsys.readouterr().err.splitlines()[-1] == "forward: 100 of 500 images, 2.0 a second, about 3 min to go"
