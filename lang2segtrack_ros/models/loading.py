# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Loading of networks by name, on any device and at any image size.

A name has one of these forms, which are tried in this order:

1. "toy": the built-in checkpoint of the toy world.
2. "family:checkpoint", such as "grounding-dino:/my/folder": a checkpoint that must be of this family; see `families`.
3. A folder in the layout of transformers. "model_type" in its config.json selects the family.
4. A short name or hub id of the catalog, such as "sam2.1-tiny".
5. A plug-in: the name of an entry point, or "package.module:attribute"; see `plugins`.
6. A hub id, such as "my-organization/my-checkpoint".
"""

from __future__ import annotations

import importlib.util
import json
import logging
import re
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from lang2segtrack_ros.detection.abilities import missing_parts
from lang2segtrack_ros.detection.detector import DetectorError, check_detector
from lang2segtrack_ros.models import catalogue
from lang2segtrack_ros.models.catalogue import WeightsError
from lang2segtrack_ros.models.device import detector_acceleration, resolve_acceleration, resolve_device, resolve_dtype
from lang2segtrack_ros.models.families import LoadOptions, family_named, family_of, split_family
from lang2segtrack_ros.models.license_gate import check_accepted, restriction_of
from lang2segtrack_ros.models.plugins import PluginError, create_plugin, find_plugin, plugin_names
from lang2segtrack_ros.models.store import fetch
from lang2segtrack_ros.types.checks import as_integer, describe

if TYPE_CHECKING:
    from lang2segtrack_ros.detection.detector import Detector
    from lang2segtrack_ros.segmentation.sam2 import Sam2Segmenter

log = logging.getLogger(__name__)
_HUB_ID = re.compile(r"[\w-][\w.-]*/[\w.-]+")


def _check_torchvision() -> None:
    """Check that an installed torchvision fits torch. Otherwise transformers fails with a message that blames the model.

    Raises:
        WeightsError: torchvision cannot be imported.
    """
    if importlib.util.find_spec("torchvision") is None:
        return
    try:
        import torchvision  # noqa: F401
    except Exception as error:  # its compiled part may raise anything
        raise WeightsError(
            f"the installed torchvision does not fit torch {torch.__version__} ({error}); only EdgeTAM needs it: "
            "uninstall torchvision, or install the build made for this torch"
        ) from error


def check_name(name: str | Path, kind: catalogue.Kind) -> str:
    """Return the name of a network as a text. A path is the name of its folder.

    Args:
        name: see `load_segmenter`.
        kind: segmenter or detector.

    Raises:
        WeightsError: the name is neither a text nor a path.
    """
    if not isinstance(name, (str, Path)):
        raise WeightsError(f'the {kind} name is {describe(name)}: give a text, such as "toy", or the path of a folder')
    return str(name)


def is_plugin(name: str, kind: catalogue.Kind) -> bool:
    """Return whether a name refers to a plug-in. Checkpoints and folders take precedence.

    Args:
        name: see `load_segmenter`.
        kind: segmenter or detector.

    Raises:
        PluginError: the plug-in cannot be imported.
    """
    family, checkpoint = split_family(name, kind)
    if family or catalogue.find(checkpoint) is not None or catalogue.local_folder(checkpoint, kind) is not None:
        return False
    return find_plugin(kind, name) is not None


def check_available(name: str, kind: catalogue.Kind, accept_license: str | Sequence[str] = ()) -> None:
    """Check a name as far as this is possible without a download.

    Args:
        name: any name of the module's list.
        kind: segmenter or detector.
        accept_license: words of accepted licenses; see `license_gate.accepted_licenses`.

    Raises:
        WeightsError: the name is unknown or of another kind, or an optional package is missing.
        PluginError: the plug-in cannot be imported.
        LicenseError: the license of the checkpoint is not accepted.
    """
    _, checkpoint_name = split_family(name, kind)
    checkpoint = catalogue.find(checkpoint_name, kind)
    if checkpoint is not None:
        check_accepted(name, checkpoint.restriction, accept_license)
        family_named(kind, checkpoint.family).check_extra(name)
    elif (other := catalogue.find(checkpoint_name)) is not None:
        raise WeightsError(f'"{name}" is a {other.kind}; lang2segtrack models lists the names of each {kind}')
    elif catalogue.local_folder(checkpoint_name, kind) is None and not _HUB_ID.fullmatch(checkpoint_name) and not is_plugin(name, kind):
        checkpoints = [item.name for item in catalogue.CHECKPOINTS if item.kind == kind]
        known = ", ".join(dict.fromkeys(["toy", *checkpoints, *plugin_names(kind)]))
        raise WeightsError(
            f'no {kind} is called "{name}", and no folder of this name has a config.json. Known names: {known}. '
            'A hub id, "family:checkpoint" or a plug-in "module:attribute" also works'
        )


def find_folder(name: str, kind: catalogue.Kind, accept_license: str | Sequence[str] = ()) -> Path:
    """Return the folder of a checkpoint, and download it if it is not on this machine.

    Args:
        name: any name of the module's list that is no plug-in.
        kind: segmenter or detector.
        accept_license: words of accepted licenses; see `license_gate.accepted_licenses`.

    Raises:
        WeightsError: see `check_available`, or the download failed.
        LicenseError: the license of the checkpoint is not accepted.
    """
    check_available(name, kind, accept_license)
    return _find_available(name, kind, accept_license)


def _find_available(name: str, kind: catalogue.Kind, accept_license: str | Sequence[str]) -> Path:
    """Return the folder of a checkpoint whose name is checked; see `find_folder`."""
    _, checkpoint_name = split_family(name, kind)
    folder = catalogue.local_folder(checkpoint_name, kind) or fetch(checkpoint_name)
    check_accepted(name, restriction_of(_read_config(folder).get("model_type")), accept_license)
    return folder


def find_folders(segmenter: str, detector: str | None, accept_license: str | Sequence[str] = ()) -> None:
    """Check the names of both networks, then download those that are not on this machine, so that one error names all problems.

    Args:
        segmenter: name of the segmenter; see `check_available`. A plug-in is checked only.
        detector: name of the detector. None or an empty text if none is needed.
        accept_license: words of accepted licenses; see `license_gate.accepted_licenses`.

    Raises:
        WeightsError: see `check_available`, or a download failed.
        LicenseError: see `check_available`.
    """
    names: dict[catalogue.Kind, str] = {"segmenter": segmenter, **({"detector": detector} if detector else {})}
    for kind, name in names.items():
        check_available(name, kind, accept_license)
    failures = []
    for kind, name in names.items():
        try:
            if not is_plugin(name, kind):
                _find_available(name, kind, accept_license)
        except WeightsError as error:
            failures.append(str(error))
    if failures:
        raise WeightsError(
            ". ".join([*failures, 'The built-in networks need no download and find the shapes of the toy world: use "toy" for both names'])
        )


def _read_config(folder: Path) -> dict[str, Any]:
    try:
        config: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise WeightsError(f"{folder}/config.json cannot be read: {error}") from error
    return config


def _load_network(kind: catalogue.Kind, options: LoadOptions, accept_license: str | Sequence[str]) -> Any:
    """Load the network of a checkpoint with the loader of its family.

    Args:
        kind: segmenter or detector.
        options: name and settings.
        accept_license: words of accepted licenses.

    Raises:
        WeightsError: the folder cannot be found or read, no family of this kind loads it, or the name asks for another family.
        LicenseError: the license is not accepted.
    """
    folder = find_folder(options.name, kind, accept_license)
    raw = _read_config(folder)
    family, required = family_of(kind, raw.get("model_type"), folder), split_family(options.name, kind)[0]
    if required not in (None, family):
        raise WeightsError(f'"{options.name}" asks for the family {required.name}, but {folder} holds a "{raw["model_type"]}" model')
    _check_torchvision()
    network = family.load(folder, raw, options)
    if options.device.type == "cuda":  # any CUDA stream may use the weights, so all of them must be on the device
        torch.cuda.synchronize(options.device)
    return network


def _create_segmenter(name: str, device: torch.device, accept_license: str | Sequence[str]) -> Sam2Segmenter:
    """Create a segmenter plug-in.

    Raises:
        PluginError: the plug-in cannot be created, or is no Sam2Segmenter.
    """
    from lang2segtrack_ros.segmentation.sam2 import Sam2Segmenter

    plugin = create_plugin("segmenter", name, lambda _: (), accept_license, device=str(device))
    if not isinstance(plugin, Sam2Segmenter):
        raise PluginError(
            f'the segmenter plug-in "{name}" returned a {type(plugin).__name__}: it must return a Sam2Segmenter, or an object of a class '
            "derived from it"
        )
    return plugin


def _warn_ignored(name: str, **settings: object) -> None:
    """Log the settings that a plug-in does not receive."""
    given = ", ".join(f"{key}={value}" for key, value in settings.items() if value not in (None, "auto"))
    if given:
        log.warning('the plug-in "%s" chooses its own settings and ignores %s', name, given)


def load_segmenter(
    name: str | Path = "toy",
    device: str = "auto",
    image_size: int | None = None,
    dtype: str = "auto",
    acceleration: str = "auto",
    accept_license: str | Sequence[str] = (),
) -> Sam2Segmenter:
    """Load a segmenter by name: a network of a family in `families.FAMILIES`, or a plug-in.

    Args:
        name: any name of the module's list, such as "toy" or "sam2.1-tiny". A plug-in uses `device` only.
        device: "auto", "cpu", "cuda", "cuda:1", ...
        image_size: side of the square input image in pixels, a multiple of 32 for SAM 2, 256 for EdgeTAM and 336 for SAM 3. None uses the
            size of the checkpoint.
        dtype: "auto", "float32" or "bfloat16".
        acceleration: "off", "graphs" (CUDA graphs), "compile" (torch.compile), "max" (both) or "auto", which is "graphs" on a GPU, else
            "off". `Session.prepare` does the work that these need before the first frame.
        accept_license: words of restricted licenses that the user accepts, such as "sam3"; see `license_gate.accepted_licenses`.

    Raises:
        WeightsError: the name or device is unknown or of a wrong type, the hub cannot be reached, the files do not fit, or the image size
            is not possible.
        PluginError: the plug-in cannot be created or lacks an attribute.
        LicenseError: the license is not accepted.
    """
    target, name = resolve_device(device), check_name(name, "segmenter")
    if is_plugin(name, "segmenter"):
        _warn_ignored(name, image_size=image_size, dtype=dtype, acceleration=acceleration)
        return _create_segmenter(name, target, accept_license)
    options = LoadOptions(
        name, target, resolve_dtype(dtype, target), image_size=image_size, acceleration=resolve_acceleration(acceleration, target)
    )
    segmenter: Sam2Segmenter = _load_network("segmenter", options, accept_license)
    return segmenter


def at_size(segmenter: Sam2Segmenter, image_size: int) -> Sam2Segmenter:
    """Return a segmenter for another image size that shares the weights of the given one.

    Args:
        segmenter: source of the weights and of all other options.
        image_size: side of the square input image in pixels.

    Raises:
        WeightsError: the network cannot use this image size.
    """
    config = deepcopy(segmenter.model.config)
    resize(type(segmenter), config, image_size)
    model = type(segmenter.model)(config).eval()
    model.load_state_dict(segmenter.model.state_dict(), assign=True)
    resized_segmenter = type(segmenter)(
        model.requires_grad_(False).to(segmenter.device), segmenter.name, segmenter.dtype, memory_dtype=segmenter.memory_dtype
    )
    resized_segmenter.share_merged_layers(segmenter)
    resized_segmenter.batch_limit = segmenter.batch_limit
    resized_segmenter.acceleration = segmenter.acceleration
    if segmenter.static_shapes:
        resized_segmenter.compile()
    return resized_segmenter


def usable_size(segmenter: Sam2Segmenter, image_size: int) -> int:
    """Return the largest possible image size of a network up to `image_size`, in pixels."""
    step = segmenter.size_step(segmenter.model.config)
    return image_size // step * step


def resize(network: type[Sam2Segmenter], config: Any, image_size: int) -> None:
    """Set the image size of a configuration.

    Args:
        network: class of the segmenter.
        config: the configuration to change.
        image_size: side of the square input image in pixels.

    Raises:
        WeightsError: the network cannot use this image size.
    """
    step, size = network.size_step(config), as_integer(image_size)
    if size is None or size < 64 or size % step:
        raise WeightsError(
            f"image_size {describe(image_size)} does not fit this network: "
            f"use a multiple of {step}, at least 64, such as {config.image_size}"
        )
    network.set_image_size(config, size)


def load_detector(
    name: str | Path = "toy",
    device: str = "auto",
    dtype: str = "auto",
    passes: int | None = None,
    acceleration: str = "auto",
    accept_license: str | Sequence[str] = (),
) -> Detector:
    """Load a detector by name: a network of a family in `families.FAMILIES`, or a plug-in.

    Args:
        name: any name of the module's list, such as "toy" or "grounding-dino-tiny". A plug-in uses `device` only.
        device: "auto", "cpu", "cuda", "cuda:1", ...
        dtype: "auto", "float32" or "bfloat16".
        passes: maximum number of passes over an image for long lists of phrases. None uses the default of the detector.
        acceleration: see `load_segmenter`. The detector uses CUDA graphs on a GPU, unless it is "off".
        accept_license: words of restricted licenses that the user accepts, such as "sam3"; see `license_gate.accepted_licenses`.

    Raises:
        WeightsError: see `load_segmenter`.
        PluginError: the plug-in cannot be created or lacks an attribute.
        LicenseError: the license is not accepted.
    """
    target, name = resolve_device(device), check_name(name, "detector")
    if passes is not None and as_integer(passes) is None:
        raise WeightsError(f"passes is {describe(passes)}: give an integer number of passes, or None for the default")
    if is_plugin(name, "detector"):
        _warn_ignored(name, dtype=dtype, acceleration=acceleration)
        plugin: Detector = create_plugin("detector", name, missing_parts, accept_license, device=str(target))
        try:
            check_detector(plugin)
        except DetectorError as error:
            raise PluginError(f'the detector plug-in "{name}" cannot be used: {error}') from error
        return plugin
    options = LoadOptions(
        name, target, resolve_dtype(dtype, target), passes=passes, acceleration=detector_acceleration(acceleration, target)
    )
    detector: Detector = _load_network("detector", options, accept_license)
    return detector
