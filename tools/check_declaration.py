#!/usr/bin/env python3
# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Compares each line of QUALITY_DECLARATION.md with the checkout. Exit code 1: a line claims something that is not so.

    python tools/check_declaration.py

A line that begins with "No" or "Not" claims nothing. Each other line of a clause needs a check here. Each name of a file, folder or make
target in a line must exist. Coverage is compared with the last measurement of `make coverage`, where there is one.
"""

from __future__ import annotations

import ast
import datetime
import importlib.metadata
import json
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
SEMANTIC_VERSION = r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)"
SIGNED_FROM = (0, 2)
PERMISSIVE = re.compile(r"\b(Apache|MIT|(Free)?BSD|0BSD|ISC|Python Software Foundation|PSF)\b", re.IGNORECASE)
RESTRICTED = re.compile(r"\b[AL]?GPL|\bMPL|\bMozilla|\bcommercial|\bproprietary", re.IGNORECASE)
SOURCE_SUFFIXES = (".py", ".msg", ".srv", ".action", ".yaml", ".sh", ".js", ".css", ".html", ".toml")
RUNS_HEADING = "## What was run"
Check = Callable[["Checkout", str], Iterator[str]]


class Checkout:
    """The files that the declaration speaks of.

    Args:
        root: folder of the checkout.

    Attributes:
        clauses: number of a clause, such as `3.iii` -> text of its line.
        public: kind of public names -> names, from the last section.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        table = re.findall(r"^\| ([^|]+?) \| (.*) \|$", self.read("QUALITY_DECLARATION.md"), re.MULTILINE)
        self.clauses = {label.split()[0].rstrip(","): text for label, text in table if re.match(r"\d\.", label)}
        self.public = {label: re.findall(r"`([^`]+)`", text) for label, text in table if not re.match(r"\d\.|clause|kind", label)}
        self.package = ElementTree.fromstring(self.read("package.xml"))

    def read(self, name: str) -> str:
        """Return the text of a file."""
        return (self.root / name).read_text(encoding="utf-8")

    @property
    def version(self) -> str:
        """Version in package.xml."""
        return self.package.findtext("version") or ""

    def files(self) -> list[str]:
        """Return the files under version control, or an empty list outside a git checkout."""
        listed = subprocess.run(["git", "ls-files"], cwd=self.root, capture_output=True, text=True)
        return listed.stdout.split() if listed.returncode == 0 else []

    def depends(self, *kinds: str) -> set[str]:
        """Return the ROS packages that package.xml names with these tags."""
        names = {element.text or "" for kind in kinds for element in self.package.iter(kind)}
        return {name for name in names if not name.startswith("python3-")}


def names_in(text: str) -> set[str]:
    """Return the texts between backticks."""
    return set(re.findall(r"`([^`]+)`", text))


def difference(what: str, claimed: set[str], real: set[str]) -> Iterator[str]:
    """Return a line each for names that only one of two sets has."""
    yield from (f"{what} does not exist: {name}" for name in sorted(claimed - real))
    yield from (f"{what} is not named: {name}" for name in sorted(real - claimed))


def check_version(checkout: Checkout, _: str) -> Iterator[str]:
    """package.xml, Python and changelog have one version, and it is semantic."""
    python = re.search(r'^__version__ = "(.*)"', checkout.read("lang2segtrack_ros/__init__.py"), re.MULTILINE)
    if python is None or python[1] != checkout.version:
        yield f"version is {checkout.version} in package.xml and {python and python[1]} in Python"
    released = re.findall(r"^(\S+) \(\d{4}-\d\d-\d\d\)$", checkout.read("CHANGELOG.rst"), re.MULTILINE)
    for version in (checkout.version, *released):
        if not re.fullmatch(SEMANTIC_VERSION, version):
            yield f"version {version} is not semantic"
    if "\nForthcoming\n" not in checkout.read("CHANGELOG.rst") and checkout.version not in released:
        yield f"CHANGELOG.rst has neither version {checkout.version} nor a section Forthcoming"


