# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Loads networks by name, on any device, at any image size."""

from __future__ import annotations

import importlib.util
import json
import logging
import math
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from lang2segtrack_ros.models import catalogue
from lang2segtrack_ros.models.catalogue import WeightsError
from lang2segtrack_ros.models.plugins import create_plugin, find_plugin, plugin_names
from lang2segtrack_ros.models.store import fetch

if TYPE_CHECKING:
    from lang2segtrack_ros.detection.detector import Detector
    from lang2segtrack_ros.segmentation.sam2 import Sam2Segmenter

log = logging.getLogger(__name__)
DETECTOR_PARTS = ("name", "default_threshold", "check", "detect")
SEGMENTER_PARTS = ("name", "image_size", "preprocess", "encode", "attend", "decode", "point", "encode_memory")
"""Attributes that a plug-in of each kind must have."""
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def resolve_device(device: str) -> torch.device:
    """The device of a name; "auto" is a GPU where torch can use one, else the CPU. Raises WeightsError when it is not there."""
    if device == "auto":
        return torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    try:
        resolved = torch.device(device)
    except RuntimeError as error:
        raise WeightsError(f'"{device}" is no device; use "auto", "cpu", "cuda" or "cuda:1"') from error
    if resolved.type == "cuda" and not torch.cuda.is_available():
        raise WeightsError(
            f'device is "{device}" but this torch ({torch.__version__}) sees no GPU: check nvidia-smi and install a CUDA build of torch, '
            'or use device "cpu"'
        )
    if resolved.type == "cuda":
        resolved = torch.device("cuda", resolved.index or 0)  # "cuda" and "cuda:0" are one, and share their weights
        if resolved.index >= torch.cuda.device_count():
            raise WeightsError(f'device is "{device}" but there are {torch.cuda.device_count()} GPUs here, from "cuda:0" on')
    return resolved


def resolve_dtype(dtype: str, device: torch.device) -> torch.dtype:
    """The number format of a name; "auto" is bfloat16 on a GPU that computes in it (NVIDIA's from Ampere on), else float32.

    Older GPUs emulate it, and some of their convolutions then find no implementation.

    Raises:
        WeightsError: an unknown name.
    """
    if dtype == "auto":
        able = device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0)
        return torch.bfloat16 if able else torch.float32
    if dtype not in DTYPES:
        raise WeightsError(f'dtype is "{dtype}"; it must be "auto", {" or ".join(DTYPES)}')
    return DTYPES[dtype]


def _check_torchvision() -> None:
    """A torchvision that does not fit torch makes transformers fail with a message that blames the model."""
    if importlib.util.find_spec("torchvision") is None:
        return
    try:
        import torchvision  # noqa: F401
    except Exception as error:  # whatever its compiled part throws
        raise WeightsError(
            f"the installed torchvision does not fit torch {torch.__version__} ({error}); lang2segtrack does not need it: "
            "uninstall torchvision, or install the build made for this torch"
        ) from error


def is_plugin(name: str, kind: catalogue.Kind) -> bool:
    """Return whether a name stands for a plug-in; checkpoints and folders come first.

    Raises:
        PluginError: the plug-in cannot be imported.
    """
    if catalogue.find(name) is not None or catalogue.local_folder(name, kind) is not None:
        return False
    return find_plugin(kind, name) is not None


def find_folder(name: str, kind: catalogue.Kind) -> Path:
    """The folder of a checkpoint, fetched from the hub when it is not on this machine. Raises WeightsError."""
    folder = catalogue.local_folder(name, kind)
    if folder is not None:
        return folder
    checkpoint = catalogue.find(name)
    if checkpoint is None and not ("/" in name and not name.startswith((".", "/", "~"))):
        known = ", ".join(["toy", *(item.name for item in catalogue.CHECKPOINTS if item.kind == kind), *plugin_names(kind)])
        raise WeightsError(
            f'no {kind} is called "{name}", and no folder of this name has a config.json. Known names: {known}. '
            'A hub id or a plug-in "module:attribute" also works'
        )
    return fetch(name)


