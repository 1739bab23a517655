# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Batches for the segmenter: windows of suite clips, and prompts of their objects."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lang2segtrack_ros.toyworld.families import SHAPES_FAMILY, Family
from lang2segtrack_ros.toyworld.suites import Clip, make_clip
from training.segmenter_network import IMAGE_SIZE

TRAINING_SEEDS = 1_000_000
"""First seed of the training. All smaller seeds are held out."""
SIZES = ((256, 192), (256, 192), (320, 240), (256, 144), (320, 180))
MIN_PIXELS = 20  # at the network's image size; an object with fewer pixels, but not 0, is neither visible nor hidden


@dataclass(frozen=True)
class Mixture:
    """Distribution of suites and windows.

    Attributes:
        suites: probability of each suite.
        gaps: steps between neighboring frames of unevenly spaced windows; each is equally likely.
        even: probability of an evenly spaced window.
        crossing: probability of a window around the frame on which two objects are closest.
    """

    suites: dict[str, float]
    gaps: tuple[int, ...] = (1, 1, 2, 3, 5, 12)
    even: float = 0.5
    crossing: float = 0.0


EVERYTHING = Mixture(
    {
        "easy": 0.14,
        "crossing": 0.22,
        "occlusion": 0.19,
        "exit_return": 0.07,
        "crowd": 0.14,
        "distractors": 0.10,
        "small_fast": 0.04,
        "camera_shake": 0.05,
        "depth_only_difference": 0.05,
    }
)
LOOK_ALIKES = Mixture(
    {
        "crossing": 0.44,
        "depth_only_difference": 0.12,
        "distractors": 0.20,
        "crowd": 0.08,
        "occlusion": 0.06,
        "exit_return": 0.06,
        "easy": 0.04,
    },
    gaps=(1, 2, 4, 8, 14, 22),
    even=0.0,
    crossing=0.7,
)
"""Few frames far apart. Position helps little, so the network must recognize an object by its color gain, texture and rotation."""
CROSSINGS = Mixture(
    {
        "crossing": 0.38,
        "depth_only_difference": 0.06,
        "occlusion": 0.17,
        "crowd": 0.15,
        "distractors": 0.08,
        "exit_return": 0.06,
        "small_fast": 0.04,
        "easy": 0.04,
        "camera_shake": 0.02,
    },
    gaps=(1, 1, 2, 3, 5, 9),
    even=0.6,
    crossing=0.7,
)
FINISH = replace(
    CROSSINGS,
    suites={
        "crossing": 0.27,
        "depth_only_difference": 0.05,
        "occlusion": 0.23,
        "crowd": 0.19,
        "distractors": 0.06,
        "exit_return": 0.06,
        "small_fast": 0.04,
        "easy": 0.07,
        "camera_shake": 0.03,
    },
    even=0.7,
    crossing=0.5,
)
"""Crossings and other situations, for the last phase."""


@dataclass(frozen=True)
class Batch:
    """Windows of T frames and B objects in them.

    Attributes:
        frames: uint8 [N, T, S, S, 3].
        masks: uint8 [B, T, S, S], visible part of each object.
        others: uint8 [B, T, S, S], visible parts of the other objects of its clip.
        clip_of: int64 [B], index of each object's clip.
        fraction: float32 [B, T], visible fraction of the object's silhouette.
    """

    frames: Tensor
    masks: Tensor
    others: Tensor
    clip_of: Tensor
    fraction: Tensor


def _closest(clip: Clip) -> int | None:
    """Return the frame on which two objects of a clip are closest; None for a clip with a single object.

    Pairs with one label have priority over other pairs.
    """
    trajectories = [(body.label, body.path[:, :2]) for body in clip.scene.bodies if body.label and body.path is not None]
    pairs = [(first, second) for i, first in enumerate(trajectories) for second in trajectories[:i]]
    same_label = [(first, second) for first, second in pairs if first[0] == second[0]]
    gaps = [np.linalg.norm(first[1] - second[1], axis=1) for first, second in same_label or pairs]
    return int(min(gaps, key=lambda gap: gap.min()).argmin()) if gaps else None


def _times(rng: np.random.Generator, count: int, clip: Clip, mixture: Mixture) -> list[int]:
    """Draw the frames of a window: evenly spaced, or with irregular gaps like those of a memory policy."""
    even = rng.random() < mixture.even
    steps = np.full(count - 1, rng.choice([1, 1, 2, 3])) if even else rng.choice(mixture.gaps, count - 1)
    while steps.sum() >= clip.length:
        steps = np.maximum(steps - 1, 1)
    start_limit = int(clip.length - steps.sum())  # exclusive limit of a window's first frame
    start = int(rng.integers(0, start_limit))
    closest_frame = _closest(clip) if rng.random() < mixture.crossing else None
    if closest_frame is not None:
        start = int(np.clip(closest_frame - rng.uniform(0.2, 0.8) * steps.sum(), 0, start_limit - 1))
    return [start, *(start + np.cumsum(steps)).tolist()]


