# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Masks from image files of other tools: black and white, ids of 8 or 16 bits, one color on black, or an alpha channel."""

from __future__ import annotations

import logging
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from lang2segtrack_ros.types.prompts import PromptError

log = logging.getLogger(__name__)
_MAX_IDS = 16  # a picture with more different values is a soft mask, not a picture of ids
_JPEG_START = b"\xff\xd8\xff"


def read_mask(path: Path) -> NDArray[np.bool_]:
    """Read the mask of one object.

    Every value but 0 is the object. A picture whose colors are constant has its mask in the alpha channel. A JPEG, and a picture with many
    different values, is cut at half of its maximum, with a warning.

    Args:
        path: the image file.

    Returns:
        bool [H, W].

    Raises:
        PromptError: the file cannot be read, or it shows several objects.
    """
    try:
        data = path.read_bytes()
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED) if data else None
    except (OSError, cv2.error):
        pixels = None
    if pixels is None:
        raise PromptError(f"the mask {path} is not a readable image")
    channels = np.asarray(pixels).reshape(*pixels.shape[:2], -1)
    if channels.shape[2] in (2, 4):
        color, alpha = channels[..., :-1], channels[..., -1:]
        channels = alpha if (color == color[:1, :1]).all() else color
    values = np.unique(channels.reshape(-1, channels.shape[2]), axis=0)
    values = values[values.any(axis=1)]
    if data.startswith(_JPEG_START) or len(values) > _MAX_IDS:
        brightest = channels.max(axis=2)
        log.warning("the mask %s has soft edges: values of at least half of its maximum are the object", path)
        return np.asarray(2 * brightest.astype(np.int64) >= max(int(brightest.max()), 1))
    if len(values) > 1:
        shown = ", ".join(str(value[0]) if len(value) == 1 else f"({', '.join(map(str, value[::-1]))})" for value in values)
        raise PromptError(f"the mask {path} shows {len(values)} objects, with the values {shown}: give one file for each object")
    return np.asarray(channels.any(axis=2))
