# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Python names, signatures and interface definitions in folders of ROS packages. The folders are read, never imported."""

from __future__ import annotations

import ast
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Signature:
    """The arguments that a function, method or class accepts.

    Attributes:
        keywords: names that may be given as keywords.
        positional: number of positional arguments; None if any number is accepted.
        any_keyword: True if every keyword is accepted.
    """

    keywords: frozenset[str]
    positional: int | None
    any_keyword: bool

    @staticmethod
    def of(function: Function, is_method: bool) -> Signature:
        """Return the signature of a definition. The first argument of a method is left out, except for static methods."""
        arguments = function.args
        is_static = any(isinstance(item, ast.Name) and item.id == "staticmethod" for item in function.decorator_list)
        skipped = int(is_method and not is_static)
        named = [item.arg for item in (*arguments.args[max(0, skipped - len(arguments.posonlyargs)) :], *arguments.kwonlyargs)]
        count = len(arguments.posonlyargs) + len(arguments.args) - skipped
        return Signature(frozenset(named), None if arguments.vararg else count, arguments.kwarg is not None)

    def refused(self, keywords: Sequence[str], positional: int) -> str:
        """Return what of a call is not accepted, or an empty text."""
        unknown = [] if self.any_keyword else [name for name in keywords if name not in self.keywords]
        if unknown:
            return f"keyword {', '.join(unknown)}"
        return f"{positional} positional arguments" if self.positional is not None and positional > self.positional else ""


def nodes_of(tree: ast.AST) -> Iterator[ast.AST]:
    """Return the statements of a module or class, also those below `if`, `try` and `with`, but none of nested definitions."""
    for node in ast.iter_child_nodes(tree):
        yield node
        if isinstance(node, ast.If | ast.Try | ast.With | ast.ExceptHandler):
            yield from nodes_of(node)


def names_bound(node: ast.AST) -> Iterator[str]:
    """Return the names that one statement binds."""
    if isinstance(node, Function | ast.ClassDef):
        yield node.name
    elif isinstance(node, ast.Import | ast.ImportFrom):
        yield from ((item.asname or item.name).partition(".")[0] for item in node.names)
    elif isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        yield from (item.id for target in targets for item in ast.walk(target) if isinstance(item, ast.Name))


class PythonSources:
    """Modules of ROS's Python packages.

    Args:
        folders: module name -> folder of the top-level package, such as `rclpy` -> `.../rclpy/rclpy`.
    """

    def __init__(self, folders: dict[str, Path]) -> None:
        self.folders = folders

    @cache  # noqa: B019 - one object for each distribution, as long as the program
    def tree(self, module: str) -> ast.Module | None:
        """Return the syntax tree of a module, or None if the module does not exist."""
        top, *rest = module.split(".")
        if top not in self.folders:
            return None
        path = self.folders[top].joinpath(*rest)
        file = path / "__init__.py" if path.is_dir() else path.with_name(f"{path.name}.py")
        return ast.parse(file.read_text(encoding="utf-8")) if file.is_file() else None

    def resolve(self, module: str, name: str) -> tuple[str, ast.AST] | None:
        """Follow imports to the definition of a name. Return its module and node, or None if the name does not exist."""
        tree = self.tree(module)
        if tree is None:
            return None
        for node in nodes_of(tree):
            if name not in names_bound(node):
                continue
            if not isinstance(node, ast.ImportFrom):
                return module, node
            source = self._absolute(module, node)
            original = next(item.name for item in node.names if name == (item.asname or item.name))
            return self.resolve(source, original) or (module, node)  # a name from outside, such as a C++ module, exists as well
        submodule = f"{module}.{name}"
        found = self.tree(submodule)
        return (submodule, found) if found is not None else None

    def _absolute(self, module: str, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        top, *rest = module.split(".")
        is_package = self.folders[top].joinpath(*rest).is_dir()
        parts = module.split(".")
        base = parts[: len(parts) - node.level + is_package]
        return ".".join([*base, *([node.module] if node.module else [])])

    def signature(self, module: str, node: ast.AST) -> Signature | None:
        """Return the signature of a function or of a class's constructor, or None if it cannot be told."""
        if isinstance(node, Function):
            return Signature.of(node, False)
        if not isinstance(node, ast.ClassDef):
            return None
        made = [
            item for owner in self._lineage(module, node) for item in owner.body if isinstance(item, Function) and item.name == "__init__"
        ]
        if not made:
            return None
        first, *others = [Signature.of(item, True) for item in made]
        if not first.any_keyword:
            return first
        slots = {name.removeprefix("_") for name in _slots(node)}  # QoSProfile takes any keyword, and then checks it against these
        keywords = first.keywords.union(slots, *(other.keywords for other in others))  # **kwargs are passed on to the base classes
        return Signature(keywords, first.positional, not slots and all(other.any_keyword for other in others))

    def _lineage(self, module: str, node: ast.ClassDef) -> Iterator[ast.ClassDef]:
        yield node
        for base in node.bases:
            base = base.value if isinstance(base, ast.Subscript) else base
            name = base.id if isinstance(base, ast.Name) else base.attr if isinstance(base, ast.Attribute) else ""
            found = self.resolve(module, name) if name else None
            if found is not None and isinstance(found[1], ast.ClassDef) and found[1] is not node:
                yield from self._lineage(found[0], found[1])

    @cached_property
    def _members(self) -> tuple[dict[str, list[Signature]], set[str], set[str]]:
        methods: dict[str, list[Signature]] = {}
        attributes: set[str] = set()
        assigned: set[str] = set()
        for folder in self.folders.values():
            for file in sorted([*folder.rglob("*.py"), *folder.rglob("*.pyi")]):
                tree = ast.parse(file.read_text(encoding="utf-8"))
                for owner in (node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)):
                    for node in nodes_of(owner):
                        attributes.update(names_bound(node))
                        if isinstance(node, Function):
                            methods.setdefault(node.name, []).append(Signature.of(node, True))
                found = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
                attributes.update(node.attr for node in found)
                assigned.update(node.attr for node in found if isinstance(node.ctx, ast.Store))
        return methods, attributes, assigned

    @cached_property
    def bindings(self) -> set[str]:
        """Names that C++ files beside the packages give to Python, such as methods and values of enumerations."""
        files = [file for folder in self.folders.values() for file in sorted(folder.parent.rglob("src/**/*.cpp"))]
        return {name for file in files for name in re.findall(r'\(\s*"(\w+)"', file.read_text(encoding="utf-8"))}

    @property
    def methods(self) -> dict[str, list[Signature]]:
        """Method name -> the signatures of all methods of this name."""
        return self._members[0]

    @property
    def attributes(self) -> set[str]:
        """Names of all attributes of classes, instances and modules."""
        return self._members[1]

    @property
    def assigned(self) -> set[str]:
        """Names of attributes that some object sets; a call of such an attribute has unknown arguments."""
        return self._members[2]


