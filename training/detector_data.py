# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Batches for the detector: pictures, phrases of which some are there and some are not, and the boxes that belong to each."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from lang2segtrack_ros.toyworld.pictures import Picture, draw_picture
from training.segmenter_data import TRAINING_SEEDS

SIZES = ((256, 192), (256, 192), (256, 144), (192, 192))
CROWDED = 0.25
"""Share of pictures from crowded clips, with up to twelve phrases: a caption of that many is another task than one of five."""


def make_batch(seed: tuple[int, int], count: int) -> tuple[Tensor, list[Picture], list[dict[str, Tensor]]]:
    """Pictures uint8 [N, H, W, 3] of one size, and targets as DETR takes them: boxes (cx, cy, w, h in parts) and phrase numbers."""
    rng = np.random.default_rng(list(seed))
    width, height = SIZES[rng.integers(len(SIZES))]
    start = TRAINING_SEEDS + int(rng.integers(1 << 30))
    crowded = rng.random(count) < CROWDED
    pictures = [draw_picture(start + i, (width, height), not many, most=12 if many else 5) for i, many in enumerate(crowded)]
    targets = []
    for picture in pictures:
        boxes = [picture.boxes[i] for i, _ in picture.matches]
        table = np.array(boxes, np.float32).reshape(-1, 4) / (width, height, width, height)
        whole = np.concatenate([(table[:, :2] + table[:, 2:]) / 2, table[:, 2:] - table[:, :2]], axis=1)
        targets.append(
            {
                "boxes": torch.from_numpy(whole.astype(np.float32)),
                "class_labels": torch.tensor([k for _, k in picture.matches], dtype=torch.long),
            }
        )
    return torch.from_numpy(np.stack([picture.color for picture in pictures])), pictures, targets
