# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The checkpoints known by a short name, and where they live on this machine."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Kind = Literal["segmenter", "detector"]
TOY_FOLDER = Path(__file__).parent / "toy"
HOME_VARIABLE = "LANG2SEGTRACK_WEIGHTS"


class WeightsError(RuntimeError):
    """Weights that cannot be found or loaded; the message says what to do."""


@dataclass(frozen=True)
class Checkpoint:
    """One published checkpoint: its short name, what it is, its hub id, its licence and its size on disk in MB."""

    name: str
    kind: Kind
    hub_id: str
    licence: str
    megabytes: int


CHECKPOINTS: tuple[Checkpoint, ...] = (
    Checkpoint("sam2.1-tiny", "segmenter", "facebook/sam2.1-hiera-tiny", "Apache-2.0", 156),
    Checkpoint("sam2.1-small", "segmenter", "facebook/sam2.1-hiera-small", "Apache-2.0", 184),
    Checkpoint("sam2.1-base-plus", "segmenter", "facebook/sam2.1-hiera-base-plus", "Apache-2.0", 324),
    Checkpoint("sam2.1-large", "segmenter", "facebook/sam2.1-hiera-large", "Apache-2.0", 898),
    Checkpoint("grounding-dino-tiny", "detector", "IDEA-Research/grounding-dino-tiny", "Apache-2.0", 690),
    Checkpoint("grounding-dino-base", "detector", "IDEA-Research/grounding-dino-base", "Apache-2.0", 933),
)
_BY_NAME = {checkpoint.name: checkpoint for checkpoint in CHECKPOINTS}


def weights_home() -> Path:
    """The folder that `lang2segtrack weights` fills: $LANG2SEGTRACK_WEIGHTS, else ~/.cache/lang2segtrack."""
    return Path(os.environ.get(HOME_VARIABLE) or Path.home() / ".cache" / "lang2segtrack")


def find(name: str) -> Checkpoint | None:
    """The checkpoint of a short name or hub id, None when it is not in the catalogue."""
    return _BY_NAME.get(name) or next((item for item in CHECKPOINTS if item.hub_id == name), None)


def local_folder(name: str, kind: Kind) -> Path | None:
    """The folder on this machine that a name stands for, None when nothing is there yet."""
    if name == "toy":
        return TOY_FOLDER / kind
    given = Path(name).expanduser()
    if (given / "config.json").is_file():
        return given
    checkpoint = find(name)
    home = weights_home() / (checkpoint.name if checkpoint else name.replace("/", "--"))
    # A download that was broken off, or was not the file on the hub, has no weights: they come whole or not at all.
    return home if all((home / file).is_file() for file in ("config.json", "model.safetensors")) else None
