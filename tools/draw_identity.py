# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Writes docs/images/identity.png: the ids and states of objects that are hidden, leave the image or cross, tracked live."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lang2segtrack_ros.evaluation.scores import FRAME_NS
from lang2segtrack_ros.io.rendering import contact_sheet, draw_overlay
from lang2segtrack_ros.io.writers import write_png
from lang2segtrack_ros.models.loading import load_detector, load_segmenter
from lang2segtrack_ros.session.session import Session
from lang2segtrack_ros.toyworld.suites import make_clip
from lang2segtrack_ros.types.frame import Frame
from lang2segtrack_ros.types.prompts import TextPrompt

CLIPS = {"occlusion": (5, 20, 42, 55), "exit_return": (10, 30, 54, 80), "crossing": (10, 26, 35, 55)}
"""Suite -> frames that the picture shows."""
SEED = 1
GRAY_LEVEL_STEP = 8


def main() -> None:
    """Draw the figure."""
    segmenter, detector = load_segmenter("toy", device="cpu"), load_detector("toy", device="cpu")
    images, captions = [], []
    for suite, shown in CLIPS.items():
        clip = make_clip(suite, SEED, width=320, height=240)
        session = Session(segmenter, detector)
        labels = dict.fromkeys(body.label for body in clip.scene.render(0).bodies.values())
        session.prompt(TextPrompt("".join(f"{label}. " for label in labels)))
        for index in range(clip.length):
            color = clip.scene.render(index).color
            tracks = session.step(Frame(color, index * FRAME_NS)).tracks
            if index in shown:
                images.append((draw_overlay(color, tracks) // GRAY_LEVEL_STEP * GRAY_LEVEL_STEP).astype(np.uint8))
                captions.append(f"{suite}, image {index}")
    sheet = contact_sheet(images, captions, len(CLIPS["crossing"]))
    write_png(Path(__file__).resolve().parent.parent / "docs" / "images" / "identity.png", sheet)


if __name__ == "__main__":
    main()
