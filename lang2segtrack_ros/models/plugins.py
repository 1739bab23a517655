# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Plug-ins by name: detectors, segmenters and memory policies that other packages bring.

A name reaches a plug-in in two ways. `package.module:attribute` imports the attribute. Any other name is looked up among the entry
points of its kind, such as the group `lang2segtrack.detectors`. Built-in names come first and cannot be replaced.
"""

from __future__ import annotations

import importlib
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
_IMPORT_NAME = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")


class PluginError(WeightsError):
    """A plug-in that cannot be imported or lacks a part; the message says which and what to do."""


def plugin_names(kind: PluginKind) -> tuple[str, ...]:
    """Return the names of the installed plug-ins of a kind, sorted."""
    return tuple(sorted({entry.name for entry in entry_points(group=GROUPS[kind])}))


def find_plugin(kind: PluginKind, name: str) -> Callable[..., Any] | None:
    """Return the factory of a plug-in, or None if no plug-in has this name.

    Raises:
        PluginError: the plug-in cannot be imported, or cannot be called.
    """
    try:
        if _IMPORT_NAME.fullmatch(name):
            module, _, path = name.partition(":")
            factory: Any = importlib.import_module(module)
            for attribute in path.split("."):
                factory = getattr(factory, attribute)
        else:
            entry = next((entry for entry in entry_points(group=GROUPS[kind]) if entry.name == name), None)
            if entry is None:
                return None
            factory = entry.load()
    except Exception as error:  # the plug-in's own code runs here
        raise PluginError(
            f'the {kind} plug-in "{name}" cannot be imported ({type(error).__name__}: {error}): '
            "install its package, or put its folder on PYTHONPATH"
        ) from error
    if not callable(factory):
        raise PluginError(f'the {kind} plug-in "{name}" cannot be called: name a class or a function that returns a {kind}')
    return factory  # type: ignore[no-any-return]


def create_plugin(kind: PluginKind, name: str, required: Sequence[str], **arguments: Any) -> Any:
    """Create a plug-in and check that it has the required attributes. Return None if no plug-in has this name.

    Args:
        kind: of the plug-in.
        name: `package.module:attribute`, or the name of an entry point.
        required: attributes that the created object must have.
        arguments: passed to the factory.

    Raises:
        PluginError: the plug-in cannot be imported or created, or lacks an attribute.
    """
    factory = find_plugin(kind, name)
    if factory is None:
        return None
    try:
        plugin = factory(**arguments)
    except Exception as error:  # the plug-in's own code runs here
        raise PluginError(f'the {kind} plug-in "{name}" cannot be created: {type(error).__name__}: {error}') from error
    missing = [attribute for attribute in required if not hasattr(plugin, attribute)]
    if missing:
        raise PluginError(f'the {kind} plug-in "{name}" lacks {", ".join(missing)}: docs/extend.md lists what a {kind} needs')
    return plugin
