# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Picture of the answer to an instruction: all detected objects with their numbers, the chosen ones outlined."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from lang2segtrack_ros.instructions.answer import Answer
from lang2segtrack_ros.instructions.scene import SceneObject
from lang2segtrack_ros.io.rendering import draw_label, palette

_OTHER = (200, 200, 200)


def draw_answer(color: NDArray[np.uint8], answer: Answer) -> NDArray[np.uint8]:
    """Draw an answer on a copy of its image. SceneObjects have a thin gray box and their number, chosen ones a thick box in color.

    Args:
        color: RGB uint8 [H, W, 3]; it stays unchanged.
        answer: the answer.

    Returns:
        RGB uint8 [H, W, 3].
    """
    image = color.copy()
    labels = {choice.item: choice.label for choice in answer.choices}
    for item in sorted(answer.scene.objects, key=lambda item: item in labels):
        _draw_object(image, item, labels.get(item))
    return image


def _draw_object(image: NDArray[np.uint8], item: SceneObject, label: str | None) -> None:
    shade = _OTHER if label is None else palette(item.number)
    x1, y1, x2, y2 = (round(edge) for edge in item.box)
    if label is not None:
        cv2.rectangle(image, (x1 - 2, y1 - 2), (x2 + 1, y2 + 1), (0, 0, 0), 5)
    cv2.rectangle(image, (x1 - 2, y1 - 2), (x2 + 1, y2 + 1), shade, 1 if label is None else 3)
    draw_label(image, f"#{item.number} {label or ''}".strip(), x1, y1 - 3, shade)
