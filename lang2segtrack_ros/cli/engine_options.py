# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Options that several commands share, mainly those that select the networks."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from lang2segtrack_ros.cli.vlm_options import IDENTITY, load_vlm_resolver, parse_vlm_options
from lang2segtrack_ros.models.catalogue import ACCELERATIONS
from lang2segtrack_ros.tracking.policies.registry import POLICY_NAMES

if TYPE_CHECKING:
    from lang2segtrack_ros.recordings.forward import Scheduled
    from lang2segtrack_ros.session.session import Session

DEFAULT_DETECTOR = "grounding-dino-tiny"
MATCHERS = ("auto", "features", "detector")
"""Values of the option `exemplar` of a session."""
_IDENTITY = ("segmenter", "detector", "image_size", "policy", "device", "acceleration", "detect_every_backward", "exemplar_by")
PLUGIN = "a plug-in (module:attribute, or the name of an installed entry point)"
NETWORK_NAMES = f"toy, a name of `lang2segtrack models`, a folder, a hub id, family:checkpoint, or {PLUGIN}"


def parse_size(text: str) -> tuple[int, int]:
    """Return width and height in pixels of a text such as "640x480"."""
    match = re.fullmatch(r"(\d+)x(\d+)", text)
    if not match:
        raise argparse.ArgumentTypeError(f'"{text}" is not a size; write it as 640x480')
    return int(match[1]), int(match[2])


def add_license_option(parser: argparse.ArgumentParser) -> None:
    """Add the option that accepts restricted licenses.

    Args:
        parser: parser of a command that loads networks.
    """
    parser.add_argument(
        "--accept-license",
        default="",
        metavar="NAME",
        help="accept restricted licenses, such as sam3, with commas between several; `lang2segtrack models` lists them",
    )


def add_engine_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that select the networks.

    Args:
        parser: parser of a command.
    """
    parser.add_argument("--segmenter", "--model", default="sam2.1-tiny", help=f"segmenter: {NETWORK_NAMES} (default: %(default)s)")
    parser.add_argument("--detector", default=DEFAULT_DETECTOR, help=f"detector for text prompts: {NETWORK_NAMES} (default: %(default)s)")
    parser.add_argument("--image-size", type=int, metavar="N", help="side of the segmenter's square input in pixels; smaller is faster")
    parser.add_argument(
        "--policy",
        default="samurai",
        metavar="POLICY",
        help=f"memory policy: {', '.join(POLICY_NAMES)}, or {PLUGIN}; depth needs depth images (default: %(default)s)",
    )
    add_matcher_option(parser)
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, ... (default: %(default)s)")
    parser.add_argument("--acceleration", default="auto", help=f"of the networks: {', '.join(ACCELERATIONS)} (default: %(default)s)")
    add_license_option(parser)


def add_matcher_option(parser: argparse.ArgumentParser) -> None:
    """Add the option that selects the matcher of exemplars."""
    parser.add_argument(
        "--exemplar-by",
        choices=MATCHERS,
        default="auto",
        help="what finds the objects of --exemplar: detector, features (of the segmenter), or auto, which is the detector if it takes "
        "exemplars and otherwise features (default: %(default)s)",
    )


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of a run over a recording."""
    parser.add_argument(
        "--detect-every-backward",
        type=whole_number(0),
        default=5,
        metavar="N",
        help="images from one detection to the next in the backward pass, for objects named by text; 0 runs no detector there "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--checkpoint-every",
        type=float,
        default=30.0,
        metavar="SECONDS",
        help="interval of checkpoints; a killed run loses at most this much work (default: %(default)g)",
    )


def engine_identity(options: argparse.Namespace) -> str:
    """Return a text of the options that change the results."""
    return repr([getattr(options, name) for name in (*_IDENTITY, *IDENTITY)])


def may_match(options: argparse.Namespace) -> bool:
    """Return True if the detector may have to match exemplars. The default detector takes no exemplars, so it is not loaded for them."""
    kind: str = options.exemplar_by
    return kind == "detector" or (kind == "auto" and has_own_detector(options))


def has_own_detector(options: argparse.Namespace) -> bool:
    """Return True if the user has chosen a detector. The default one is not loaded for what it may not be needed for."""
    return bool(options.detector != DEFAULT_DETECTOR)


def whole_number(least: int) -> Callable[[str], int]:
    """Return a parser of a number of images, `least` or more."""

    def parse(text: str) -> int:
        if not (text.isascii() and text.isdecimal() and int(text) >= least):
            raise argparse.ArgumentTypeError(f'"{text}" is not a number of images: give a whole number from {least} on')
        return int(text)

    return parse


def make_session(options: argparse.Namespace, prompts: Iterable[Scheduled], interactive: bool = False, **session_options: Any) -> Session:
    """Return the session that the options describe. It has a detector only if a prompt needs one.

    Args:
        options: parsed options of `add_engine_options` and `add_run_options`.
        prompts: prompts of the command line.
        interactive: True if the user may add text prompts later.
        **session_options: further arguments of `Session`.

    Raises:
        WeightsError: a network or policy cannot be loaded.
        PromptError: an option of the vision-language model is not allowed.
    """
    from lang2segtrack_ros.models.loading import find_folders, load_detector, load_segmenter
    from lang2segtrack_ros.session.options import SessionOptions
    from lang2segtrack_ros.session.session import Session
    from lang2segtrack_ros.tracking.policies.registry import make_policy
    from lang2segtrack_ros.types.instruction import InstructionPrompt
    from lang2segtrack_ros.types.prompts import ExemplarPrompt, TextPrompt

    kinds = {type(item.prompt) for item in prompts}
    vlm = parse_vlm_options(options) if InstructionPrompt in kinds else None
    instructed = InstructionPrompt in kinds and (vlm is None or has_own_detector(options))
    needs_detector = interactive or TextPrompt in kinds or instructed or (ExemplarPrompt in kinds and may_match(options))
    policy = make_policy(options.policy)
    find_folders(options.segmenter, options.detector if needs_detector else None, options.accept_license)
    engine_options = SessionOptions(detect_every_backward=options.detect_every_backward, exemplar=options.exemplar_by)
    licenses = options.accept_license
    segmenter = load_segmenter(
        options.segmenter, options.device, options.image_size, acceleration=options.acceleration, accept_license=licenses
    )
    detector = None
    if needs_detector:
        detector = load_detector(options.detector, options.device, acceleration=options.acceleration, accept_license=licenses)
    resolver = load_vlm_resolver(vlm, options.device, detector) if vlm is not None else None
    return Session(segmenter, detector, policy, options=engine_options, resolver=resolver, **session_options)
