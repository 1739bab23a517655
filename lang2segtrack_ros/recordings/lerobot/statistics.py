# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Statistics of the features of a LeRobot dataset: of one episode, and of all together.

Source: `compute_stats.py` of LeRobot 0.4 (Apache-2.0), whose policies normalize by these numbers. Its quantiles are left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Union

import numpy as np
from numpy.typing import NDArray

Stats = Mapping[str, NDArray[np.float64]]
"""min, max, mean, std and count of a feature."""
Nested = Union[float, int, "list[Nested]"]


def vector_stats(values: NDArray[np.float64]) -> Stats:
    """Return the statistics of a feature.

    Args:
        values: float64 [N, D], a row for each frame.
    """
    return {
        "min": values.min(0),
        "max": values.max(0),
        "mean": values.mean(0),
        "std": values.std(0),
        "count": np.array([len(values)]),
    }


def image_stats(pixels: Sequence[NDArray[np.uint8]]) -> Stats:
    """Return the statistics of the channels of some images, 0..1, each [3, 1, 1].

    Args:
        pixels: uint8 [N, 3] of each image.
    """
    stats = vector_stats(np.concatenate(pixels).astype(np.float64) / 255)
    shaped = {name: value.reshape(3, 1, 1) for name, value in stats.items() if name != "count"}
    return {**shaped, "count": np.array([len(pixels)])}


def joined(parts: Sequence[Stats]) -> Stats:
    """Return the statistics of several episodes together, with the pooled variance."""
    counts = np.array([float(part["count"][0]) for part in parts])
    weights = (counts / counts.sum()).reshape(-1, *([1] * parts[0]["mean"].ndim))
    mean = (np.stack([part["mean"] for part in parts]) * weights).sum(0)
    variance = (np.stack([part["std"] ** 2 + (part["mean"] - mean) ** 2 for part in parts]) * weights).sum(0)
    return {
        "min": np.stack([part["min"] for part in parts]).min(0),
        "max": np.stack([part["max"] for part in parts]).max(0),
        "mean": mean,
        "std": np.sqrt(variance),
        "count": np.array([int(counts.sum())]),
    }
