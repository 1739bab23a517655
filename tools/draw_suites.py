# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Writes docs/images/suites.png and docs/images/things.png: frames of each suite of the toy world, in both families."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from lang2segtrack_ros.io.rendering import contact_sheet
from lang2segtrack_ros.io.writers import write_png
from lang2segtrack_ros.toyworld.families import SHAPES_FAMILY, THINGS_FAMILY, Family
from lang2segtrack_ros.toyworld.suites import SUITES, make_clip

SEED = 1
THUMBNAIL = (160, 120)
GRAY_LEVEL_STEP = 16  # finer levels are mostly noise and enlarge the PNG


def draw(name: str, family: Family, frames: int, columns: int) -> None:
    """Draw the figure of a family.

    Args:
        name: name of the file.
        family: the family.
        frames: number of frames of each suite.
        columns: number of pictures beside each other.
    """
    images, captions = [], []
    for suite in SUITES:
        clip = make_clip(suite, SEED, family=family)
        for index in np.linspace(0, clip.length - 1, frames).round().astype(int).tolist():
            small = cv2.resize(clip.scene.render(index).color, THUMBNAIL, interpolation=cv2.INTER_AREA)
            images.append((small // GRAY_LEVEL_STEP * GRAY_LEVEL_STEP).astype(np.uint8))
            captions.append(f"{suite}" if index == 0 else f"{index}")
    write_png(Path(__file__).resolve().parent.parent / "docs" / "images" / name, contact_sheet(images, captions, columns))


def main() -> None:
    """Draw the figures."""
    draw("suites.png", SHAPES_FAMILY, 6, 6)
    draw("things.png", THINGS_FAMILY, 3, 6)


if __name__ == "__main__":
    main()
