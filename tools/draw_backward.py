# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Writes docs/images/backward.png: an object with a late box prompt, as seen live and after the backward pass."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from lang2segtrack_ros.evaluation.scores import FRAME_NS
from lang2segtrack_ros.history.frame_history import FrameHistory
from lang2segtrack_ros.io.rendering import contact_sheet, draw_overlay
from lang2segtrack_ros.io.writers import write_png
from lang2segtrack_ros.models.loading import load_segmenter
from lang2segtrack_ros.session.session import Session
from lang2segtrack_ros.toyworld.suites import make_clip
from lang2segtrack_ros.types.frame import Frame
from lang2segtrack_ros.types.prompts import BoxPrompt
from lang2segtrack_ros.types.results import FrameResult

SEED = 3
COLUMNS = 6
THUMBNAIL = (240, 180)
GRAY_LEVEL_STEP = 8


def main() -> None:
    """Draw the figure."""
    clip = make_clip("late_prompt", SEED)
    session = Session(load_segmenter("toy", device="cpu"), history=FrameHistory())
    shots = [clip.scene.render(index) for index in range(clip.length)]
    forward = []
    for index, shot in enumerate(shots):
        for number in [number for number, prompt_frame in clip.prompts.items() if prompt_frame == index]:
            box = shot.bodies[number].box
            assert box is not None
            session.prompt(BoxPrompt(box, shot.bodies[number].label))
        forward.append(session.step(Frame(shot.color, index * FRAME_NS)))
    refined = list(session.refine_backward())
    indices = np.linspace(0, clip.length - 1, COLUMNS).round().astype(int).tolist()

    def row(results: list[FrameResult], name: str) -> tuple[list[NDArray[np.uint8]], list[str]]:
        images = [draw_overlay(shots[index].color, results[index].tracks) for index in indices]
        small = [cv2.resize(image, THUMBNAIL, interpolation=cv2.INTER_AREA) // GRAY_LEVEL_STEP * GRAY_LEVEL_STEP for image in images]
        return [image.astype(np.uint8) for image in small], [f"{name}, image {index}" for index in indices]

    top_row, bottom_row = row(forward, "as seen live"), row(refined, "refined")
    sheet = contact_sheet([*top_row[0], *bottom_row[0]], [*top_row[1], *bottom_row[1]], COLUMNS)
    write_png(Path(__file__).resolve().parent.parent / "docs" / "images" / "backward.png", sheet)


if __name__ == "__main__":
    main()
