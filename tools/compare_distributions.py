#!/usr/bin/env python3
# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Compares what the package uses of ROS with the sources of other distributions, and says what they lack.

    git clone -b humble https://github.com/ros2/rclpy humble/rclpy          # and common_interfaces, rcl_interfaces, launch, ...
    python tools/compare_distributions.py --sources humble=humble --sources lyrical=lyrical

Run it in the environment of `make setup`, whose ROS packages are the reference. It compares:

* each imported name of ROS's Python packages, and the arguments of each call of such a name;
* each method and attribute that the reference or one of the given sources has, with the arguments of each call. A method is found by its
  name and arguments in any class;
* each field and constant of the messages, services and actions that the code or the package's own interfaces use, with its type.

Packages are found below a folder by their `package.xml`. Nothing is imported or run. Exit code 1: something is missing.
"""

from __future__ import annotations

import argparse
import os
import sys
import threading
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # for a call by path

from tools.ros_sources import Distribution, Interface  # noqa: E402
from tools.ros_usage import PARTS, PYTHON_PACKAGES, Call, Usage, read_usage  # noqa: E402

COMMON = {name for kind in (type, str, list, dict, set, memoryview, Path, threading.Event, threading.Thread) for name in dir(kind)}
"""Names that Python's own objects have. Such an attribute says nothing about ROS."""
GENERATED = {"Request", "Response", "Goal", "Result", "Feedback", "get_fields_and_field_types", "_check_fields"}
"""Names in the classes that rosidl generates. The code looks before it uses the last one."""


class Comparison:
    """Comparison of one distribution with the reference.

    Args:
        usage: what the package uses.
        distribution: the distribution.
        reference: the installed packages and all given sources.
        optional: packages that may be absent.

    Attributes:
        counts: compared things by kind.
        unchecked: optional packages without sources.
    """

    def __init__(self, usage: Usage, distribution: Distribution, reference: Sequence[Distribution], optional: set[str]) -> None:
        self.usage = usage
        self.distribution = distribution
        self.reference = reference
        self.optional = optional
        self.counts = dict.fromkeys(("imported names", "calls", "method calls", "attributes", "interfaces", "fields", "constants"), 0)
        self.unchecked: set[str] = set()

    def missing(self) -> list[str]:
        """Return a line for everything that the distribution lacks."""
        return sorted({*self._imports(), *self._calls(), *self._methods(), *self._attributes(), *self._interfaces(), *self._constants()})

    def _imports(self) -> Iterator[str]:
        for target, place in self.usage.imports.items():
            module, _, name = target.partition(":")
            package = module.partition(".")[0]
            self.counts["imported names"] += 1
            if package not in self.distribution.folders:
                if package in self.optional:
                    self.unchecked.add(package)
                else:
                    yield f"package {package} has no sources ({place})"
            elif self.distribution.python.resolve(module, name) is None:
                yield f"{module} has no {name} ({place})"

    def _calls(self) -> Iterator[str]:
        for call in self.usage.calls:
            module, _, name = call.target.partition(":")
            package, _, kind = module.partition(".")
            if kind in ("msg", "srv", "action"):
                yield from self._fields_given(f"{package}/{kind}/{name}", call)
                continue
            found = self.distribution.python.resolve(module, name)
            signature = self.distribution.python.signature(*found) if found is not None else None
            if signature is None:
                continue
            self.counts["calls"] += 1
            refused = signature.refused(call.keywords, call.positional)
            if refused:
                yield f"{module}.{name} does not accept {refused} ({call.place})"

    def _fields_given(self, name: str, call: Call) -> Iterator[str]:
        interface = self.distribution.interfaces.get(name)
        unknown = [item for item in call.keywords if interface is not None and item not in interface.fields]
        yield from (f"{name} has no field {item} ({call.place})" for item in unknown)

    def _methods(self) -> Iterator[str]:
        python = self.distribution.python
        for call in self.usage.methods:
            known = any(_accepts(other, call) for other in self.reference)
            if not known or call.target in self.usage.defined | COMMON | GENERATED:
                continue
            self.counts["method calls"] += 1
            if not _accepts(self.distribution, call):
                have = "with these arguments" if call.target in python.methods else "of this name"
                arguments = ", ".join([*["..."] * call.positional, *(f"{name}=" for name in call.keywords)])
                yield f"no method {have}: {call.target}({arguments}) ({call.place})"

    def _attributes(self) -> Iterator[str]:
        known = set().union(*(other.python.attributes for other in self.reference))
        for name, place in self.usage.attributes.items():
            if name in known and name not in self.usage.defined | COMMON | GENERATED:
                self.counts["attributes"] += 1
                python = self.distribution.python
                if name not in python.attributes | python.bindings and not self._is_field(name):
                    yield f"no attribute {name} ({place})"

    def _is_field(self, name: str) -> bool:
        return any(name in item.fields or name in item.constants for item in self.distribution.interfaces.values())

    def _interfaces(self) -> Iterator[str]:
        waiting = [(f"{name}{suffix}", place) for name, place in self.usage.types.items() for suffix in PARTS[name.split("/")[1]]]
        done = set()
        while waiting:
            name, place = waiting.pop()
            package = name.partition("/")[0]
            if name in done:
                continue
            done.add(name)
            if package not in self.distribution.folders and package in self.optional:
                self.unchecked.add(package)
                continue
            self.counts["interfaces"] += 1
            own = self.distribution.interfaces.get(name)
            if own is None:
                yield f"no interface {name} ({place})"
                continue
            for other in (item.interfaces[name] for item in self.reference if name in item.interfaces):
                yield from self._fields(name, own, other)
            waiting += [(kind.partition("[")[0].replace("/", "/msg/"), name) for kind in own.fields.values() if "/" in kind]

    def _fields(self, name: str, own: Interface, reference: Interface) -> Iterator[str]:
        for item, kind in reference.fields.items():
            if item in self.usage.words:
                self.counts["fields"] += 1
                if item not in own.fields:
                    yield f"{name} has no field {item}"
                elif own.fields[item] != kind:
                    yield f"{name}: field {item} is {own.fields[item]}, not {kind}"

    def _constants(self) -> Iterator[str]:
        for (name, constant), place in self.usage.constants.items():
            interface = self.distribution.interfaces.get(name)
            if interface is not None and constant not in ("Request", "Response"):
                self.counts["constants"] += 1
                if constant not in interface.constants:
                    yield f"{name} has no constant {constant} ({place})"


