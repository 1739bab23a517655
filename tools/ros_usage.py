# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""What the package's files use of ROS: imported names, calls, attributes, and the fields of messages."""

from __future__ import annotations

import ast
import itertools
import re
from dataclasses import dataclass, field
from pathlib import Path

from tools.ros_sources import interfaces, names_bound

OWN = ("lang2segtrack", "lang2segtrack_ros")
PYTHON_PACKAGES = ("rclpy", "launch", "launch_ros", "ament_index_python")
PARTS = {"msg": ("",), "srv": (".Request", ".Response"), "action": (".Goal", ".Result", ".Feedback")}


@dataclass(frozen=True)
class Call:
    """Arguments of one call.

    Attributes:
        target: `module:name` of an imported name, or the name of a method.
        keywords: names of the keyword arguments.
        positional: number of positional arguments.
        place: file and line.
    """

    target: str
    keywords: tuple[str, ...]
    positional: int
    place: str


@dataclass
class Usage:
    """What the package uses of ROS.

    Attributes:
        imports: `module:name` -> place.
        calls: calls of imported names.
        methods: calls of methods.
        attributes: attribute name -> place, in files that use ROS.
        types: name of a message, service or action -> place.
        constants: name of a message and name of its constant -> place.
        words: all names that could be a field: attributes, keywords and texts of the whole package.
        defined: names of the package's own functions, methods and attributes.
    """

    imports: dict[str, str] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    methods: list[Call] = field(default_factory=list)
    attributes: dict[str, str] = field(default_factory=dict)
    types: dict[str, str] = field(default_factory=dict)
    constants: dict[tuple[str, str], str] = field(default_factory=dict)
    words: set[str] = field(default_factory=set)
    defined: set[str] = field(default_factory=set)


