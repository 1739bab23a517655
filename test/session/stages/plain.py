# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Comparison of states, tracks and actions by value, arrays and tensors included."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
import torch

from lang2segtrack_ros.types.prompt_handle import PromptHandle


def plain(value: Any) -> Any:
    """Return nested tuples that are equal for equal values. Mappings and sets compare without their order, and handles by identity."""
    if isinstance(value, PromptHandle):
        return "PromptHandle", id(value)
    if isinstance(value, torch.Tensor):
        return plain(value.float().numpy() if value.dtype is torch.bfloat16 else value.numpy())
    if isinstance(value, np.ndarray):
        return str(value.dtype), value.shape, hashlib.sha1(value.tobytes()).hexdigest()
    if isinstance(value, (Mapping, set, frozenset)):
        items = value.items() if isinstance(value, Mapping) else value
        return type(value).__name__, tuple(sorted((plain(item) for item in items), key=repr))
    if isinstance(value, (tuple, list)):
        return tuple(plain(item) for item in value)
    if is_dataclass(value) and not isinstance(value, type):
        return type(value).__name__, tuple((item.name, plain(getattr(value, item.name))) for item in fields(value))
    return repr(value) if isinstance(value, float) else value  # NaN equals itself as a text
