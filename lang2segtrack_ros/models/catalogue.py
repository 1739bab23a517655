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
class Restriction:
    """A license that a user must accept before a network is loaded.

    Attributes:
        accept: word that accepts the license; see `models.license_gate`.
        terms: sentence on what the license forbids.
        page: address of the page with the license.
    """

    accept: str
    terms: str
    page: str


@dataclass(frozen=True)
class Checkpoint:
    """A published checkpoint.

    Attributes:
        name: short name.
        kind: segmenter or detector.
        family: name of its family; see `models.families`. The table of families may lack it.
        hub_id: repository on the Hugging Face hub.
        license: SPDX identifier, or name of the license.
        megabytes: size on disk in MB.
        restriction: license that a user must accept. None for an open license.
    """

    name: str
    kind: Kind
    family: str
    hub_id: str
    license: str
    megabytes: int
    restriction: Restriction | None = None

    @property
    def gated(self) -> bool:
        """True if a user must accept the license."""
        return self.restriction is not None

    @property
    def folder(self) -> Path:
        """Folder of its files below `weights_home`. Checkpoints of one repository share it."""
        return weights_home() / next(item.name for item in CHECKPOINTS if item.hub_id == self.hub_id)


SAM3_LICENSE = Restriction(
    "sam3",
    "the SAM License forbids military, weapon, nuclear and espionage uses and reverse engineering, and derived works keep it",
    "https://huggingface.co/facebook/sam3",
)


def _open(name: str, kind: Kind, family: str, hub_id: str, megabytes: int) -> Checkpoint:
    return Checkpoint(name, kind, family, hub_id, "Apache-2.0", megabytes)


_MM = "openmmlab-community/mm_grounding_dino"
CHECKPOINTS: tuple[Checkpoint, ...] = (
    _open("sam2.1-tiny", "segmenter", "sam2", "facebook/sam2.1-hiera-tiny", 156),
    _open("sam2.1-small", "segmenter", "sam2", "facebook/sam2.1-hiera-small", 184),
    _open("sam2.1-base-plus", "segmenter", "sam2", "facebook/sam2.1-hiera-base-plus", 324),
    _open("sam2.1-large", "segmenter", "sam2", "facebook/sam2.1-hiera-large", 898),
    _open("edgetam", "segmenter", "edgetam", "yonigozlan/EdgeTAM-hf", 56),
    Checkpoint("sam3-tracker", "segmenter", "sam3-tracker", "facebook/sam3", "SAM License", 3440, SAM3_LICENSE),
    _open("grounding-dino-tiny", "detector", "grounding-dino", "IDEA-Research/grounding-dino-tiny", 690),
    _open("grounding-dino-base", "detector", "grounding-dino", "IDEA-Research/grounding-dino-base", 933),
    _open("mm-grounding-dino-tiny", "detector", "mm-grounding-dino", f"{_MM}_tiny_o365v1_goldg_grit_v3det", 690),
    _open("mm-grounding-dino-base", "detector", "mm-grounding-dino", f"{_MM}_base_all", 933),
    _open("mm-grounding-dino-large", "detector", "mm-grounding-dino", f"{_MM}_large_all", 1372),
    _open("llmdet-tiny", "detector", "mm-grounding-dino", "iSEE-Laboratory/llmdet_tiny", 690),
    _open("llmdet-base", "detector", "mm-grounding-dino", "iSEE-Laboratory/llmdet_base", 933),
    _open("llmdet-large", "detector", "mm-grounding-dino", "iSEE-Laboratory/llmdet_large", 1372),
    _open("owlv2-base", "detector", "owlv2", "google/owlv2-base-patch16-ensemble", 620),
    _open("owlv2-large", "detector", "owlv2", "google/owlv2-large-patch14-ensemble", 1750),
    Checkpoint("sam3", "detector", "sam3", "facebook/sam3", "SAM License", 3440, SAM3_LICENSE),
)
"""The known checkpoints. The sizes of MM-Grounding-DINO, LLMDet, EdgeTAM and SAM 3 follow from their number of parameters."""


def weights_home() -> Path:
    """Return the folder that `lang2segtrack weights fetch` fills: $LANG2SEGTRACK_WEIGHTS, else ~/.cache/lang2segtrack."""
    return Path(os.environ.get(HOME_VARIABLE) or Path.home() / ".cache" / "lang2segtrack")


def find(name: str, kind: Kind | None = None) -> Checkpoint | None:
    """Return the checkpoint with this short name or hub id, or None if the catalog does not list it.

    Args:
        name: short name or hub id.
        kind: kind of the checkpoint. None accepts both.
    """
    return next((item for item in CHECKPOINTS if name in (item.name, item.hub_id) and kind in (None, item.kind)), None)


def download_folder(name: str) -> Path:
    """Return the folder that a download of this short name or hub id fills."""
    checkpoint = find(name)
    return checkpoint.folder if checkpoint else weights_home() / name.replace("/", "--")


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
    home = download_folder(name)
    # An interrupted or rejected download leaves no weights file, so the folder counts only with both files.
    return home if all((home / file).is_file() for file in ("config.json", "model.safetensors")) else None
