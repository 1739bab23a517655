# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Names of the everyday things: the rows of `things.csv`."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from importlib.resources import files


@dataclass(frozen=True)
class Thing:
    """A thing that a robot meets.

    Attributes:
        name: plain English name, which is its label.
        code: Unicode code point of its drawing, in hexadecimal.
        group: kind of thing; those of one group are easier to confuse.
        synonyms: other names.
        color: name of its main color, if people would name it; else empty.
        is_held_out: True if the segmenter of the checkpoint `toy-things` has never seen it.
    """

    name: str
    code: str
    group: str
    synonyms: tuple[str, ...]
    color: str
    is_held_out: bool

    @property
    def names(self) -> tuple[str, ...]:
        """Return its name, its synonyms, and its name with its color."""
        colored = (f"{self.color} {self.name}",) if self.color else ()
        return (self.name, *self.synonyms, *colored)


def _read() -> dict[str, Thing]:
    rows = csv.DictReader(files(__package__).joinpath("things.csv").read_text(encoding="utf-8").splitlines())
    things = {}
    for row in rows:
        synonyms = tuple(name.strip() for name in row["synonyms"].split(",") if name.strip())
        things[row["name"]] = Thing(row["name"], row["code"], row["group"], synonyms, row["color"], row["held_out"] == "yes")
    return things


THINGS = _read()
"""The things by name, in the order of the atlas."""
