# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Names of devices, number formats and accelerations, resolved for this machine."""

from __future__ import annotations

import torch

from lang2segtrack_ros.models.catalogue import ACCELERATIONS, WeightsError
from lang2segtrack_ros.types.checks import describe

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def resolve_device(device: str) -> torch.device:
    """Return the torch device of a name.

    Args:
        device: "cpu", "cuda", "cuda:1", ... or "auto", which is the first GPU if torch can use one, else the CPU.

    Raises:
        WeightsError: the name is unknown, or this machine has no such device.
    """
    if not isinstance(device, (str, torch.device)):
        raise WeightsError(f'device is {describe(device)}; use "auto", "cpu", "cuda" or "cuda:1"')
    if device == "auto":
        return torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    try:
        resolved = torch.device(device)
    except RuntimeError as error:
        raise WeightsError(f'"{device}" is not a device; use "auto", "cpu", "cuda" or "cuda:1"') from error
    if resolved.type == "cuda" and not torch.cuda.is_available():
        raise WeightsError(
            f'device is "{device}" but torch {torch.__version__} finds no GPU: check nvidia-smi and install a CUDA build of torch, '
            'or use device "cpu"'
        )
    if resolved.type == "cuda":
        resolved = torch.device("cuda", resolved.index or 0)  # "cuda" and "cuda:0" are the same device and must share their weights
        if resolved.index >= torch.cuda.device_count():
            raise WeightsError(f'device is "{device}" but this machine has {torch.cuda.device_count()} GPUs, starting with "cuda:0"')
    return resolved


def resolve_dtype(dtype: str, device: torch.device) -> torch.dtype:
    """Return the torch dtype of a name.

    Older GPUs emulate bfloat16, and some of their convolutions have no bfloat16 implementation.

    Args:
        dtype: "float32", "bfloat16", or "auto", which is bfloat16 on NVIDIA GPUs from Ampere on, else float32.
        device: device of the network.

    Raises:
        WeightsError: the name is unknown.
    """
    if dtype == "auto":
        supported = device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0)
        return torch.bfloat16 if supported else torch.float32
    if dtype not in tuple(DTYPES):
        raise WeightsError(f'dtype is {describe(dtype)}; it must be "auto", {" or ".join(DTYPES)}')
    return DTYPES[dtype]


def resolve_acceleration(acceleration: str, device: torch.device) -> str:
    """Return "off", "graphs", "compile" or "max" for a name.

    Args:
        acceleration: see `load_segmenter`.
        device: device of the network.

    Raises:
        WeightsError: the name is unknown, or the device has no CUDA graphs.
    """
    if acceleration not in ACCELERATIONS:
        raise WeightsError(f'acceleration is "{acceleration}"; it must be one of: {", ".join(ACCELERATIONS)}')
    if acceleration == "auto":
        return "graphs" if device.type == "cuda" else "off"
    if acceleration in ("graphs", "max") and device.type != "cuda":
        raise WeightsError(f'acceleration "{acceleration}" needs an NVIDIA GPU, but the device is {device}: use "auto", "off" or "compile"')
    return acceleration


def detector_acceleration(acceleration: str, device: torch.device) -> str:
    """Return "graphs" or "off" for a name: a detector uses CUDA graphs on a GPU, unless the name is "off".

    Args:
        acceleration: see `load_segmenter`.
        device: device of the network.

    Raises:
        WeightsError: see `resolve_acceleration`.
    """
    return "graphs" if resolve_acceleration(acceleration, device) != "off" and device.type == "cuda" else "off"
