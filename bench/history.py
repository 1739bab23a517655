# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""What keeping past frames costs: size and time of each way to keep an image, and how far it changes the masks tracked on it."""

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
FULL = [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
WAYS: dict[str, tuple[str, list[int]]] = {
    "PNG": (".png", []),
    "WebP lossless": (".webp", [cv2.IMWRITE_WEBP_QUALITY, 101]),
    "JPEG 95": (".jpg", [cv2.IMWRITE_JPEG_QUALITY, 95]),
    "JPEG 95 4:4:4": (".jpg", [cv2.IMWRITE_JPEG_QUALITY, 95, *FULL]),
    "JPEG 98 4:4:4": (".jpg", [cv2.IMWRITE_JPEG_QUALITY, 98, *FULL]),
}


def tracked(images: list[np.ndarray], boxes: list[tuple[float, float, float, float]]) -> list[np.ndarray]:
    """Masks [objects, H, W] of each image."""
    session = Session(load_segmenter("toy", device="cpu"))
    for box in boxes:
        session.prompt(BoxPrompt(box))
    return [np.stack([track.mask for track in session.step(Frame(image)).tracks]) for image in images]


def main() -> None:
    """Prints a table."""
    torch.set_num_threads(1)
    scene = demo_scene(640, 480)
    shots = [scene.render(index) for index in range(FRAMES)]
    images = [shot.color for shot in shots]
    boxes = []
    for body in (1, 2, 3):
        rows, columns = np.nonzero(shots[0].instances == body)
        boxes.append((float(columns.min()), float(rows.min()), float(columns.max() + 1), float(rows.max() + 1)))
    truth = [np.stack([shot.instances == body for body in (1, 2, 3)]) for shot in shots]
    plain = tracked(images, boxes)

    def iou(some: list[np.ndarray], others: list[np.ndarray]) -> float:
        return float(np.mean([(a & b).sum((1, 2)) / np.maximum((a | b).sum((1, 2)), 1) for a, b in zip(some, others)]))

    print(f"{'way':<15} {'KB':>6} {'write ms':>9} {'read ms':>8} {'IoU with masks on originals':>28} {'J':>6}")
    print(f"{'original':<15} {images[0].nbytes / 1e3:>6.0f} {0:>9} {0:>8} {1:>28} {iou(plain, truth):>6.4f}")
    for name, (ending, options) in WAYS.items():
        began = time.perf_counter()
        coded = [cv2.imencode(ending, image, options)[1] for image in images]
        written = time.perf_counter()
        decoded = [np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR)).astype(np.uint8) for data in coded]
        read = time.perf_counter()
        masks = tracked(decoded, boxes)
        size = np.mean([data.size for data in coded]) / 1e3
        cost = ((written - began) * 1e3 / FRAMES, (read - written) * 1e3 / FRAMES)
        print(f"{name:<15} {size:>6.0f} {cost[0]:>9.1f} {cost[1]:>8.1f} {iou(masks, plain):>28.4f} {iou(masks, truth):>6.4f}")


if __name__ == "__main__":
    main()
