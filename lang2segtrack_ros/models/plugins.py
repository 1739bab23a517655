# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Plug-ins by name: detectors, segmenters and memory policies from other packages.

A plug-in has a name of one of two forms. `package.module:attribute` imports the attribute. Any other name is the name of an entry point in
the group of its kind, such as `lang2segtrack.detectors`. Built-in names take precedence over entry points with the same name.

The factory of a plug-in, a class or a function, may have an attribute `spec` with a `PluginSpec`.
"""

from __future__ import annotations

import pkgutil
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any, Literal

from lang2segtrack_ros.detection.abilities import ABILITY_PARTS
from lang2segtrack_ros.models.catalogue import Restriction, WeightsError
from lang2segtrack_ros.models.families import ABILITIES
from lang2segtrack_ros.models.license_gate import check_accepted
from lang2segtrack_ros.types.checks import describe

PluginKind = Literal["detector", "segmenter", "policy"]
GROUPS: dict[PluginKind, str] = {
    "detector": "lang2segtrack.detectors",
    "segmenter": "lang2segtrack.segmenters",
    "policy": "lang2segtrack.policies",
}
"""Entry-point group of each kind."""
_IMPORT_PATH = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")


@dataclass(frozen=True)
class PluginSpec:
    """The statement of a plug-in on itself.

    Attributes:
        abilities: names of `families.ABILITIES`.
        license: SPDX identifier, or name of the license, of the plug-in with its weights. Empty if not stated.
        restriction: license that a user must accept. None for an open license.
    """

    abilities: frozenset[str] = frozenset()
    license: str = ""
    restriction: Restriction | None = None


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


def spec_of(kind: PluginKind, name: str, factory: Callable[..., Any]) -> PluginSpec:
    """Return the statement of a plug-in, which is empty for a plug-in without one.

    Args:
        kind: kind of the plug-in.
        name: its name.
        factory: its factory.

    Raises:
        PluginError: the statement is no PluginSpec, or has an unknown ability, or a policy states a license to accept.
    """
    spec = getattr(factory, "spec", PluginSpec())
    if not isinstance(spec, PluginSpec) or not isinstance(spec.restriction, (Restriction, type(None))):
        raise PluginError(f'the {kind} plug-in "{name}" has the spec {describe(spec)}: it must be a PluginSpec')
    unknown = sorted(set(spec.abilities) - set(ABILITIES))
    if kind == "policy" and spec.restriction:
        raise PluginError(f'the policy plug-in "{name}" states a license to accept, which only detectors and segmenters can have')
    if unknown:
        raise PluginError(f'the {kind} plug-in "{name}" states the unknown ability {unknown[0]}; abilities are {", ".join(ABILITIES)}')
    return spec


def create_plugin(
    kind: PluginKind, name: str, missing_parts: Callable[[Any], Sequence[str]], accept_license: str | Sequence[str] = (), **arguments: Any
) -> Any:
    """Create a plug-in and check that it has the required attributes.

    Args:
        kind: kind of the plug-in.
        name: `package.module:attribute`, or the name of an entry point.
        missing_parts: function that returns the required attributes that the created object lacks.
        accept_license: words of accepted licenses; see `license_gate.accepted_licenses`.
        **arguments: keyword arguments for the factory.

    Returns:
        The created object, or None if no plug-in has this name.

    Raises:
        PluginError: the plug-in cannot be imported or created, lacks an attribute, or lacks a part of an ability that it states.
        LicenseError: the user has not accepted the license of the plug-in.
    """
    factory = find_plugin(kind, name)
    if factory is None:
        return None
    spec = spec_of(kind, name, factory)
    check_accepted(name, spec.restriction, accept_license)
    try:
        plugin = factory(**arguments)
    except Exception as error:  # the factory is code of the plug-in, which may raise anything
        raise PluginError(f'the {kind} plug-in "{name}" cannot be created: {type(error).__name__}: {error}') from error
    missing = missing_parts(plugin)
    if missing:
        raise PluginError(f'the {kind} plug-in "{name}" lacks {", ".join(missing)}: docs/extend.md lists what a {kind} needs')
    if kind == "detector":
        for ability in sorted(spec.abilities):
            absent = [part for part in ABILITY_PARTS.get(ability, ()) if not hasattr(plugin, part)]
            if absent:
                raise PluginError(f'the {kind} plug-in "{name}" states the ability {ability}, but lacks {", ".join(absent)}')
    return plugin