def public_names(checkout: Checkout) -> dict[str, set[str]]:
    """Return the public names that the code has, by kind."""
    tree = ast.parse(checkout.read("lang2segtrack_ros/__init__.py"))
    exported = next(item.value for item in tree.body if isinstance(item, ast.Assign) and ast.unparse(item.targets[0]) == "__all__")
    commands = [
        name for file in checkout.root.glob("lang2segtrack_ros/cli/*.py") for name in _subcommands(file.read_text(encoding="utf-8"))
    ]
    return {
        "messages": {file.stem for file in checkout.root.glob("msg/*.msg")},
        "services": {file.stem for file in checkout.root.glob("srv/*.srv")},
        "actions": {file.stem for file in checkout.root.glob("action/*.action")},
        "executables": {file.name for file in checkout.root.glob("scripts/*")} - {"lang2segtrack"},
        "launch files": {file.name for file in checkout.root.glob("launch/*.py")},
        "subcommands of `lang2segtrack`": set(commands),
        "names of `lang2segtrack_ros`": set(ast.literal_eval(exported)),
    }


def _subcommands(text: str) -> list[str]:
    return re.findall(r'\bcommands\.add_parser\(\s*"([\w-]+)"', text)


def check_public_api(checkout: Checkout, _: str) -> Iterator[str]:
    """The lists of public names are those of the code."""
    real = public_names(checkout)
    yield from difference("list of public names", set(checkout.public), set(real))
    for kind, names in real.items():
        yield from difference(kind, set(checkout.public.get(kind, [])), names)


def check_sign_off(checkout: Checkout, _: str) -> Iterator[str]:
    """Each commit after the release before the first signed version is signed off."""
    if "Developer Certificate of Origin" not in checkout.read("CONTRIBUTING.md"):
        yield "CONTRIBUTING.md does not name the Developer Certificate of Origin"
    if tuple(int(part) for part in checkout.version.split(".")[:2]) < SIGNED_FROM:
        return
    form = "--format=%h %(trailers:key=Signed-off-by,valueonly,separator=%x2C)"
    first = ".".join(map(str, SIGNED_FROM)) + ".0"
    listed = subprocess.run(["git", "log", form, f"{first}..HEAD"], cwd=checkout.root, capture_output=True, text=True)
    if listed.returncode:
        yield f"there is no tag {first}, so sign-off cannot be checked"
    yield from (f"commit {line.strip()} is not signed off" for line in listed.stdout.splitlines() if " " not in line.strip())


def check_continuous_integration(checkout: Checkout, text: str) -> Iterator[str]:
    """The workflow tests the named distributions in containers, and with wheels."""
    jobs = yaml.safe_load(checkout.read(".github/workflows/ci.yaml"))["jobs"]
    matrices = [set(job["strategy"]["matrix"].get("distro", [])) for job in jobs.values() if "strategy" in job]
    yield from difference("distribution in ci.yaml", set(re.findall(r"\b(humble|jazzy|kilted|lyrical)\b", text)), set().union(*matrices))
    steps = [step.get("run", "") for job in jobs.values() for step in job["steps"]]
    if not any(step.startswith("make test") for step in steps):
        yield "no step of ci.yaml runs make test"


def check_license(checkout: Checkout, _: str) -> Iterator[str]:
    """License, package.xml, pyproject.toml and each source file agree."""
    if "Apache License" not in checkout.read("LICENSE")[:200] or checkout.package.findtext("license") != "Apache-2.0":
        yield "LICENSE and package.xml are not Apache-2.0"
    if 'license = { text = "Apache-2.0" }' not in checkout.read("pyproject.toml"):
        yield "pyproject.toml does not say Apache-2.0"
    yield from _without(checkout, "SPDX-License-Identifier: Apache-2.0")


def check_copyright(checkout: Checkout, _: str) -> Iterator[str]:
    """Each source file names the holder."""
    yield from _without(checkout, "SPDX-FileCopyrightText: ")


def _without(checkout: Checkout, line: str) -> Iterator[str]:
    for name in checkout.files():
        if Path(name).suffix in SOURCE_SUFFIXES or name.startswith("scripts/"):
            text = checkout.read(name)
            if text and line not in text[:400]:
                yield f"{name} has no line {line}"


def check_tests(checkout: Checkout, _: str) -> Iterator[str]:
    """Each room has tests in the mirrored room."""
    for room in sorted(path.parent.name for path in checkout.root.glob("lang2segtrack_ros/*/__init__.py")):
        if not list((checkout.root / "test" / room).rglob("test_*.py")):
            yield f"test/{room} has no test"


