# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Progress of a command: a rate only for images that needed work, and readable lines in a log file."""

from __future__ import annotations

import pytest

from lang2segtrack_ros.cli import progress


def test_images_without_work_have_no_rate(capsys: pytest.CaptureFixture[str]) -> None:
    """The backward pass has no work if all objects start on the first image. A rate would read 630,901 images per second."""
    line = progress.ProgressLine()
    line("backward", 0, 500)
    line("backward", 500, 500)
    line.end()
    last = capsys.readouterr().err.splitlines()[-1]
    assert "500/500" in last
    assert "? images/s" in last or "0.00 images/s" in last


def test_log_file_has_a_line_for_each_state(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Carriage returns would join all states to one line, which no viewer of logs shows well."""
    monkeypatch.setattr(progress, "LOG_S", 0.0)
    line = progress.ProgressLine()
    for done in range(4):
        line("forward", done, 3)
    line("unknown length", 1, None)
    line.end()
    output = capsys.readouterr().err
    assert "\r" not in output
    lines = output.splitlines()
    assert [text.split(":")[0] for text in lines[:4]] == ["forward"] * 4
    assert any("3/3" in text for text in lines)
    assert lines[-1].startswith("unknown length: 1 images")
