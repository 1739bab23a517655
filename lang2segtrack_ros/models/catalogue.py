# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Catalog of checkpoints with a short name, and their folders on this machine."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Kind = Literal["segmenter", "detector"]
TOY_FOLDER = Path(__file__).parent / "toy"
ACCELERATIONS = ("auto", "off", "graphs", "compile", "max")
"""Names of accelerations; see `models.loading.load_segmenter`."""
HOME_VARIABLE = "LANG2SEGTRACK_WEIGHTS"


class WeightsError(RuntimeError):
    """Weights that cannot be found or loaded. The message says what to do."""


@dataclass(frozen=True)
class Checkpoint:
    """A published checkpoint.

    Attributes:
        name: short name.
        kind: segmenter or detector.
        hub_id: repository on the Hugging Face hub.
        license: SPDX identifier.
        megabytes: size on disk in MB.
    """

    name: str
    kind: Kind
    hub_id: str
    license: str
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
    """Return the folder that `lang2segtrack weights fetch` fills: $LANG2SEGTRACK_WEIGHTS, else ~/.cache/lang2segtrack."""
    return Path(os.environ.get(HOME_VARIABLE) or Path.home() / ".cache" / "lang2segtrack")


def find(name: str) -> Checkpoint | None:
    """Return the checkpoint with this short name or hub id, or None if the catalog does not list it."""
    return _BY_NAME.get(name) or next((item for item in CHECKPOINTS if item.hub_id == name), None)


def local_folder(name: str, kind: Kind) -> Path | None:
    """Return the folder on this machine that holds a checkpoint, or None if no complete checkpoint is here.

    Args:
        name: "toy", a folder, a short name of the catalog, or a hub id.
        kind: part of the built-in toy checkpoints to use.
    """
    if name == "toy":
        return TOY_FOLDER / kind
    path = Path(name).expanduser()
    if (path / "config.json").is_file():
        return path
    checkpoint = find(name)
    home = weights_home() / (checkpoint.name if checkpoint else name.replace("/", "--"))
    # An interrupted or rejected download leaves no weights file, so the folder counts only with both files.
    return home if all((home / file).is_file() for file in ("config.json", "model.safetensors")) else None