def _read_config(folder: Path, model_type: tuple[str, ...], kind: str) -> dict[str, Any]:
    try:
        config: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise WeightsError(f"{folder}/config.json cannot be read: {error}") from error
    if config.get("model_type") not in model_type:
        raise WeightsError(f'{folder} holds a "{config.get("model_type")}" model; as {kind} it must be one of: {", ".join(model_type)}')
    return config


def load_segmenter(
    name: str = "toy", device: str = "auto", image_size: int | None = None, dtype: str = "auto", compiled: bool = False
) -> Sam2Segmenter:
    """Loads a SAM 2 video network.

    Args:
        name: "toy", a short name such as "sam2.1-tiny", a folder in transformers' layout, or a hub id.
        device: "auto", "cpu", "cuda", "cuda:1", ...
        image_size: side of the square image the network works on, a multiple of 32; None takes the checkpoint's own.
        dtype: "auto", "float32" or "bfloat16".
        compiled: run the network through torch.compile; the first frames with 1, 2, 4, ... objects take long.

    Raises:
        WeightsError: unknown name, unreachable hub, files that do not fit, no such device, unusable image size.
    """
    target = resolve_device(device)
    if is_plugin(name, "segmenter"):
        plugin: Sam2Segmenter = create_plugin("segmenter", name, SEGMENTER_PARTS, device=str(target))
        return plugin
    _check_torchvision()
    from transformers import Sam2VideoConfig, Sam2VideoModel

    from lang2segtrack_ros.segmentation.sam2 import Sam2Segmenter

    folder = find_folder(name, "segmenter")
    # The published image checkpoints carry model_type sam2 beside sam2_video in older files; both hold the same network.
    raw = _read_config(folder, ("sam2_video",), "segmenter")
    config = Sam2VideoConfig.from_dict(raw)
    if image_size is not None and image_size != config.image_size:
        config = resized(config, image_size)
    model = _load(Sam2VideoModel, folder, config)
    segmenter = Sam2Segmenter(model.to(target), name, resolve_dtype(dtype, target))
    _keep_bfloat16(segmenter)
    if compiled:
        segmenter.compile()
    _settle(target)
    return segmenter


def _keep_bfloat16(segmenter: Sam2Segmenter, like: Sam2Segmenter | None = None) -> None:
    """See `_cast_layers`, for a network that runs in bfloat16; prompts and what else runs in full precision stays as it is."""
    if segmenter.dtype == torch.bfloat16:
        segmenter.keep_merged(like)
        model = segmenter.model
        for part in (model.vision_encoder, model.mask_decoder, model.memory_attention, model.memory_encoder, model.object_pointer_proj):
            _cast_layers(part)


def _cast_layers(part: torch.nn.Module) -> None:
    """Keeps the weights of layers that autocast runs in bfloat16 in bfloat16: half the memory, and results stay the same to the bit.

    Autocast would cast them anew on every image: it keeps the copies of weights in training only.
    """
    for layer in part.modules():
        if isinstance(layer, (torch.nn.Linear, torch.nn.Conv2d, torch.nn.ConvTranspose2d)):
            layer.to(torch.bfloat16)