def _draw(rng: np.random.Generator, mixture: Mixture, family: Family) -> Clip:
    suite = str(rng.choice(list(mixture.suites), p=list(mixture.suites.values())))
    return make_clip(suite, TRAINING_SEEDS + int(rng.integers(1 << 30)), *SIZES[rng.integers(len(SIZES))], family)


def make_batch(
    seed: tuple[int, ...],
    frames: int,
    objects: int,
    per_clip: int,
    mixture: Mixture = EVERYTHING,
    family: Family = SHAPES_FAMILY,
) -> Batch:
    """Return the batch of a seed.

    Args:
        seed: seed of the batch.
        frames: number of frames of each window.
        objects: number of objects of the batch.
        per_clip: largest number of objects of one clip.
        mixture: distribution of suites and windows.
        family: family of the objects.
    """
    rng = np.random.default_rng(list(seed))
    size = (IMAGE_SIZE, IMAGE_SIZE)
    colors: list[NDArray[np.uint8]] = []
    masks: list[NDArray[np.bool_]] = []
    others: list[NDArray[np.bool_]] = []
    clip_of: list[int] = []
    fractions: list[NDArray[np.float64]] = []
    while len(masks) < objects:
        clip = _draw(rng, mixture, family)
        times = _times(rng, frames, clip, mixture)
        shots = [clip.scene.render(time) for time in times]
        numbers = [n for n, body in shots[0].bodies.items() if body.fraction > 0.55]
        instances = np.stack([cv2.resize(shot.instances, size, interpolation=cv2.INTER_NEAREST) for shot in shots])
        numbers = [n for n in numbers if np.count_nonzero(instances[0] == n) > 2 * MIN_PIXELS]
        if not numbers:
            continue
        visible_fractions = np.array([[shot.bodies[n].fraction for shot in shots] for n in numbers])
        order = rng.permutation(len(numbers))
        if rng.random() < 0.6:  # prefer objects that are occluded
            order = order[np.argsort(visible_fractions.min(axis=1)[order], kind="stable")]
        for index in order[: min(per_clip, objects - len(masks))]:
            masks.append(instances == numbers[index])
            others.append((instances > 0) & (instances != numbers[index]))
            clip_of.append(len(colors))
            fractions.append(visible_fractions[index])
        colors.append(np.stack([cv2.resize(shot.color, size, interpolation=cv2.INTER_LINEAR) for shot in shots]))
    return Batch(
        torch.from_numpy(np.stack(colors)),
        torch.from_numpy(np.stack(masks).astype(np.uint8)),
        torch.from_numpy(np.stack(others).astype(np.uint8)),
        torch.tensor(clip_of),
        torch.from_numpy(np.stack(fractions).astype(np.float32)),
    )


def box_prompts(masks: NDArray[np.uint8], rng: np.random.Generator, jitter: float = 0.06) -> tuple[Tensor, Tensor]:
    """Return loose boxes around masks in the decoder's format. Objects without pixels get labels of -1 (no point).

    Args:
        masks: uint8 [B, S, S].
        rng: random generator.
        jitter: standard deviation of each edge's position, as a fraction of the box size.

    Returns:
        Points float32 [B, 1, 2, 2] and labels int32 [B, 1, 2].
    """
    points = np.zeros((len(masks), 1, 2, 2), np.float32)
    labels = np.full((len(masks), 1, 2), -1, np.int32)
    for row, mask in enumerate(masks):
        if not mask.any():
            continue
        x, y, width, height = cv2.boundingRect(mask)
        shift = np.clip(rng.normal(0, jitter, 4), -0.15, 0.15) * (width, height, width, height)
        corners = np.clip(np.array([x, y, x + width, y + height]) + shift, 0, masks.shape[-1])
        points[row, 0] = corners.reshape(2, 2)
        labels[row, 0] = (2, 3)
    return torch.from_numpy(points), torch.from_numpy(labels)


def point_prompts(masks: NDArray[np.uint8], rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Return one point inside each mask in the decoder's format. Objects without pixels get a label of -1 (no point).

    Args:
        masks: uint8 [B, S, S].
        rng: random generator.

    Returns:
        Points float32 [B, 1, 1, 2] and labels int32 [B, 1, 1].
    """
    points = np.zeros((len(masks), 1, 1, 2), np.float32)
    labels = np.full((len(masks), 1, 1), -1, np.int32)
    for row, mask in enumerate(masks):
        if not mask.any():
            continue
        inside = cv2.distanceTransform(mask, cv2.DIST_L2, 3)
        rows, columns = np.nonzero(inside >= min(1.5, inside.max()))
        pick = rng.integers(len(rows))
        points[row, 0, 0] = (columns[pick], rows[pick])
        labels[row, 0, 0] = 1
    return torch.from_numpy(points), torch.from_numpy(labels)
