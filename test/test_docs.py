# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""What the documents say exists, and what exists is documented."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from lang2segtrack_ros.cli.main import _parser
from lang2segtrack_ros.ros.support.map_parameters import PARAMETERS as MAP
from lang2segtrack_ros.ros.support.parameters import PARAMETERS
from lang2segtrack_ros.ros.support.web_parameters import PARAMETERS as PAGE
from tools import write_export_docs as export_docs
from tools import write_instruction_docs as instruction_docs
from tools import write_interface_docs as interface_docs
from tools import write_model_docs as model_docs
from tools import write_report_docs as report_docs

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
TEXT = {path: path.read_text(encoding="utf-8") for path in DOCUMENTS}
COMMANDS = {
    line.strip() for text in TEXT.values() for block in re.findall(r"```(?:bash|sh)\n(.*?)```", text, re.S) for line in block.splitlines()
}


def test_make_targets_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    named = {word for text in TEXT.values() for word in re.findall(r"\bmake ([a-z][a-z-]+)", text)} & (
        targets | {"demo", "test", "docs", "lint"}
    )
    assert named <= targets
    assert {"demo", "test"} <= named


@pytest.mark.parametrize(("given", "folder"), [([], ".ros/"), (["ROS=jazzy"], ".ros-jazzy/")])
def test_make_reads_its_file(given: list[str], folder: str) -> None:
    """A variable that referred to itself once ended each `make` without a distribution."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "LANG2SEGTRACK_", "ROS"))}
    done = subprocess.run(["make", "-n", "test", *given], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert f"{folder}activate.sh" in done.stdout


def test_subcommands_exist() -> None:
    for line in COMMANDS:
        found = re.match(r"(?:\. \S+ && )?lang2segtrack (.*?)(?:\s+#.*)?$", line)
        if found:
            _parser().parse_args(shlex.split(found[1]))


def test_launch_arguments_exist() -> None:
    declared = {item.name for item in PARAMETERS} | {f"web_{item.name}" for item in PAGE.parameters}
    declared |= {f"object_map_{item.name}" for item in MAP.parameters} | {"use_sim_time", "left_text"}
    for file in (ROOT / "launch").glob("**/*.launch.py"):  # the files are read as text, because not every machine has launch
        declared |= set(re.findall(r'(?:Argument|flag)?\(\s*"([a-z_]+)",', file.read_text()))
    used = {name for line in COMMANDS if ".launch.py" in line for name in re.findall(r"\b([a-z_]+):=", line)}
    used |= {
        name for text in TEXT.values() for name in re.findall(r"`([a-z_]+):=[^`]*`", text)
    }  # in a sentence: no parameter is written so
    assert used <= declared
    assert "segmenter" in used


def test_services_named_in_commands_exist() -> None:
    called = {name for line in COMMANDS for name in re.findall(r"ros2 service call /(\w+)", line)}
    assert called
    assert called <= {path.removesuffix(".srv") for path in interface_docs.service_names()}


def test_interface_tables_are_those_of_the_code() -> None:
    assert (ROOT / "docs" / "interfaces.md").read_text(encoding="utf-8") == interface_docs.markdown(), "run make docs"


def test_export_table_is_that_of_the_code() -> None:
    path = ROOT / "docs" / "exports.md"
    assert export_docs.with_table(TEXT[path]) == TEXT[path], "run make docs"


def test_report_fields_are_those_of_the_code() -> None:
    path = ROOT / "docs" / "report.md"
    assert report_docs.with_table(TEXT[path]) == TEXT[path], "run make docs"


def test_model_table_is_that_of_the_code() -> None:
    path = ROOT / "docs" / "models.md"
    assert model_docs.with_table(TEXT[path]) == TEXT[path], "run make docs"


def test_words_of_instructions_are_those_of_the_code() -> None:
    assert instruction_docs.words_table() in TEXT[ROOT / "docs" / "instructions.md"], "run make docs"


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\((?!http)([^)#]+)", TEXT[path]):
        assert (path.parent / target).exists(), target


def anchors(path: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.replace("`", "").lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_anchors_exist(path: Path) -> None:
    """A renamed heading breaks links that name it."""
    for target, anchor in re.findall(r"\]\((?!http)([^)#]*)#([^)]+)\)", TEXT[path]):
        assert anchor in anchors(path.parent / target if target else path), f"{target}#{anchor}"


def test_every_source_file_has_its_license() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout")
    for name in listed.stdout.split():
        if Path(name).suffix in (".py", ".msg", ".srv", ".yaml", ".rviz") or Path(name).name in ("CMakeLists.txt", "Makefile"):
            text = (ROOT / name).read_text(encoding="utf-8")
            assert not text or "SPDX-License-Identifier: Apache-2.0" in text[:300], name
