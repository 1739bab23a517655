# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The video predictor of the package `sam2` (https://github.com/facebookresearch/sam2), eager and compiled, with random weights."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from lang2segtrack_ros.types.rle import Box

_CONFIGS = {"tiny": "t", "small": "s", "base-plus": "b+", "large": "l"}
_FRAMES = 60  # images of the video, which the predictor loads at once


@contextlib.contextmanager
def reference_step(
    network: str, boxes: Sequence[Box], images: Sequence[np.ndarray], device: torch.device, compiled: bool
) -> Iterator[Callable[[int], None]]:
    """Yield a function that processes the next frame with the predictor, and copies the masks to the host.

    Args:
        network: a published size and an input size, such as "tiny/1024".
        boxes: one box for each object, (x_min, y_min, x_max, y_max) in pixels.
        images: RGB uint8 [H, W, 3]; the video repeats them.
        device: device of the network.
        compiled: True for the predictor's compiled form.

    Raises:
        ImportError: the package sam2 is not installed.
    """
    from sam2.build_sam import build_sam2_video_predictor

    size, _, pixels = network.partition("/")
    overrides = [f"++model.image_size={pixels}"]
    predictor = build_sam2_video_predictor(
        f"configs/sam2.1/sam2.1_hiera_{_CONFIGS[size]}.yaml", None, str(device), hydra_overrides_extra=overrides, vos_optimized=compiled
    )
    autocast = torch.autocast(device.type, dtype=torch.bfloat16, enabled=device.type == "cuda")
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode(), autocast:
        for number in range(_FRAMES):
            cv2.imwrite(str(Path(folder) / f"{number:05}.jpg"), images[number % len(images)][..., ::-1])
        state: Any = predictor.init_state(folder)
        for number, box in enumerate(boxes, 1):
            predictor.add_new_points_or_box(state, frame_idx=0, obj_id=number, box=np.array(box, np.float32))
        results = predictor.propagate_in_video(state)

        def step(_index: int) -> None:
            _, _, logits = next(results)
            (logits > 0).cpu().numpy()

        yield step
