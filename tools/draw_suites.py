# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Writes docs/images/suites.png: six frames of each suite of the toy world."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from lang2segtrack_ros.io.rendering import contact_sheet
from lang2segtrack_ros.io.writers import write_png
from lang2segtrack_ros.toyworld.suites import SUITES, make_clip

FRAMES = 6
SEED = 1
THUMBNAIL = (160, 120)
GRAY_LEVEL_STEP = 16  # finer levels are mostly noise and enlarge the PNG


def main() -> None:
    """Draw the figure."""
    images, captions = [], []
    for suite in SUITES:
        clip = make_clip(suite, SEED)
        for index in np.linspace(0, clip.length - 1, FRAMES).round().astype(int).tolist():
            small = cv2.resize(clip.scene.render(index).color, THUMBNAIL, interpolation=cv2.INTER_AREA)
            images.append((small // GRAY_LEVEL_STEP * GRAY_LEVEL_STEP).astype(np.uint8))
            captions.append(f"{suite}" if index == 0 else f"{index}")
    write_png(Path(__file__).resolve().parent.parent / "docs" / "images" / "suites.png", contact_sheet(images, captions, FRAMES))


if __name__ == "__main__":
    main()