def check_tested_names(checkout: Checkout, _: str) -> Iterator[str]:
    """Each name that a user can call or subscribe to stands in a test."""
    declared = "".join(checkout.read(f"lang2segtrack_ros/ros/support/{name}.py") for name in ("interfaces", "map_interfaces"))
    names = set(re.findall(r'\b(?:Topic|Service|Action)\(\s*"([\w/]+)"', declared))
    public = public_names(checkout)
    names |= public["executables"] | public["subcommands of `lang2segtrack`"]
    tests = "\n".join(file.read_text(encoding="utf-8") for file in checkout.root.glob("test/**/*.py"))
    yield from (f"no test names {name}" for name in sorted(names) if not re.search(rf"(?<!\w){re.escape(name)}(?!\w)", tests))


def check_coverage(checkout: Checkout, text: str) -> Iterator[str]:
    """The threshold is that of pyproject.toml, and the last measurement reaches it."""
    kept = re.search(r"^fail_under = (\d+)", checkout.read("pyproject.toml"), re.MULTILINE)
    claimed = re.search(r"(\d+) %", text)
    if not (kept and claimed and kept[1] == claimed[1]):
        yield f"coverage of {claimed and claimed[1]} % is claimed, fail_under in pyproject.toml is {kept and kept[1]}"
    measured = checkout.root / "out" / "coverage.json"
    if kept and measured.is_file():
        reached = float(json.loads(measured.read_text(encoding="utf-8"))["totals"]["percent_covered"])
        if reached < float(kept[1]):
            yield f"make coverage measured {reached:.1f} %, less than {kept[1]} %"


def check_performance(checkout: Checkout, _: str) -> Iterator[str]:
    """CI runs none of the benchmarks."""
    if re.search(r"make (bench|soak)", checkout.read(".github/workflows/ci.yaml")):
        yield "ci.yaml runs a benchmark"


def check_linters(checkout: Checkout, text: str) -> Iterator[str]:
    """`make lint` and the ament linters of package.xml are those that are named."""
    makefile = checkout.read("Makefile")
    lint = re.search(r"^LINT = (.*)$", makefile, re.MULTILINE)
    for tool in ("ruff check", "mypy", "lint-imports"):
        if lint is None or tool not in lint[1]:
            yield f"make lint does not run {tool}"
    if not re.search(r"^test:\n(\t.*\n)*\t.*\$\(LINT\)", makefile, re.MULTILINE):
        yield "make test does not include lint"
    if "strict = true" not in checkout.read("pyproject.toml"):
        yield "mypy is not strict"
    real = {
        name for name in checkout.depends("test_depend") if re.match(r"ament_(cmake_)?(xmllint|lint_cmake|flake8|pep257|copyright)", name)
    }
    yield from difference("ament linter", set(re.findall(r"\bament_\w+", text)), real)


def check_ros_packages(checkout: Checkout, text: str) -> Iterator[str]:
    """The list is that of package.xml."""
    yield from difference("dependency", names_in(text), checkout.depends("depend", "exec_depend"))


def check_optional_packages(checkout: Checkout, text: str) -> Iterator[str]:
    """No optional package is required, and docs/installation.md names each."""
    required = checkout.depends("depend", "exec_depend", "build_depend")
    manual = checkout.read("docs/installation.md").replace("-", "_")
    yield from (f"{name} is required by package.xml" for name in sorted(names_in(text) & required))
    yield from (f"docs/installation.md does not name {name}" for name in sorted(names_in(text)) if name not in manual)


def check_python_packages(checkout: Checkout, text: str) -> Iterator[str]:
    """The list is that of pyproject.toml, and each installed package states a permissive license."""
    project = checkout.read("pyproject.toml").partition("[project.scripts]")[0]
    real = {re.split(r"[<>=\[;]", entry)[0] for entry in re.findall(r'"([\w-]+[<>=][^"]*)"', project) if not entry.startswith("setuptools")}
    yield from difference("Python package", names_in(text), real)
    mozilla = names_in(text.partition("Mozilla")[2])
    for name in sorted(real):
        stated = stated_license(name)
        if stated and not is_permissive(re.sub(r"MPL-2\.0", "", stated) if name in mozilla else stated):
            yield f"{name} states the license {stated!r}"


def stated_license(name: str) -> str:
    """Return the license in the metadata of an installed package; an empty text if it is not installed."""
    try:
        metadata = importlib.metadata.metadata(name)
    except importlib.metadata.PackageNotFoundError:
        return ""
    classifiers = [item for item in metadata.get_all("Classifier") or [] if item.startswith("License ::")]
    return metadata["License-Expression"] or " ".join(classifiers) or str(metadata["License"])[:100]


