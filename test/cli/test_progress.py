# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Progress line: rate and remaining time appear only for stages with work."""

from __future__ import annotations

import pytest

from lang2segtrack_ros.cli import progress


def test_stage_without_work_has_no_rate(capsys: pytest.CaptureFixture[str]) -> None:
    """The backward pass has no work if all objects start on the first image. A rate would read 630,901 images per second."""
    line = progress.ProgressLine()
    line("backward", 0, 500)
    line("backward", 500, 500)
    assert capsys.readouterr().err.splitlines()[-1] == "backward: 500 of 500 images"


def test_stage_with_work_has_rate_and_remaining_time(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter([100.0, 150.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(now))
    line = progress.ProgressLine()
    line("forward", 0, 500)
    line("forward", 100, 500)
    assert capsys.readouterr().err.splitlines()[-1] == "forward: 100 of 500 images, 2.0 per second, about 3 min left"
