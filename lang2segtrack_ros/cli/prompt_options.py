# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Options that define the prompts, shared by several commands."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from lang2segtrack_ros.cli.vlm_options import add_vlm_options, parse_vlm_options

if TYPE_CHECKING:
    from lang2segtrack_ros.recordings.forward import Scheduled
    from lang2segtrack_ros.types.instruction import InstructionPrompt
    from lang2segtrack_ros.types.prompts import ExemplarPrompt, Prompt

FILE_FORMAT = """a file with prompts:
  - {at: 0, text: "red car. bus."}
  - {at: 0, instruct: the mug left of the laptop}                   # docs/instructions.md has the grammar
  - {at: 30, box: [420, 310, 560, 520], label: cup}
  - {at: 30, points: [[100, 200], [140, 210, 0]], label: hand}      # 0: not on the hand
  - {at: 45, mask: mask.png, label: plate}                          # relative to this file; the object is white
  - {at: 90, points: [[430, 330, 0]], track: 1}                     # corrects track 1
  - {at: 0, exemplar: [10, 20, 60, 70], label: mug, image: mug.png}  # all objects like it; without an image: on image at
"""


def add_prompt_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that define the prompts; `parse_prompts` parses them.

    Args:
        parser: parser of a command.
    """
    parser.add_argument("--text", action="append", default=[], metavar="T", help='track objects by name: "red mug. cardboard box."')
    add_instruction_options(parser)
    parser.add_argument(
        "--exemplar",
        action="append",
        default=[],
        metavar="[PICTURE:]X1,Y1,X2,Y2=LABEL",
        help="track all objects that look like the one in a box on a picture; without a picture, on the image of --at",
    )
    parser.add_argument(
        "--threshold",
        type=float,
        help="minimum score of a detection, 0 to 1 (default: that of the network)",
    )
    parser.add_argument("--box", action="append", default=[], metavar="X1,Y1,X2,Y2[=LABEL]", help="track an object by its box in pixels")
    parser.add_argument("--point", action="append", default=[], metavar="X,Y[=LABEL]", help="track an object by one pixel on it")
    parser.add_argument("--mask", action="append", default=[], metavar="PNG[=LABEL]", help="track an object by its mask, white on black")
    parser.add_argument(
        "--at", type=int, default=0, metavar="FRAME", help="number of the image for these prompts, from 0 (default: %(default)s)"
    )
    parser.add_argument(
        "--prompts", type=Path, metavar="YAML", help="file with prompts for any image; its format stands at the end of this help"
    )
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = f"{parser.epilog or ''}\n{FILE_FORMAT}".lstrip()


def add_instruction_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of instructions; `parse_instructions` parses them.

    Args:
        parser: parser of a command.
    """
    parser.add_argument(
        "--instruct",
        action="append",
        default=[],
        metavar="SENTENCE",
        help="choose objects by a sentence, such as 'the mug left of the laptop', once, on the first image that answers it; "
        "docs/instructions.md has the grammar",
    )
    parser.add_argument(
        "--everything",
        default="",
        metavar="T",
        help='names of all objects that "everything" and "objects" in --instruct stand for: "mug. tool. box."',
    )
    add_vlm_options(parser)


def parse_instructions(options: argparse.Namespace) -> list[InstructionPrompt]:
    """Return the instructions of the command line. Raise PromptError if the grammar does not read one, and no other model is given."""
    from lang2segtrack_ros.instructions.grammar import read_instruction
    from lang2segtrack_ros.types.instruction import InstructionPrompt

    prompts = [InstructionPrompt(text, options.threshold, options.everything) for text in options.instruct]
    if parse_vlm_options(options) is None:
        for prompt in prompts:
            read_instruction(prompt.text)  # before networks are loaded
    return prompts


def parse_prompts(options: argparse.Namespace, allow_empty: bool = False) -> list[Scheduled]:
    """Return all prompts of the command line and of the file.

    Args:
        options: parsed options of `add_prompt_options`.
        allow_empty: True if no prompt is needed.

    Raises:
        OfflineError: there is no prompt.
        PromptError: a prompt is not valid.
        OSError: a file cannot be read.
    """
    from lang2segtrack_ros.cli.prompt_files import read_prompts
    from lang2segtrack_ros.io.mask_files import read_mask
    from lang2segtrack_ros.recordings.forward import Scheduled
    from lang2segtrack_ros.recordings.runs import OfflineError
    from lang2segtrack_ros.types.prompts import BoxPrompt, MaskPrompt, PointPrompt, PromptError, TextPrompt

    if options.at < 0:
        raise PromptError(f"--at is {options.at}; it must be at least 0")
    prompts: list[Prompt | InstructionPrompt] = [TextPrompt(text, threshold=options.threshold) for text in options.text]
    prompts += parse_instructions(options)
    prompts += [parse_exemplar(value, "continuous", options.threshold) for value in options.exemplar]
    for value in options.box:
        numbers, label = _numbers(value, 4, "--box")
        prompts.append(BoxPrompt((numbers[0], numbers[1], numbers[2], numbers[3]), label))
    for value in options.point:
        numbers, label = _numbers(value, 2, "--point")
        prompts.append(PointPrompt([(numbers[0], numbers[1])], label=label))
    for value in options.mask:
        name, _, label = value.partition("=")
        prompts.append(MaskPrompt(read_mask(Path(name)), label))
    scheduled = [Scheduled(options.at, prompt) for prompt in prompts]
    has_grammar = parse_vlm_options(options) is None
    scheduled += read_prompts(options.prompts, has_grammar) if options.prompts else []
    if not scheduled and not allow_empty:
        raise OfflineError("there is no prompt: give --text, --instruct, --exemplar, --box, --point, --mask or --prompts")
    return scheduled


def parse_exemplar(value: str, mode: Literal["once", "continuous"], threshold: float | None) -> ExemplarPrompt:
    """Return the exemplar prompt of an option such as "mug.png:10,20,60,70=mug".

    Args:
        value: picture, box and label. Without a picture, the box is on the image of the prompt.
        mode: mode of the prompt.
        threshold: minimum similarity. None for that of the matcher.

    Raises:
        PromptError: the text has another form, the picture cannot be read, or the box or the label is not valid.
    """
    from lang2segtrack_ros.io.picture import PictureError, read_picture
    from lang2segtrack_ros.types.prompts import ExemplarPrompt, PromptError

    place, _, label = value.rpartition("=")
    picture, _, box = place.rpartition(":")
    if not place or not label:
        raise PromptError(f'--exemplar is "{value}": write picture, box and label, such as mug.png:10,20,60,70=mug')
    numbers, _ = _numbers(box, 4, "--exemplar")
    try:
        image = read_picture(Path(picture)) if picture else None
    except PictureError as error:
        raise PromptError(f"the picture {picture} of --exemplar: {error}") from error
    return ExemplarPrompt((numbers[0], numbers[1], numbers[2], numbers[3]), label, image, mode, threshold)


def _numbers(value: str, count: int, option: str) -> tuple[list[float], str]:
    from lang2segtrack_ros.types.prompts import PromptError

    text, _, label = value.partition("=")
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != count:
        raise PromptError(f'{option} takes {count} numbers separated by commas, such as {"10,20,50,60"[: 3 * count - 1]}, not "{text}"')
    return numbers, label