def _accepts(distribution: Distribution, call: Call) -> bool:
    signatures = distribution.python.methods.get(call.target, [])
    return call.target in distribution.python.bindings | distribution.python.assigned or any(
        not signature.refused(call.keywords, call.positional) for signature in signatures
    )


def dependencies(root: Path) -> tuple[set[str], set[str]]:
    """Return the ROS packages that package.xml names, and the optional ones that the code uses if they are there."""
    package = ElementTree.parse(root / "package.xml").getroot()
    required = {element.text or "" for kind in ("depend", "exec_depend") for element in package.iter(kind)}
    return {name for name in required if not name.startswith("python3-")}, {"cv_bridge", "foxglove_msgs", *PYTHON_PACKAGES} - required


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare and report. Return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sources", action="append", required=True, metavar="NAME=FOLDER", help="a distribution; repeatable")
    options = parser.parse_args(arguments)
    required, optional = dependencies(ROOT)
    distributions = []
    for item in options.sources:
        name, _, folder = item.partition("=")
        if not folder or not Path(folder).is_dir():
            parser.error(f"--sources {item}: there is no such folder; write NAME=FOLDER")
        distributions.append(Distribution.below(name, Path(folder)))
    prefixes = [Path(path) for path in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep) if path]
    installed = Distribution.installed(prefixes, [Path(path) for path in sys.path if path], sorted(required | optional))
    usage = read_usage(ROOT, required | optional)
    is_complete = True
    for distribution in distributions:
        comparison = Comparison(usage, distribution, [installed, *distributions], optional)
        missing = comparison.missing()
        is_complete &= not missing
        versions = ", ".join(f"{name} {distribution.versions[name]}" for name in sorted(required & set(distribution.folders)))
        print(f"{distribution.name}: {versions}")
        print(f"  compared: {', '.join(f'{count} {kind}' for kind, count in comparison.counts.items())}")
        if comparison.unchecked:
            print(f"  optional and without sources, not compared: {', '.join(sorted(comparison.unchecked))}")
        print("\n".join(f"  MISSING {line}" for line in missing) or "  nothing is missing")
    return 0 if is_complete else 1


if __name__ == "__main__":
    sys.exit(main())