def _settle(device: torch.device) -> None:
    """Waits until a network is on its device, whichever stream it will be used on."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def at_size(segmenter: Sam2Segmenter, image_size: int) -> Sam2Segmenter:
    """The same weights, in the same memory, as a network for another image size. Raises WeightsError for one that does not suit it."""
    from transformers import Sam2VideoModel

    config = resized(deepcopy(segmenter.model.config), image_size)
    model = Sam2VideoModel(config)
    model.load_state_dict(segmenter.model.state_dict(), assign=True)
    other = type(segmenter)(
        model.requires_grad_(False).to(segmenter.device), segmenter.name, segmenter.dtype, memory_dtype=segmenter.memory_dtype
    )
    _keep_bfloat16(other, segmenter)
    other.batch_limit = segmenter.batch_limit
    if segmenter.static_shapes:
        other.compile()
    return other


def _size_step(config: Any) -> int:
    """Image sizes are multiples of this: whole patches and whole windows."""
    return math.lcm(32, 4 * int(config.vision_config.backbone_config.window_size_per_stage[0]))


def usable_size(config: Any, image_size: int) -> int:
    """The largest image size up to `image_size` that suits a network."""
    return image_size // _size_step(config) * _size_step(config)


def resized(config: Any, image_size: int) -> Any:
    """A Sam2VideoConfig for another image size; no tensor of the network depends on it. Raises WeightsError."""
    backbone = config.vision_config.backbone_config
    step = _size_step(config)
    if image_size < 64 or image_size % step:
        raise WeightsError(
            f"image_size {image_size} does not suit this network: use a multiple of {step}, at least 64, such as {config.image_size}"
        )
    side = image_size // 16
    config.image_size = image_size
    config.prompt_encoder_config.image_size = image_size
    backbone.image_size = [image_size, image_size]
    config.vision_config.backbone_feature_sizes = [[side * 4, side * 4], [side * 2, side * 2], [side, side]]
    config.memory_attention_rope_feat_sizes = [side, side]
    return config


def load_detector(name: str = "toy", device: str = "auto", dtype: str = "auto", passes: int | None = None) -> Detector:
    """Load a detector by name.

    Args:
        name: "toy", a short name such as "grounding-dino-tiny", a folder in transformers' layout, a hub id, or a plug-in.
        device: "auto", "cpu", "cuda", "cuda:1", ...
        dtype: "auto", "float32" or "bfloat16".
        passes: maximum number of passes over an image for long lists of phrases; None takes the detector's own.

    Raises:
        WeightsError: see `load_segmenter`.
        PluginError: the plug-in cannot be created or lacks a part.
    """
    target = resolve_device(device)
    if is_plugin(name, "detector"):
        plugin: Detector = create_plugin("detector", name, DETECTOR_PARTS, device=str(target))
        return plugin
    _check_torchvision()
    from transformers import GroundingDinoConfig, GroundingDinoForObjectDetection

    from lang2segtrack_ros.detection.grounding_dino import GroundingDinoDetector

    folder = find_folder(name, "detector")
    raw = _read_config(folder, ("grounding-dino",), "detector")
    config = GroundingDinoConfig.from_dict({**raw, "disable_custom_kernels": True})
    model = _load(GroundingDinoForObjectDetection, folder, config)
    number = resolve_dtype(dtype, target)
    if number == torch.bfloat16:
        _cast_layers(model)
    detector = GroundingDinoDetector.from_folder(model.to(target), folder, name, number, passes)
    _settle(target)
    return detector


def _load(cls: Any, folder: Path, config: Any) -> Any:
    """Strictly: a missing or misshapen tensor is an error, not a warning."""
    from transformers.utils import logging as transformers_logging

    shown = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        model, info = cls.from_pretrained(folder, config=config, dtype=torch.float32, local_files_only=True, output_loading_info=True)
    except Exception as error:  # safetensors, torch and transformers each have their own for a broken file
        raise WeightsError(f"the weights in {folder} cannot be loaded: {error}") from error
    finally:
        if shown:
            transformers_logging.enable_progress_bar()
    missing = sorted(info["missing_keys"])
    if missing or info.get("mismatched_keys"):
        wrong = missing or sorted(str(key) for key in info["mismatched_keys"])
        raise WeightsError(
            f"the weights in {folder} do not fit the network: {len(wrong)} tensors missing or misshapen, the first is {wrong[0]}"
        )
    if info["unexpected_keys"]:
        log.warning("%s: %d tensors are not used, the first is %s", folder, len(info["unexpected_keys"]), min(info["unexpected_keys"]))
    return model.eval().requires_grad_(False)
