# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Options of several commands that choose the networks."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lang2segtrack_ros.recordings.offline import Scheduled
    from lang2segtrack_ros.session.session import Session

POLICIES = ("samurai", "sam2", "distractor", "depth")
"""Those of `tracking.policies`, which is not imported before it is needed: it brings torch."""


def add_engine_options(parser: argparse.ArgumentParser) -> None:
    """Options that choose the networks."""
    known = "toy, a name of `weights list`, a folder or hub id"
    parser.add_argument("--segmenter", "--model", default="sam2.1-tiny", help=f"SAM 2 weights: {known} (%(default)s)")
    parser.add_argument("--detector", default="grounding-dino-tiny", help="weights of the detector for text, likewise (%(default)s)")
    parser.add_argument("--image-size", type=int, metavar="N", help="side of the segmenter's square input; smaller is faster")
    parser.add_argument(
        "--policy",
        default="samurai",
        metavar="POLICY",
        help=f"memory policy: {', '.join(POLICIES)}, or a plug-in module:Class; depth needs depth images (%(default)s)",
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, ... (%(default)s)")


def make_session(options: argparse.Namespace, prompts: Iterable[Scheduled], words_may_come: bool = False, **more: Any) -> Session:
    """The session these options describe, with a detector where a prompt needs one, or may come to. Raises WeightsError."""
    from lang2segtrack_ros.models.loading import load_detector, load_segmenter
    from lang2segtrack_ros.session.session import Session
    from lang2segtrack_ros.types.prompts import TextPrompt

    segmenter = load_segmenter(options.segmenter, options.device, options.image_size)
    with_detector = words_may_come or any(isinstance(item.prompt, TextPrompt) for item in prompts)
    detector = load_detector(options.detector, options.device) if with_detector else None
    return Session(segmenter, detector, options.policy, **more)
