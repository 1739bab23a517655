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
import math
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
from lang2segtrack_ros.models.device import resolve_acceleration, resolve_device, resolve_dtype
from lang2segtrack_ros.models.families import LoadOptions, family_of, find_family, split_family
from lang2segtrack_ros.models.license_gate import check_accepted, restriction_of
from lang2segtrack_ros.models.plugins import PluginError, create_plugin, find_plugin, plugin_names
from lang2segtrack_ros.models.store import fetch
from lang2segtrack_ros.types.checks import as_integer, describe

if TYPE_CHECKING:
    from lang2segtrack_ros.detection.detector import Detector
    from lang2segtrack_ros.segmentation.sam2 import Sam2Segmenter

log = logging.getLogger(__name__)


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
            f"the installed torchvision does not fit torch {torch.__version__} ({error}); lang2segtrack does not need it: "
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


def find_folder(name: str, kind: catalogue.Kind, accept_license: str | Sequence[str] = ()) -> Path:
    """Return the folder of a checkpoint, and download it if it is not on this machine.

    Args:
        name: any name of the module's list that is no plug-in.
        kind: segmenter or detector.
        accept_license: words of accepted licenses; see `license_gate.accepted_licenses`.

    Raises:
        WeightsError: the name is unknown or of another kind, this version does not run the checkpoint, or the download failed.
        LicenseError: the license of the checkpoint is not accepted.
    """
    _, checkpoint_name = split_family(name, kind)
    checkpoint = catalogue.find(checkpoint_name, kind)
    if checkpoint is None and (other := catalogue.find(checkpoint_name)) is not None:
        raise WeightsError(f'"{name}" is a {other.kind}; lang2segtrack models lists the names of each {kind}')
    if checkpoint is not None:
        if find_family(kind, checkpoint.family) is None:
            raise WeightsError(f'this version does not run "{name}": lang2segtrack models lists the networks that it runs')
        check_accepted(name, checkpoint.restriction, accept_license)
    folder = catalogue.local_folder(checkpoint_name, kind)
    if folder is None and checkpoint is None and not re.fullmatch(r"[\w-][\w.-]*/[\w.-]+", checkpoint_name):  # no hub id
        runs = [item.name for item in catalogue.CHECKPOINTS if item.kind == kind and find_family(kind, item.family)]
        known = ", ".join(["toy", *runs, *plugin_names(kind)])
        raise WeightsError(
            f'no {kind} is called "{name}", and no folder of this name has a config.json. Known names: {known}. '
            'A hub id, "family:checkpoint" or a plug-in "module:attribute" also works'
        )
    folder = folder or fetch(checkpoint_name)
    check_accepted(name, restriction_of(_read_config(folder).get("model_type")), accept_license)
    return folder


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
        image_size: side of the square input image in pixels, a multiple of 32. None uses the size of the checkpoint.
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


def _cast_to_bfloat16(segmenter: Sam2Segmenter, like: Sam2Segmenter | None = None) -> None:
    """Cast the layers of a segmenter that runs in bfloat16, see `_cast_layers`.

    The prompt encoder and the other float32 parts stay as they are.

    Args:
        segmenter: the segmenter to change.
        like: a segmenter with the same weights, whose merged weights are reused.
    """
    if segmenter.dtype == torch.bfloat16:
        segmenter.cache_merged_layers(like)
        model = segmenter.model
        for part in (model.vision_encoder, model.mask_decoder, model.memory_attention, model.memory_encoder, model.object_pointer_proj):
            _cast_layers(part)


def _cast_layers(part: torch.nn.Module) -> None:
    """Cast the weights of linear and convolution layers to bfloat16.

    Autocast runs these layers in bfloat16, so that the results stay equal to the last bit and the weights take half the memory. Otherwise
    autocast would cast the weights on every image, because it caches casted weights in training only.
    """
    for layer in part.modules():
        if isinstance(layer, (torch.nn.Linear, torch.nn.Conv2d, torch.nn.ConvTranspose2d)):
            layer.to(torch.bfloat16)


def at_size(segmenter: Sam2Segmenter, image_size: int) -> Sam2Segmenter:
    """Return a segmenter for another image size that shares the weights of the given one.

    Args:
        segmenter: source of the weights and of all other options.
        image_size: side of the square input image in pixels.

    Raises:
        WeightsError: the network cannot use this image size.
    """
    from transformers import Sam2VideoModel

    config = resized(deepcopy(segmenter.model.config), image_size)
    model = Sam2VideoModel(config)
    model.load_state_dict(segmenter.model.state_dict(), assign=True)
    resized_segmenter = type(segmenter)(
        model.requires_grad_(False).to(segmenter.device), segmenter.name, segmenter.dtype, memory_dtype=segmenter.memory_dtype
    )
    _cast_to_bfloat16(resized_segmenter, segmenter)
    resized_segmenter.batch_limit = segmenter.batch_limit
    resized_segmenter.acceleration = segmenter.acceleration
    if segmenter.static_shapes:
        resized_segmenter.compile()
    return resized_segmenter


def _size_step(config: Any) -> int:
    """Return the step of possible image sizes in pixels: they hold whole patches and whole attention windows."""
    return math.lcm(32, 4 * int(config.vision_config.backbone_config.window_size_per_stage[0]))


def usable_size(config: Any, image_size: int) -> int:
    """Return the largest possible image size of a network up to `image_size`, in pixels."""
    return image_size // _size_step(config) * _size_step(config)


def resized(config: Any, image_size: int) -> Any:
    """Set the image size of a Sam2VideoConfig. No tensor of the network depends on the image size.

    Args:
        config: the Sam2VideoConfig to change.
        image_size: side of the square input image in pixels.

    Returns:
        The same config.

    Raises:
        WeightsError: the network cannot use this image size.
    """
    backbone = config.vision_config.backbone_config
    step = _size_step(config)
    size = as_integer(image_size)
    if size is None or size < 64 or size % step:
        raise WeightsError(
            f"image_size {describe(image_size)} does not fit this network: "
            f"use a multiple of {step}, at least 64, such as {config.image_size}"
        )
    side = size // 16
    config.image_size = size
    config.prompt_encoder_config.image_size = size
    backbone.image_size = [size, size]
    config.vision_config.backbone_feature_sizes = [[side * 4, side * 4], [side * 2, side * 2], [side, side]]
    config.memory_attention_rope_feat_sizes = [side, side]
    return config


def load_detector(
    name: str | Path = "toy",
    device: str = "auto",
    dtype: str = "auto",
    passes: int | None = None,
    accept_license: str | Sequence[str] = (),
) -> Detector:
    """Load a detector by name: a network of a family in `families.FAMILIES`, or a plug-in.

    Args:
        name: any name of the module's list, such as "toy" or "grounding-dino-tiny". A plug-in uses `device` only.
        device: "auto", "cpu", "cuda", "cuda:1", ...
        dtype: "auto", "float32" or "bfloat16".
        passes: maximum number of passes over an image for long lists of phrases. None uses the default of the detector.
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
        _warn_ignored(name, dtype=dtype)
        plugin: Detector = create_plugin("detector", name, missing_parts, accept_license, device=str(target))
        try:
            check_detector(plugin)
        except DetectorError as error:
            raise PluginError(f'the detector plug-in "{name}" cannot be used: {error}') from error
        return plugin
    options = LoadOptions(name, target, resolve_dtype(dtype, target), passes=passes)
    detector: Detector = _load_network("detector", options, accept_license)
    return detector
