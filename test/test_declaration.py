# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""QUALITY_DECLARATION.md holds line by line, and a line that does not hold is found."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.check_declaration import CHECKS, Checkout, clause_problems, is_permissive, problems

ROOT = Path(__file__).resolve().parent.parent
DECLARATION = "QUALITY_DECLARATION.md"
CHANGES = [
    ("1.i", "package.xml", "<version>0.1.0<", "<version>0.2<", "version 0.2 is not semantic"),
    ("1.iii", DECLARATION, "`TrackArray`", "`TrackList`", "messages does not exist: TrackList"),
    ("1.iii", "lang2segtrack_ros/__init__.py", '    "Track",\n', "", "names of `lang2segtrack_ros` does not exist: Track"),
    ("2.ii", "package.xml", "<version>0.1.0<", "<version>0.2.0<", "there is no tag 0.2.0, so sign-off cannot be checked"),
    ("2.iv", ".github/workflows/ci.yaml", "[humble, jazzy,", "[humble,", "distribution in ci.yaml does not exist: jazzy"),
    ("2.v", DECLARATION, "`test/test_docs.py`", "`test/test_manual.py`", "test/test_manual.py does not exist"),
    ("3.iii", "package.xml", "<license>Apache-2.0<", "<license>MIT<", "LICENSE and package.xml are not Apache-2.0"),
    ("3.iv", "srv/RemoveTrack.srv", "SPDX-FileCopyrightText: ", "", "srv/RemoveTrack.srv has no line SPDX-FileCopyrightText: "),
    ("4.ii", "lang2segtrack_ros/ros/support/interfaces.py", '"label_info"', f'"label_{"tex"}t"', "no test names label_"),
    ("4.iii", "pyproject.toml", "fail_under = ", "fail_under = 1", "coverage of"),
    ("4.iv", "Makefile", "\nsoak:", "\nsoaking:", "the Makefile has no target soak"),
    ("4.v", "Makefile", "&& mypy &&", "&&", "make lint does not run mypy"),
    ("4.v", "package.xml", "<test_depend>ament_cmake_xmllint</test_depend>", "", "ament linter does not exist: ament_cmake_xmllint"),
    ("5.i", "package.xml", "<exec_depend>tf2_msgs</exec_depend>", "", "dependency does not exist: tf2_msgs"),
    ("5.ii", DECLARATION, "`cv_bridge`", "`rclpy`", "rclpy is required by package.xml"),
    ("5.iii", "pyproject.toml", '"aiohttp>=', '"flask>=', "Python package is not named: flask"),
    ("5.iii", DECLARATION, "Mozilla Public License 2.0 for a part: `tqdm`", "MIT License", "tqdm states the license 'MPL-2.0 AND MIT'"),
    ("6.i", "README.md", "2026-", "2999-", "has no date that was"),
    ("7.i", "SECURITY.md", "90 days", "a while", "SECURITY.md does not name the 90 days of REP-2006"),
]
"""Clause, file, text of it, what stands there instead, and the line of the report."""


class Changed(Checkout):
    """A checkout with one changed file."""

    def __init__(self, name: str, old: str, new: str) -> None:
        assert old in (ROOT / name).read_text(encoding="utf-8")
        self.change = (name, old, new)
        super().__init__(ROOT)

    def read(self, name: str) -> str:
        changed, old, new = self.change
        return super().read(name).replace(old, new) if name == changed else super().read(name)


def test_every_line_holds() -> None:
    """The declaration is what a reviewer of a distribution reads first."""
    assert problems(Checkout(ROOT)) == []


@pytest.mark.parametrize(("clause", "name", "old", "new", "line"), CHANGES)
def test_a_false_line_is_found(clause: str, name: str, old: str, new: str, line: str) -> None:
    """A check that accepts everything would keep a false claim."""
    checkout = Changed(name, old, new)
    lines = list(clause_problems(checkout, clause, checkout.clauses[clause]))
    assert any(line in item for item in lines), lines


def test_a_new_claim_needs_a_check() -> None:
    checkout = Changed(DECLARATION, "| 2.iii peer review | Not claimed", "| 2.iii peer review | Two maintainers read each change")
    assert problems(checkout) == ["2.iii: this claim has no check in tools/check_declaration.py"]


def test_a_removed_line_is_named() -> None:
    """A check without its line would never run."""
    assert "3.iv: the declaration has no such line" in problems(Changed(DECLARATION, "| 3.iv copyright |", "| copyright |"))
    assert len(CHECKS) > 20


@pytest.mark.parametrize(
    ("stated", "expected"),
    [("MIT", True), ("BSD-3-Clause", True), ("GPL-3.0-only", False), ("LGPL OR MIT", False), ("MPL-2.0 AND MIT", False)],
)
def test_permissive_licenses(stated: str, expected: bool) -> None:
    """A required package under the GPL would bind the users of this one."""
    assert is_permissive(stated) == expected
