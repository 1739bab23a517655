# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""package.xml, CMakeLists.txt and the Python requirements against the code."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from lang2segtrack_ros import __version__
from lang2segtrack_ros.runtime.start import PYTHON_PACKAGES
from tools.setup_environment import PACKAGE_ENTRIES

ROOT = Path(__file__).resolve().parent.parent
PLAIN = {name: value for name, value in os.environ.items() if not name.startswith(("LANG2SEGTRACK_", "MAKE"))} | {"PYTHON": "python3"}
PACKAGE = ElementTree.parse(ROOT / "package.xml").getroot()
OPTIONAL = {
    "PIL": "real clips of the accuracy bench",
    "av": "videos of LeRobot datasets",
    "backports": "zstd of bags before Python 3.14; rosbags brings it",
    "compression": "zstd of bags from Python 3.14 on",
    "cv_bridge": "further image encodings",
    "matplotlib": "pictures of the accuracy bench",
    "pyarrow": "tables of LeRobot datasets",
    "ray": "many bags at once",
    "timm": "EdgeTAM",
    "torchvision": "only its version is checked",
    "trackeval": "accuracy bench",
}
"""Module that runs without being declared -> what needs it. docs/installation.md and requirements/ describe them."""
ROSDEP_KEYS = {
    "aiohttp": "python3-aiohttp",
    "tqdm": "python3-tqdm",
    "cv2": "python3-opencv",
    "jinja2": "python3-jinja2",
    "lark": "python3-lark-parser",
    "numpy": "python3-numpy",
    "scipy": "python3-scipy",
    "yaml": "python3-yaml",
}
"""Module -> its rosdep key, where every supported distribution has a version that is new enough."""


def declared(*kinds: str) -> set[str]:
    """Return the names in package.xml that have one of these tags."""
    return {element.text or "" for kind in kinds for element in PACKAGE.iter(kind)}


def imported_modules() -> dict[str, str]:
    """Return each top-level module that the installed files import, with a file that imports it."""
    files = [*ROOT.glob("lang2segtrack_ros/**/*.py"), *ROOT.glob("launch/**/*.py"), *ROOT.glob("scripts/*")]
    found = {}
    for file in files:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [item.name for item in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
            found.update({name.partition(".")[0]: str(file.relative_to(ROOT)) for name in names})
    return {name: file for name, file in found.items() if name not in sys.stdlib_module_names}


def test_every_import_is_declared() -> None:
    """An undeclared ROS package is missing after `rosdep install`, and the node stops with an import error."""
    ros = declared("depend", "exec_depend")
    known = ros | set(PYTHON_PACKAGES) | set(OPTIONAL) | {"lang2segtrack", "lang2segtrack_ros"}
    undeclared = {name: file for name, file in imported_modules().items() if name not in known}
    assert not undeclared, "add these to package.xml, or to pyproject.toml and runtime/start.py"


def test_message_packages_of_topics_and_parameters_are_declared() -> None:
    """Messages are also imported by name, and generated interfaces name their dependencies."""
    text = "\n".join(path.read_text(encoding="utf-8") for kind in ("msg", "srv", "action") for path in ROOT.glob(f"{kind}/*.{kind}"))
    used = set(re.findall(r"^([a-z_]+)/[A-Z]\w+", text, re.MULTILINE))
    assert used <= declared("depend")


def test_every_declared_dependency_is_used() -> None:
    """A dependency that nothing needs costs each user an installation."""
    modules = set(imported_modules())
    indirect = {
        "action_msgs": "the generated action",
        "builtin_interfaces": "stamps in messages",
        "lifecycle_msgs": "the lifecycle services of rclpy",
        "rosidl_default_runtime": "the generated interfaces",
        "python3-tk": "prompt_window",
    }
    keys = set(ROSDEP_KEYS.values())
    unused = {name for name in declared("depend", "exec_depend") if name not in modules and name not in indirect and name not in keys}
    assert not unused


def test_python_packages_come_from_rosdep_or_from_the_script() -> None:
    """A package that neither brings is missing on a robot."""
    script = {"torch"} | set(re.findall(r"^([\w-]+)[>=]", (ROOT / "requirements" / "engine.txt").read_text(encoding="utf-8"), re.MULTILINE))
    assert set(PYTHON_PACKAGES.values()) <= script
    assert set(ROSDEP_KEYS.values()) <= declared("exec_depend")


def test_interfaces_in_cmake_are_those_of_the_folders() -> None:
    listed = set(re.findall(r"^  ((?:msg|srv|action)/\w+\.\w+)$", (ROOT / "CMakeLists.txt").read_text(encoding="utf-8"), re.MULTILINE))
    assert listed == {str(path.relative_to(ROOT)) for kind in ("msg", "srv", "action") for path in ROOT.glob(f"{kind}/*")}


def test_versions_agree() -> None:
    assert PACKAGE.findtext("version") == __version__


def test_scripts_are_installed() -> None:
    """`ros2 run` finds a script only if CMake installs it, and only if it is executable."""
    text = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
    for path in (ROOT / "scripts").iterdir():
        assert f"scripts/{path.name}" in text
        assert path.stat().st_mode & 0o111


def test_setup_links_all_that_cmake_installs() -> None:
    """`make demo` builds in a workspace of links. CMake stops there if a file is missing."""
    text = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
    listed = " ".join(re.findall(r"^ *install\((?:PROGRAMS|FILES|DIRECTORY)([^)]*?)DESTINATION", text, re.MULTILINE))
    assert {path.partition("/")[0] for path in listed.split()} <= set(PACKAGE_ENTRIES)


@pytest.mark.parametrize(
    ("arguments", "environment"),
    [
        ((), ""),
        (("ROS=jazzy",), "-jazzy"),
        (("ROS=system",), ""),
        ((f"PYTHON={sys.executable}",), f"-python{sys.version_info[0]}.{sys.version_info[1]}"),
    ],
)
def test_each_distribution_and_python_has_its_environment(arguments: tuple[str, ...], environment: str) -> None:
    """Two distributions in one virtual environment would mix libraries of different ABIs."""
    printed = subprocess.run(["make", "-n", "demo", *arguments], cwd=ROOT, capture_output=True, text=True, env=PLAIN, timeout=30)
    assert f". .ros{environment}/activate.sh &&" in printed.stdout, printed.stderr


def test_distribution_without_wheels_is_refused(tmp_path: Path) -> None:
    """pip would otherwise fail minutes later, at a file that does not exist."""
    program = tmp_path / "tools" / "setup_environment.py"
    shutil.copytree(ROOT / "requirements", tmp_path / "requirements")
    program.parent.mkdir()
    shutil.copy(ROOT / "tools" / "setup_environment.py", program)
    given = {**PLAIN, "LANG2SEGTRACK_ROS": "humble"}
    ended = subprocess.run([sys.executable, str(program)], capture_output=True, text=True, env=given, timeout=30)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "choose jazzy or kilted" in ended.stderr


def test_installation_script_runs_from_both_places(tmp_path: Path) -> None:
    """The message on missing packages names the installed script. Without a folder, it says how to call it."""
    installed = tmp_path / "lib" / "lang2segtrack" / "install_python.sh"
    installed.parent.mkdir(parents=True)
    shutil.copy(ROOT / "docker" / "install_python.sh", installed)
    for script in (installed, ROOT / "docker" / "install_python.sh"):
        ended = subprocess.run([str(script)], capture_output=True, text=True, timeout=30)
        assert (ended.returncode, ended.stderr.split()[0]) == (2, "usage:")
