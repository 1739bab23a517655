# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Batches for the detector: pictures, present and absent phrases, and the boxes of the phrases."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from lang2segtrack_ros.toyworld.families import SHAPES_FAMILY, Family
from lang2segtrack_ros.toyworld.pictures import Picture, draw_picture
from training.segmenter_data import TRAINING_SEEDS

SIZES = ((256, 192), (256, 192), (256, 144), (192, 192))
CROWDED_RATIO = 0.25
"""Fraction of pictures from crowded clips, with up to twelve phrases. Captions of that length are a harder task than five phrases."""


def make_batch(seed: tuple[int, int], count: int, family: Family = SHAPES_FAMILY) -> tuple[Tensor, list[Picture], list[dict[str, Tensor]]]:
    """Return the batch of a seed.

    Args:
        seed: seed of the training and step.
        count: number of pictures.
        family: family of the objects.

    Returns:
        Images uint8 [N, H, W, 3] of one size, their pictures, and DETR targets: boxes (cx, cy, w, h, normalized) and phrase indices.
    """
    rng = np.random.default_rng(list(seed))
    width, height = SIZES[rng.integers(len(SIZES))]
    start = TRAINING_SEEDS + int(rng.integers(1 << 30))
    is_crowded = rng.random(count) < CROWDED_RATIO
    pictures = [
        draw_picture(start + i, (width, height), not crowded, max_phrases=12 if crowded else 5, family=family)
        for i, crowded in enumerate(is_crowded)
    ]
    targets = []
    for picture in pictures:
        boxes = [picture.boxes[i] for i, _ in picture.matches]
        corner_boxes = np.array(boxes, np.float32).reshape(-1, 4) / (width, height, width, height)
        center_boxes = np.concatenate([(corner_boxes[:, :2] + corner_boxes[:, 2:]) / 2, corner_boxes[:, 2:] - corner_boxes[:, :2]], axis=1)
        targets.append(
            {
                "boxes": torch.from_numpy(center_boxes.astype(np.float32)),
                "class_labels": torch.tensor([k for _, k in picture.matches], dtype=torch.long),
            }
        )
    return torch.from_numpy(np.stack([picture.color for picture in pictures])), pictures, targets