def is_permissive(stated: str) -> bool:
    """Return True if the text that states a license names a permissive one and no other."""
    return bool(PERMISSIVE.search(stated)) and not RESTRICTED.search(stated)


def check_platforms(checkout: Checkout, _: str) -> Iterator[str]:
    """README's table of runs has a date that was, and commands that exist."""
    section = checkout.read("README.md").partition(RUNS_HEADING)[2].partition("\n## ")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if re.match(r"\| [^|]*\d", line)]
    if not rows:
        yield f"README.md has no table below {RUNS_HEADING}"
    for row in rows:
        dates = re.findall(r"\d{4}-\d\d-\d\d", row[-1])
        if not dates or max(dates) > datetime.date.today().isoformat():
            yield f"table of runs: {row[0]} has no date that was"
    yield from missing_names(checkout, section)


def check_security(checkout: Checkout, _: str) -> Iterator[str]:
    """SECURITY.md names a way to report, and package.xml has the address that it names."""
    text = checkout.read("SECURITY.md")
    maintainer = checkout.package.find("maintainer")
    if "maintainer in `package.xml`" not in text.replace("\n", " ") or maintainer is None or "@" not in maintainer.get("email", ""):
        yield "SECURITY.md and package.xml do not lead to a mail address"
    if "90 days" not in text or "REP-2006" not in text:
        yield "SECURITY.md does not name the 90 days of REP-2006"


def missing_names(checkout: Checkout, text: str) -> Iterator[str]:
    """Return a line for each file, folder and make target of a text that does not exist."""
    targets = set(re.findall(r"^([a-z-]+):", checkout.read("Makefile"), re.MULTILINE))
    for name in sorted(names_in(text)):
        made = re.match(r"make ([a-z-]+)", name)
        if made and made[1] not in targets:
            yield f"the Makefile has no target {made[1]}"
        for path in re.findall(r"(?<![\w/.~-])(?:[\w.-]+/[\w./-]*|[\w-]+\.(?:md|py|toml|xml|rst))(?![\w/$])", name):
            if not (checkout.root / path).exists():
                yield f"{path} does not exist"


def nothing(_: Checkout, __: str) -> Iterator[str]:
    """Check no more than the names in the line."""
    return iter(())


CHECKS: dict[str, Check] = {
    "1.i": check_version,
    "1.iii": check_public_api,
    "2.i": nothing,
    "2.ii": check_sign_off,
    "2.iv": check_continuous_integration,
    "2.v": nothing,
    "3.i": nothing,
    "3.ii": nothing,
    "3.iii": check_license,
    "3.iv": check_copyright,
    "3.v": nothing,
    "4.i": check_tests,
    "4.ii": check_tested_names,
    "4.iii": check_coverage,
    "4.iv": check_performance,
    "4.v": check_linters,
    "5.i": check_ros_packages,
    "5.ii": check_optional_packages,
    "5.iii": check_python_packages,
    "6.i": check_platforms,
    "7.i": check_security,
}
NATIVE = (".c", ".cc", ".cpp", ".h", ".hpp", ".cu")


def clause_problems(checkout: Checkout, clause: str, text: str) -> Iterator[str]:
    """Return a line for each claim of one clause that is not so."""
    if clause not in ("5.i", "5.ii", "5.iii"):  # names of packages
        yield from missing_names(checkout, text)
    if clause in CHECKS:
        yield from CHECKS[clause](checkout, text)
    elif not re.match(r"Not?\b", text):
        yield "this claim has no check in tools/check_declaration.py"


def problems(checkout: Checkout) -> list[str]:
    """Return a line for each claim that is not so."""
    found = [f"{clause}: {line}" for clause, text in checkout.clauses.items() for line in clause_problems(checkout, clause, text)]
    found += [f"{clause}: the declaration has no such line" for clause in CHECKS if clause not in checkout.clauses]
    if (checkout.clauses.get("1.ii", "").startswith("No")) != checkout.version.startswith("0."):
        found.append(f"1.ii: version is {checkout.version}")
    found += [f"1.v: {name} is C or C++" for name in checkout.files() if name.endswith(NATIVE)]
    return found


def main() -> int:
    """Print the problems. Return the exit code."""
    checkout = Checkout(ROOT)
    lines = problems(checkout)
    print("\n".join(lines) or f"{len(checkout.clauses)} lines of QUALITY_DECLARATION.md hold")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
