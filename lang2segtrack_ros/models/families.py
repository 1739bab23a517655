# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Table of the model families that this package runs.

The entry "model_type" of a checkpoint's config.json selects the family, and the loader of the family creates the network. Each loader
stands in its own module, which is imported on use.
"""

from __future__ import annotations

import importlib.util
import pkgutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from lang2segtrack_ros.models.catalogue import Kind, WeightsError

if TYPE_CHECKING:
    import torch

ABILITIES = {
    "text": "finds objects by name",
    "exemplar": "finds objects that look like one in a given box",
    "masks": "returns a mask of each object",
    "batch": "processes several images, or several objects, in one batch",
}
"""Name of an ability -> meaning."""


@dataclass(frozen=True)
class LoadOptions:
    """Settings of a network, resolved for this machine.

    Attributes:
        name: name that the user gave, for messages.
        device: device of the network.
        dtype: float32 or bfloat16.
        image_size: side of a segmenter's square input image in pixels. None uses the size of the checkpoint.
        passes: maximum number of passes of a detector over an image. None uses the default of the detector.
        acceleration: "off", "graphs", "compile" or "max"; see `models.loading.load_segmenter`.
    """

    name: str
    device: torch.device
    dtype: torch.dtype
    image_size: int | None = None
    passes: int | None = None
    acceleration: str = "off"


class Loader(Protocol):
    """A function that creates the network of a family."""

    def __call__(self, folder: Path, raw: dict[str, Any], options: LoadOptions) -> Any:
        """Return a `Detector` or a `Sam2Segmenter`.

        Args:
            folder: folder of the checkpoint.
            raw: its config.json.
            options: name and settings.

        Raises:
            WeightsError: the files do not fit, or a setting is not possible.
        """
        ...


@dataclass(frozen=True)
class Family:
    """A model family.

    Attributes:
        name: name of the family, as in the form "family:checkpoint" of a network name.
        kind: segmenter or detector.
        model_types: values of "model_type" in config.json.
        loader: "package.module:function" of a `Loader`.
        abilities: names of `ABILITIES`.
        extra: optional Python package that the family needs.
    """

    name: str
    kind: Kind
    model_types: tuple[str, ...]
    loader: str
    abilities: frozenset[str]
    extra: str = ""

    @property
    def missing_extra(self) -> str:
        """Return the optional package if it is not installed, otherwise an empty text."""
        return self.extra if self.extra and importlib.util.find_spec(self.extra) is None else ""

    def check_extra(self, name: str) -> None:
        """Raise WeightsError if the optional package is not installed.

        Args:
            name: name of the network, for the message.
        """
        if self.missing_extra:
            raise WeightsError(f"{name} needs the Python package {self.extra}: pip install {self.extra}")

    def load(self, folder: Path, raw: dict[str, Any], options: LoadOptions) -> Any:
        """Return the network of a checkpoint; see `Loader`.

        Raises:
            WeightsError: the optional package is not installed, a file of the checkpoint does not fit, or see `Loader`.
        """
        self.check_extra(options.name)
        from huggingface_hub.errors import StrictDataclassError

        loader: Loader = pkgutil.resolve_name(self.loader)
        try:
            return loader(folder, raw, options)
        except (AttributeError, KeyError, OSError, TypeError, ValueError, StrictDataclassError) as error:  # config.json does not fit
            raise WeightsError(f"{folder} cannot be loaded as {self.name}: {error}") from error


_LOADERS = "lang2segtrack_ros.models.loaders"
FAMILIES: tuple[Family, ...] = (
    # Some older published files say model_type sam2 for the same network. Only sam2_video is accepted.
    Family("sam2", "segmenter", ("sam2_video",), f"{_LOADERS}.sam2:load", frozenset({"masks", "batch"})),
    Family("edgetam", "segmenter", ("edgetam_video",), f"{_LOADERS}.edgetam:load", frozenset({"masks", "batch"}), extra="timm"),
    Family(
        "sam3-tracker",
        "segmenter",
        ("sam3_tracker_video", "sam3_video"),
        f"{_LOADERS}.sam3_tracker:load",
        frozenset({"masks", "batch"}),
    ),
    Family("grounding-dino", "detector", ("grounding-dino",), f"{_LOADERS}.grounding_dino:load", frozenset({"text", "batch"})),
    Family("mm-grounding-dino", "detector", ("mm-grounding-dino",), f"{_LOADERS}.grounding_dino:load", frozenset({"text", "batch"})),
    Family("owlv2", "detector", ("owlv2",), f"{_LOADERS}.owlv2:load", frozenset({"text", "exemplar", "batch"})),
    Family("sam3", "detector", ("sam3", "sam3_video"), f"{_LOADERS}.sam3:load", frozenset({"text", "masks"})),
)


def family_named(kind: Kind, name: str) -> Family:
    """Return the family of a kind by its name, which must exist."""
    return next(family for family in FAMILIES if family.kind == kind and family.name == name)


def split_family(name: str, kind: Kind) -> tuple[Family | None, str]:
    """Return the family and the checkpoint of a name such as "grounding-dino:my_folder". Other names have no family.

    Args:
        name: see `models.loading.load_segmenter`.
        kind: segmenter or detector.
    """
    prefix, colon, checkpoint = name.partition(":")
    family = next((item for item in FAMILIES if item.kind == kind and item.name == prefix), None)
    return (family, checkpoint) if family and colon else (None, name)


def family_of(kind: Kind, model_type: object, folder: Path) -> Family:
    """Return the family that loads a checkpoint.

    Args:
        kind: segmenter or detector.
        model_type: entry of its config.json.
        folder: its folder, for messages.

    Raises:
        WeightsError: no family of this kind loads it.
    """
    families = [family for family in FAMILIES if family.kind == kind]
    for family in families:
        if model_type in family.model_types:
            return family
    known = ", ".join(item for family in families for item in family.model_types)
    raise WeightsError(f'{folder} holds a "{model_type}" model; a {kind} must be one of: {known}')
