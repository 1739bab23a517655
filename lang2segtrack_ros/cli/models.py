# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""`lang2segtrack models`: list all detectors, segmenters and memory policies, built in or of plug-ins."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

from lang2segtrack_ros.tracking.policies.registry import POLICY_NAMES

if TYPE_CHECKING:
    from lang2segtrack_ros.models.catalogue import Checkpoint
    from lang2segtrack_ros.models.plugins import PluginKind


@dataclass(frozen=True)
class ModelRow:
    """One row of the list.

    Attributes:
        name: name that commands, the node and `load_*` accept.
        kind: "detector", "segmenter" or "policy".
        abilities: abilities, with commas between them; see `models.families.ABILITIES`.
        license: SPDX identifier, or name of the license. Empty if a plug-in does not state it.
        accept: word that accepts a restricted license. Empty for an open license.
        megabytes: size on disk in MB. None if unknown.
        runs: True if this machine can run it.
        here: device, or reason why it does not run.
        folder: folder of its files. Empty if it is not downloaded or has no files.
        source: hub id, "built in" or "plug-in".
    """

    name: str
    kind: str
    abilities: str
    license: str
    accept: str
    megabytes: int | None
    runs: bool
    here: str
    folder: str
    source: str


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the subparsers of `lang2segtrack`.

    Args:
        commands: the subparsers.
    """
    parser = commands.add_parser("models", help="list detectors, segmenters and memory policies, and which ones run here")
    parser.add_argument("--json", action="store_true", help="print the list as JSON")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the list and return 0.

    Args:
        options: parsed options.
    """
    found = list(rows())
    if options.json:
        print(json.dumps([asdict(row) for row in found], indent=1))
        return 0
    cells = [[field.name.replace("megabytes", "MB").replace("here", "runs here") for field in fields(ModelRow) if field.name != "runs"]]
    for row in found:
        values = {**asdict(row), "here": row.here if row.runs else f"no: {row.here}", "folder": row.folder or "-"}
        del values["runs"]
        cells.append(["" if value is None else str(value) for value in values.values()])
    widths = [max(map(len, column)) for column in zip(*cells)]
    for line in cells:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip())
    print("\nA folder, a hub id, family:checkpoint and module:attribute are names, too; see docs/models.md.")
    return 0


def rows() -> Iterator[ModelRow]:
    """Yield all detectors, segmenters and policies: the built-in ones, the catalog, then plug-ins."""
    from lang2segtrack_ros.models.catalogue import CHECKPOINTS, TOY_FOLDER
    from lang2segtrack_ros.models.device import resolve_device
    from lang2segtrack_ros.models.families import FAMILIES
    from lang2segtrack_ros.models.plugins import plugin_names

    device = str(resolve_device("auto"))
    kinds: tuple[PluginKind, ...] = ("detector", "segmenter", "policy")
    for kind in kinds:
        if kind == "policy":
            for name in POLICY_NAMES:
                abilities = "depth images" if name == "depth" else ""
                yield ModelRow(name, kind, abilities, "Apache-2.0", "", None, True, device, "", "built in")
        else:
            toy = TOY_FOLDER / kind
            family = next(item for item in FAMILIES if item.kind == kind and _model_type(toy) in item.model_types)
            size = sum(path.stat().st_size for path in toy.iterdir()) // 1_000_000
            yield ModelRow("toy", kind, _joined(family.abilities), "Apache-2.0", "", size, True, device, str(toy), "built in")
            yield from (_row_of(item, device) for item in CHECKPOINTS if item.kind == kind)
        yield from (_row_of_plugin(kind, name, device) for name in plugin_names(kind))


def _row_of(item: Checkpoint, device: str) -> ModelRow:
    from lang2segtrack_ros.models.catalogue import local_folder
    from lang2segtrack_ros.models.families import family_named

    family = family_named(item.kind, item.family)
    missing, abilities = family.missing_extra, _joined(family.abilities)
    here = f"needs pip install {missing}" if missing else device
    accept = item.restriction.accept if item.restriction else ""
    folder = local_folder(item.name, item.kind)
    return ModelRow(
        item.name, item.kind, abilities, item.license, accept, item.megabytes, not missing, here, str(folder) if folder else "", item.hub_id
    )


def _row_of_plugin(kind: PluginKind, name: str, device: str) -> ModelRow:
    from lang2segtrack_ros.models.plugins import PluginError, PluginSpec, find_plugin, spec_of

    try:
        factory = find_plugin(kind, name)
        assert factory is not None
        spec, runs, here = spec_of(kind, name, factory), True, device
    except PluginError as error:
        spec, runs, here = PluginSpec(), False, str(error)
    accept = spec.restriction.accept if spec.restriction else ""
    return ModelRow(name, kind, _joined(spec.abilities), spec.license, accept, None, runs, here, "", "plug-in")


def _joined(abilities: frozenset[str]) -> str:
    from lang2segtrack_ros.models.families import ABILITIES

    return ", ".join(name for name in ABILITIES if name in abilities)


def _model_type(folder: Path) -> str:
    return str(json.loads((folder / "config.json").read_text(encoding="utf-8"))["model_type"])
