# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The `lang2segtrack` command line, including invalid arguments."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest


def command(*arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "lang2segtrack_ros.cli.main", *arguments], capture_output=True, text=True, timeout=120, env=env
    )


def test_help_lists_commands_and_version_is_printed() -> None:
    assert "demo" in command("--help").stdout
    assert command("--version").stdout.startswith("lang2segtrack ")


@pytest.mark.parametrize("arguments", [[], ["fly"], ["weights"], ["weights", "fetch"], ["demo", "--seconds", "long"]])
def test_invalid_arguments_print_the_usage(arguments: list[str]) -> None:
    done = command(*arguments)
    assert done.returncode == 2
    assert "usage:" in done.stderr
    assert "Traceback" not in done.stderr


def test_weights_list_and_verify() -> None:
    listed = command("weights", "list").stdout
    for name in ("toy", "sam2.1-tiny", "grounding-dino-base"):
        assert name in listed
    verified = command("weights", "verify", "toy")
    assert verified.returncode == 0
    assert verified.stdout.count("all tensors load") == 2


def test_missing_weights_are_reported_with_the_command_to_fetch_them(tmp_path: object) -> None:
    done = command("weights", "verify", "sam2.1-large", env={**os.environ, "LANG2SEGTRACK_WEIGHTS": str(tmp_path)})
    assert done.returncode == 1
    assert "lang2segtrack weights fetch sam2.1-large" in done.stdout


def test_converting_a_missing_file_is_an_error(tmp_path: object) -> None:
    done = command("weights", "convert", f"{tmp_path}/none.pt", f"{tmp_path}/out")
    assert done.returncode == 1
    assert "none.pt cannot be read" in done.stderr
    assert "Traceback" not in done.stderr
