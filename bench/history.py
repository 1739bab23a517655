# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Cost of storing past frames: size and time of each image format, and change of the tracked masks."""

from __future__ import annotations

import time

import cv2
import numpy as np
import torch

from lang2segtrack_ros.models.loading import load_segmenter
from lang2segtrack_ros.session.session import Session
from lang2segtrack_ros.toyworld.scene import demo_scene
from lang2segtrack_ros.types.frame import Frame
from lang2segtrack_ros.types.prompts import BoxPrompt

FRAMES = 40
FULL_CHROMA = [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
FORMATS: dict[str, tuple[str, list[int]]] = {
    "PNG": (".png", []),
    "WebP lossless": (".webp", [cv2.IMWRITE_WEBP_QUALITY, 101]),
    "JPEG 95": (".jpg", [cv2.IMWRITE_JPEG_QUALITY, 95]),
    "JPEG 95 4:4:4": (".jpg", [cv2.IMWRITE_JPEG_QUALITY, 95, *FULL_CHROMA]),
    "JPEG 98 4:4:4": (".jpg", [cv2.IMWRITE_JPEG_QUALITY, 98, *FULL_CHROMA]),
}


def track_masks(images: list[np.ndarray], boxes: list[tuple[float, float, float, float]]) -> list[np.ndarray]:
    """Return the masks [objects, H, W] of each image.

    Args:
        images: uint8 [H, W, 3] each.
        boxes: box prompt of each object.
    """
    session = Session(load_segmenter("toy", device="cpu"))
    for box in boxes:
        session.prompt(BoxPrompt(box))
    return [np.stack([track.mask for track in session.step(Frame(image)).tracks]) for image in images]


def main() -> None:
    """Print a table."""
    torch.set_num_threads(1)
    scene = demo_scene(640, 480)
    shots = [scene.render(index) for index in range(FRAMES)]
    images = [shot.color for shot in shots]
    boxes = []
    for body in (1, 2, 3):
        rows, columns = np.nonzero(shots[0].instances == body)
        boxes.append((float(columns.min()), float(rows.min()), float(columns.max() + 1), float(rows.max() + 1)))
    truth = [np.stack([shot.instances == body for body in (1, 2, 3)]) for shot in shots]
    original_masks = track_masks(images, boxes)

    def iou(first: list[np.ndarray], second: list[np.ndarray]) -> float:
        return float(np.mean([(a & b).sum((1, 2)) / np.maximum((a | b).sum((1, 2)), 1) for a, b in zip(first, second)]))

    print(f"{'format':<15} {'KB':>6} {'write ms':>9} {'read ms':>8} {'IoU with masks on originals':>28} {'J':>6}")
    print(f"{'original':<15} {images[0].nbytes / 1e3:>6.0f} {0:>9} {0:>8} {1:>28} {iou(original_masks, truth):>6.4f}")
    for name, (extension, options) in FORMATS.items():
        started = time.perf_counter()
        encoded = [cv2.imencode(extension, image, options)[1] for image in images]
        written = time.perf_counter()
        decoded = [np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR)).astype(np.uint8) for data in encoded]
        read = time.perf_counter()
        masks = track_masks(decoded, boxes)
        size = np.mean([data.size for data in encoded]) / 1e3
        cost = ((written - started) * 1e3 / FRAMES, (read - written) * 1e3 / FRAMES)
        print(f"{name:<15} {size:>6.0f} {cost[0]:>9.1f} {cost[1]:>8.1f} {iou(masks, original_masks):>28.4f} {iou(masks, truth):>6.4f}")


if __name__ == "__main__":
    main()
