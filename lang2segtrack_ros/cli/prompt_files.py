# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Files of prompts in YAML, checked against a schema."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import yaml
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lang2segtrack_ros.instructions.grammar import read_instruction
from lang2segtrack_ros.io.mask_files import read_mask
from lang2segtrack_ros.io.picture import PictureError, read_picture
from lang2segtrack_ros.recordings.forward import Scheduled
from lang2segtrack_ros.types.instruction import InstructionPrompt
from lang2segtrack_ros.types.prompts import BoxPrompt, ExemplarPrompt, MaskPrompt, PointPrompt, Prompt, PromptError, TextPrompt

_KINDS = ("text", "instruct", "exemplar", "box", "points", "mask")
_EXAMPLES = {
    "text": 'write text: "red mug. cardboard box."',
    "instruct": "write instruct: the mug left of the laptop",
    "everything": 'write everything: "mug. tool. box.", or leave it out',
    "exemplar": "write exemplar: [420, 310, 560, 520], the box around the example",
    "image": "write image: mug.png, or leave it out",
    "box": "write box: [420, 310, 560, 520]",
    "points": "write points: [[100, 200], [140, 210, 0]]",
    "mask": "write mask: mask.png",
    "at": "write at: 30",
    "label": "write label: cup, or leave it out",
    "track": "write track: 1, or leave it out",
    "threshold": "write threshold: 0.3, or leave it out",
    "interval": "write interval: 10, or leave it out",
    "mode": "write mode: once, or mode: continuous",
}
_Box = Annotated[list[float], Field(min_length=4, max_length=4)]
_Point = Annotated[list[float], Field(min_length=2, max_length=3)]


class _Entry(BaseModel):
    """An entry of the file. YAML gives each value its type, so no value is converted."""

    model_config = ConfigDict(extra="forbid", strict=True)
    at: Annotated[int, Field(ge=0)] = 0
    label: str = ""
    track: Annotated[int, Field(gt=0)] | None = None
    text: str | None = None
    instruct: str | None = None
    everything: str = ""
    mode: Literal["once", "continuous"] = "continuous"
    threshold: float | None = None
    interval: int | None = None
    exemplar: _Box | None = None
    image: str | None = None
    box: _Box | None = None
    points: list[_Point] | None = None
    mask: str | None = None

    def prompt(self, folder: Path) -> Prompt | InstructionPrompt:
        """Return the prompt. Raises PromptError.

        Args:
            folder: folder of the names of masks and pictures.
        """
        if self.image is not None and self.exemplar is None:
            raise PromptError("image is the picture of an exemplar, but there is no exemplar: give its box as exemplar, or omit image")
        if self.text is not None:
            return TextPrompt(self.text, self.mode, self.threshold, self.interval)
        if self.instruct is not None:
            return InstructionPrompt(self.instruct, self.threshold, self.everything)
        if self.exemplar is not None:
            x1, y1, x2, y2 = self.exemplar
            image = _picture(folder / self.image) if self.image is not None else None
            return ExemplarPrompt((x1, y1, x2, y2), self.label, image, self.mode, self.threshold, self.interval)
        if self.box is not None:
            return BoxPrompt((self.box[0], self.box[1], self.box[2], self.box[3]), self.label, self.track)
        if self.mask is not None:
            return MaskPrompt(read_mask(folder / self.mask), self.label, self.track)
        points = self.points or []
        labels = [point[2] if len(point) > 2 else 1 for point in points]
        if set(labels) - {0, 1}:
            raise PromptError("the third number of a point is 1 (on the object) or 0 (not on the object)")
        return PointPrompt([(point[0], point[1]) for point in points], list(map(int, labels)), self.label, self.track)


def _picture(path: Path) -> NDArray[np.uint8]:
    try:
        return read_picture(path)
    except PictureError as error:
        raise PromptError(f"the picture {path}: {error}") from error


def _parse(values: dict[str, Any]) -> _Entry:
    """Return the entry of these values. Raises PromptError, with the path of the first wrong value."""
    kinds = [kind for kind in _KINDS if values.get(kind) is not None]
    if len(kinds) != 1:
        raise PromptError(f"an entry has exactly one of {', '.join(_KINDS)}; this one has {' and '.join(kinds) or 'none'}")
    try:
        return _Entry.model_validate(values)
    except ValidationError as error:
        raise PromptError(_sentence(error.errors(include_url=False)[0])) from error


def _sentence(error: Any) -> str:
    """Return the sentence for an error of pydantic."""
    field, *positions = error["loc"]
    if error["type"] == "extra_forbidden":
        return f'there is no key "{field}"; the keys are {", ".join(_Entry.model_fields)}'
    path = f"{field}{''.join(f'[{position}]' for position in positions)}"
    return f"{path} is {error['input']!r}: {error['msg'][0].lower()}{error['msg'][1:]}; {_EXAMPLES[field]}"


def read_prompts(path: Path, has_grammar: bool = True) -> list[Scheduled]:
    """Read the prompts of a YAML file.

    Args:
        path: the YAML file.
        has_grammar: True if the grammar must read the instructions.

    Raises:
        PromptError: an entry is not valid. The message names the entry and the wrong value.
        OSError: the file cannot be read.
    """
    try:
        entries = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise PromptError(f"{path} is not valid YAML: {error}") from error
    if not isinstance(entries, list) or not entries or not all(isinstance(entry, dict) for entry in entries):
        raise PromptError(f'{path} must hold a list of prompts, each such as "- {{at: 0, text: red mug}}"')
    prompts = []
    for number, values in enumerate(entries, 1):
        try:
            entry = _parse(values)
            if entry.instruct is not None and has_grammar:
                read_instruction(entry.instruct)
            prompts.append(Scheduled(entry.at, entry.prompt(path.parent)))
        except PromptError as error:
            raise PromptError(f"prompt {number} of {path}: {error}") from error
    return prompts
