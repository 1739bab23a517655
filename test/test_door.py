# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The public interface `lang2segtrack_ros`: its names, and the modules that an import loads."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

import lang2segtrack_ros

HEAVY = ("torch", "transformers", "numpy", "cv2", "scipy", "rclpy")
REPORT = f"\nimport json, sys\nprint(json.dumps([name for name in {HEAVY} if name in sys.modules]), file=sys.stderr)"
COMMAND = """
import sys
from lang2segtrack_ros.cli.main import main
try:
    main(sys.argv[1:])
except SystemExit as stop:
    assert not stop.code, stop.code
"""


def loaded_modules(code: str, *arguments: str) -> list[str]:
    """Run code in a new process and return the heavy modules that it loads."""
    done = subprocess.run([sys.executable, "-c", code + REPORT, *arguments], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    names: list[str] = json.loads(done.stderr.splitlines()[-1])
    return names


@pytest.mark.parametrize("name", lang2segtrack_ros.__all__)
def test_public_name_can_be_imported(name: str) -> None:
    assert getattr(lang2segtrack_ros, name).__name__ == name


def test_dir_lists_the_public_names() -> None:
    """Completion in an editor or shell must show names that are not imported yet."""
    assert set(dir(lang2segtrack_ros)) >= {*lang2segtrack_ros.__all__, "__version__"}
    assert dir(lang2segtrack_ros) == sorted(dir(lang2segtrack_ros))


def test_unknown_name_raises_attribute_error() -> None:
    """`hasattr` and `from ... import` rely on this error."""
    with pytest.raises(AttributeError, match="module 'lang2segtrack_ros' has no attribute 'Tracker'"):
        _ = lang2segtrack_ros.Tracker  # type: ignore[attr-defined]
    with pytest.raises(ImportError, match="Tracker"):
        exec("from lang2segtrack_ros import Tracker")


def test_import_loads_no_heavy_module() -> None:
    """Programs that only need the version or one type must start without torch."""
    assert loaded_modules("import lang2segtrack_ros") == []


def test_prompts_load_neither_torch_nor_transformers() -> None:
    names = loaded_modules("from lang2segtrack_ros import Frame, TextPrompt")
    assert "torch" not in names
    assert "transformers" not in names


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--version"],
        ["track", "--help"],
        ["bag", "--help"],
        ["bench", "suites", "--help"],
        ["doctor", "--help"],
        ["weights", "list"],
    ],
    ids=" ".join,
)
def test_command_without_networks_loads_no_heavy_module(arguments: list[str]) -> None:
    """Help and lists must appear at once."""
    assert loaded_modules(COMMAND, *arguments) == []


def test_module_help_does_not_import_torch() -> None:
    command = [sys.executable, "-X", "importtime", "-m", "lang2segtrack_ros.cli.main", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "argparse" in imported
    assert not imported & set(HEAVY)


def test_doctor_checks_packages_without_importing_them() -> None:
    """Broken packages must not stop the doctor, so the checks import them in a subprocess."""
    code = "from lang2segtrack_ros.doctor import finding, ros_install, software\nsoftware.check_package('numpy>=1', 'numpy')"
    assert loaded_modules(code) == []