class Reader(ast.NodeVisitor):
    """Adds one file to a `Usage`."""

    def __init__(self, usage: Usage, place: str, packages: set[str]) -> None:
        self.usage = usage
        self.place = place
        self.packages = packages
        self.names: dict[str, str] = {}
        self.other_names: set[str] = set()
        self.dictionaries: dict[str, tuple[str, ...]] = {}
        self.bases: list[str] = []
        self.attributes: dict[str, str] = {}
        self.methods: list[Call] = []

    def read(self, tree: ast.Module) -> None:
        """Read the tree. Methods and attributes count only in a file that imports ROS."""
        self.visit(tree)
        if self.names:
            self.usage.methods += self.methods
            self.usage.attributes.update(self.attributes)

    def _at(self, node: ast.AST) -> str:
        return f"{self.place}:{getattr(node, 'lineno', 0)}"

    def visit_Import(self, node: ast.Import) -> None:
        """Note `import rclpy`, `import rclpy.qos as qos`."""
        for item in node.names:
            bound = item.asname or item.name.partition(".")[0]
            if item.name.partition(".")[0] in self.packages:
                self.names[bound] = item.name if item.asname else bound
            else:
                self.other_names.add(bound)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        """Note imported names, and message classes apart."""
        module = node.module or ""
        package, _, rest = module.partition(".")
        if package not in self.packages:
            self.other_names.update(item.asname or item.name for item in node.names)
            return
        for item in node.names:
            self.names[item.asname or item.name] = f"{module}:{item.name}"
            if rest in PARTS and package not in PYTHON_PACKAGES:
                self.usage.types[f"{package}/{rest}/{item.name}"] = self._at(node)
            else:
                self.usage.imports[f"{module}:{item.name}"] = self._at(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        """Remember the base for `super().__init__`."""
        targets = [self._target(base) for base in node.bases]
        self.bases.append(next((target for target in targets if target), ""))
        self.usage.defined.update(name for item in node.body for name in names_bound(item))
        self.generic_visit(node)
        self.bases.pop()

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        """Note the package's own functions."""
        self.usage.defined.add(node.name)
        self.generic_visit(node)

    visit_AsyncFunctionDef = visit_FunctionDef  # type: ignore[assignment] # noqa: N815

    def _target(self, node: ast.expr) -> str:
        """Return `module:name` of an expression made of imported names, or an empty text."""
        if isinstance(node, ast.Name):
            found = self.names.get(node.id, "")
            return found if ":" in found else ""
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            module = self.names.get(node.value.id, "")
            return f"{module}:{node.attr}" if module and ":" not in module else ""
        return ""

    def visit_Call(self, node: ast.Call) -> None:
        """Note the arguments."""
        spread = [self.dictionaries.get(item.value.id, ()) for item in node.keywords if not item.arg and isinstance(item.value, ast.Name)]
        keywords = (*(item.arg for item in node.keywords if item.arg), *itertools.chain.from_iterable(spread))
        positional = sum(not isinstance(item, ast.Starred) for item in node.args)
        target = self._target(node.func)
        if isinstance(node.func, ast.Attribute) and node.func.attr == "__init__" and isinstance(node.func.value, ast.Call) and self.bases:
            target = self.bases[-1]  # super().__init__(...)
        if target:
            self.usage.calls.append(Call(target, keywords, positional, self._at(node)))
        elif isinstance(node.func, ast.Attribute) and not self._is_other(node.func.value):
            self.methods.append(Call(node.func.attr, keywords, positional, self._at(node)))
        self.usage.words.update(keywords)
        self.generic_visit(node)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        """Note the attribute. On an imported module, it is an imported name."""
        target = self._target(node)
        owner = self._target(node.value)
        if target:
            self.usage.imports.setdefault(target, self._at(node))
        elif re.search(r"\.(msg|srv)(\.\w+)?:", owner):
            self.usage.constants.setdefault((owner.replace(".", "/").replace(":", "/"), node.attr), self._at(node))
        elif isinstance(node.ctx, ast.Store) and isinstance(node.value, ast.Name) and node.value.id == "self":
            self.usage.defined.add(node.attr)
        elif not self._is_other(node.value):
            self.attributes.setdefault(node.attr, self._at(node))
        self.usage.words.add(node.attr)
        self.generic_visit(node)

    def visit_Assign(self, node: ast.Assign) -> None:
        """Note objects that other packages made, such as `log = logging.getLogger(...)`, and keys that `**name` may give to a call."""
        if isinstance(node.value, ast.Dict):
            keys = tuple(key.value for key in node.value.keys if isinstance(key, ast.Constant) and isinstance(key.value, str))
            self.dictionaries.update(dict.fromkeys(names_bound(node), keys))
        if isinstance(node.value, ast.Call) and self._is_other(node.value.func):
            self.other_names.update(names_bound(node))
        self.generic_visit(node)

    def _is_other(self, node: ast.expr) -> bool:
        while isinstance(node, ast.Attribute):
            node = node.value
        return isinstance(node, ast.Name) and node.id in self.other_names

    def visit_Constant(self, node: ast.Constant) -> None:
        """Note texts: names of fields, of private attributes and of message types."""
        if isinstance(node.value, str):
            if re.fullmatch(r"[a-z]\w*/(msg|srv|action)/[A-Z]\w*", node.value):
                self.usage.types.setdefault(node.value, self._at(node))
            elif node.value.isidentifier():
                self.usage.words.add(node.value)
                if node.value.startswith("_"):
                    self.attributes.setdefault(node.value, self._at(node))


def read_usage(root: Path, packages: set[str]) -> Usage:
    """Return what the files below a checkout use of some packages.

    Args:
        root: the checkout.
        packages: names of ROS packages.
    """
    usage = Usage()
    for file in sorted([*root.glob("lang2segtrack_ros/**/*.py"), *root.glob("launch/**/*.py"), *root.glob("scripts/*")]):
        Reader(usage, str(file.relative_to(root)), packages).read(ast.parse(file.read_text(encoding="utf-8")))
    for name, own in interfaces(root, "lang2segtrack").items():
        for kind in own.fields.values():
            base = kind.partition("[")[0]
            if "/" in base and not base.startswith("lang2segtrack/"):
                usage.types.setdefault(base.replace("/", "/msg/"), name)
    usage.types = {name: place for name, place in usage.types.items() if name.partition("/")[0] not in OWN}
    return usage
