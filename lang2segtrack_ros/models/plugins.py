# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Plug-ins by name: detectors, segmenters and memory policies from other packages.

A plug-in has a name of one of two forms. `package.module:attribute` imports the attribute. Any other name is the name of an entry point in
the group of its kind, such as `lang2segtrack.detectors`. Built-in names take precedence over entry points with the same name.
"""

from __future__ import annotations

import pkgutil
import re
from collections.abc import Callable, Sequence
from importlib.metadata import entry_points
from typing import Any, Literal

from lang2segtrack_ros.models.catalogue import WeightsError

PluginKind = Literal["detector", "segmenter", "policy"]
GROUPS: dict[PluginKind, str] = {
    "detector": "lang2segtrack.detectors",
    "segmenter": "lang2segtrack.segmenters",
    "policy": "lang2segtrack.policies",
}
"""Entry-point group of each kind."""
_IMPORT_PATH = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")


class PluginError(WeightsError):
    """A plug-in that cannot be imported or created, or lacks an attribute. The message names the plug-in and says what to do."""


def plugin_names(kind: PluginKind) -> tuple[str, ...]:
    """Return the sorted entry-point names of the installed plug-ins of a kind."""
    return tuple(sorted({entry.name for entry in entry_points(group=GROUPS[kind])}))


def find_plugin(kind: PluginKind, name: str) -> Callable[..., Any] | None:
    """Return the factory of a plug-in, or None if no plug-in has this name.

    Args:
        kind: kind of the plug-in.
        name: `package.module:attribute`, or the name of an entry point.

    Raises:
        PluginError: the plug-in cannot be imported, or is not callable.
    """
    try:
        if _IMPORT_PATH.fullmatch(name):
            factory: Any = pkgutil.resolve_name(name)
        else:
            entry = next((entry for entry in entry_points(group=GROUPS[kind]) if entry.name == name), None)
            if entry is None:
                return None
            factory = entry.load()
    except Exception as error:  # the import runs code of the plug-in, which may raise anything
        raise PluginError(
            f'the {kind} plug-in "{name}" cannot be imported ({type(error).__name__}: {error}): '
            "install its package, or add its folder to PYTHONPATH"
        ) from error
    if not callable(factory):
        raise PluginError(f'the {kind} plug-in "{name}" is not callable: name a class, or a function that returns a {kind}')
    return factory  # type: ignore[no-any-return]  # callable() narrows only the type of the object


def create_plugin(kind: PluginKind, name: str, required: Sequence[str], **arguments: Any) -> Any:
    """Create a plug-in and check that it has the required attributes.

    Args:
        kind: kind of the plug-in.
        name: `package.module:attribute`, or the name of an entry point.
        required: attributes that the created object must have.
        **arguments: keyword arguments for the factory.

    Returns:
        The created object, or None if no plug-in has this name.

    Raises:
        PluginError: the plug-in cannot be imported or created, or lacks an attribute.
    """
    factory = find_plugin(kind, name)
    if factory is None:
        return None
    try:
        plugin = factory(**arguments)
    except Exception as error:  # the factory is code of the plug-in, which may raise anything
        raise PluginError(f'the {kind} plug-in "{name}" cannot be created: {type(error).__name__}: {error}') from error
    missing = [attribute for attribute in required if not hasattr(plugin, attribute)]
    if missing:
        raise PluginError(f'the {kind} plug-in "{name}" lacks {", ".join(missing)}: docs/extend.md lists what a {kind} needs')
    return plugin
