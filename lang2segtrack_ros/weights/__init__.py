# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""From a name to a network on a device.

A name is "toy" (the built-in checkpoints), a short name of `catalogue`, a folder in transformers' layout, or a hub id.
"""

from lang2segtrack_ros.weights.catalogue import WeightsError
from lang2segtrack_ros.weights.loading import at_size, load_detector, load_segmenter, usable_size
from lang2segtrack_ros.weights.sharing import free_unused, shared_detector, shared_segmenter

__all__ = [
    "WeightsError",
    "at_size",
    "free_unused",
    "load_detector",
    "load_segmenter",
    "shared_detector",
    "shared_segmenter",
    "usable_size",
]
