# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""`lang2segtrack objects`: list the objects of a map as JSON or CSV, also while object_map_node writes the map."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the subparsers of `lang2segtrack`.

    Args:
        commands: the subparsers.
    """
    parser = commands.add_parser("objects", help="export the objects of a map of object_map_node as JSON or CSV")
    parser.add_argument("file", type=Path, help="SQLite file of object_map_node, see its parameter `file`")
    parser.add_argument("--map", default="default", help="name of the map (default: %(default)s)")
    parser.add_argument("--format", choices=("json", "csv"), default="json", help="default: %(default)s")
    parser.add_argument("--out", type=Path, help="file to write (default: the terminal)")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Export a map. Return 1 if it cannot be read or written, else 0.

    Args:
        options: parsed command line.
    """
    from lang2segtrack_ros.object_map.export import as_csv, as_json
    from lang2segtrack_ros.object_map.store import MapStore, StoreError

    try:
        store = MapStore(options.file.expanduser(), options.map, "", read_only=True)
        objects = store.load()[0]
        text = as_csv(objects) if options.format == "csv" else as_json(objects, store.map_name, store.fixed_frame)
        store.close()
        if options.out is None:
            sys.stdout.write(text)
        else:
            options.out.write_text(text, encoding="utf-8")
            print(f"{len(objects)} objects of map {options.map}: {options.out}")
    except (StoreError, OSError) as error:
        print(f"lang2segtrack objects: {error}", file=sys.stderr)
        return 1
    return 0