def _slots(node: ast.ClassDef) -> list[str]:
    for item in node.body:
        if isinstance(item, ast.Assign) and any(isinstance(target, ast.Name) and target.id == "__slots__" for target in item.targets):
            return [text.value for text in ast.walk(item.value) if isinstance(text, ast.Constant) and isinstance(text.value, str)]
    return []


@dataclass
class Interface:
    """One message, or the request, response, goal, result or feedback of a service or action.

    Attributes:
        fields: name -> type. Types of the same package carry its name.
        constants: name -> type and value.
    """

    fields: dict[str, str] = field(default_factory=dict)
    constants: dict[str, str] = field(default_factory=dict)

    @staticmethod
    def parse(text: str, package: str) -> Interface:
        """Parse a definition without `---`."""
        parsed = Interface()
        for line in text.splitlines():
            words = re.match(r"([\w/]+(?:<=\d+)?(?:\[(?:<=)?\d*\])?)\s+(\w+)\s*(=?)\s*(.*)", line.partition("#")[0].strip())
            if words:
                kind, name, is_constant, value = words.groups()
                if re.match(r"[A-Z]", kind):
                    kind = f"{'std_msgs' if kind == 'Header' and package != 'std_msgs' else package}/{kind}"
                target = parsed.constants if is_constant else parsed.fields
                target[name] = f"{kind} {value.strip()}" if is_constant else kind
        return parsed


def interfaces(folder: Path, package: str) -> dict[str, Interface]:
    """Return the interfaces of a package folder by name, such as `sensor_msgs/msg/Image` or `std_srvs/srv/Trigger.Response`."""
    parts = {"msg": ("",), "srv": (".Request", ".Response"), "action": (".Goal", ".Result", ".Feedback")}
    found = {}
    for kind, suffixes in parts.items():
        for file in sorted((folder / kind).glob(f"*.{kind}")):
            for suffix, text in zip(suffixes, re.split(r"^---.*$", file.read_text(encoding="utf-8"), flags=re.MULTILINE)):
                found[f"{package}/{kind}/{file.stem}{suffix}"] = Interface.parse(text, package)
    return found


class Distribution:
    """All packages below a folder.

    Args:
        name: name of the distribution, for the report.
        folders: package name -> folder that holds its Python package or its `msg`, `srv` and `action`.
        versions: package name -> version.
    """

    def __init__(self, name: str, folders: dict[str, Path], versions: dict[str, str]) -> None:
        self.name = name
        self.folders = folders
        self.versions = versions
        modules = {package: path / package for package, path in folders.items()}
        self.python = PythonSources({package: path for package, path in modules.items() if (path / "__init__.py").exists()})
        self.interfaces: dict[str, Interface] = {}
        for package, path in folders.items():
            self.interfaces.update(interfaces(path, package))

    @staticmethod
    def below(name: str, folder: Path) -> Distribution:
        """Return the distribution whose packages, each with a `package.xml`, lie anywhere below a folder."""
        folders, versions = {}, {}
        for file in sorted(folder.rglob("package.xml")):
            root = ElementTree.parse(file).getroot()
            package = (root.findtext("name") or "").strip()
            folders[package], versions[package] = file.parent, (root.findtext("version") or "").strip()
        return Distribution(name, folders, versions)

    @staticmethod
    def installed(prefixes: Sequence[Path], python_path: Sequence[Path], packages: Sequence[str]) -> Distribution:
        """Return what is installed: interfaces below `share` of ament prefixes, modules on a Python path."""
        folders: dict[str, Path] = {}
        for package in packages:
            places = [path for path in python_path if (path / package / "__init__.py").is_file() and not (path / package / "msg").is_dir()]
            shares = [prefix / "share" / package for prefix in prefixes if (prefix / "share" / package).is_dir()]
            if places or shares:
                folders[package] = (places or shares)[0]
        return Distribution("installed", folders, {})
