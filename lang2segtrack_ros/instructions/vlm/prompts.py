# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The texts for a vision-language model: the first request, the check of tracked objects, and the request after an unusable answer."""

from __future__ import annotations

import json
from collections.abc import Sequence

from lang2segtrack_ros.instructions.vlm.model import shorten
from lang2segtrack_ros.types.results import Track

_UNITS = {
    "auto": "",
    "pixels": " in pixels of this image, which is {width} wide and {height} high",
    "thousandths": " in thousandths of the width and height of the image, 0 to 1000",
    "fractions": " as fractions of the width and height of the image, 0 to 1",
}
_ITEM = '{"bbox_2d": [x1, y1, x2, y2], "label": "name of the object", "reason": "why it fits, in a few words"}'


def first_text(instruction: str, answer_format: str, size: tuple[int, int]) -> str:
    """Return the text that asks for the boxes of an instruction.

    Args:
        instruction: the sentence of the user.
        answer_format: format of the coordinates. "auto" leaves it to the model.
        size: width and height of the image in pixels.
    """
    return (
        f"Find the objects in the image that this instruction means: {json.dumps(instruction, ensure_ascii=False)}\n"
        f"Answer with a JSON list only, with one item for each object: {_ITEM}\n{_corners(answer_format, size)}"
        "Objects that the instruction names only to describe others do not belong to the answer. "
        "If no object in the image fits, answer []."
    )


def check_text(instruction: str, tracks: Sequence[Track], answer_format: str, size: tuple[int, int]) -> str:
    """Return the text that asks which drawn tracks fit an instruction.

    Args:
        instruction: the sentence of the user.
        tracks: the drawn tracks. Their ids are the numbers.
        answer_format: format of the coordinates. "auto" leaves it to the model.
        size: width and height of the image in pixels.
    """
    names = ", ".join(f"{track.id}: {json.dumps(shorten(track.label, 40), ensure_ascii=False)}" for track in tracks)
    return (
        f"The image shows tracked objects, each with an outline and a number: {names}. "
        f"Find the objects that this instruction means in this image: {json.dumps(instruction, ensure_ascii=False)}\n"
        f'Answer with a JSON object only: {{"numbers": [numbers of the outlined objects that fit], "others": [{_ITEM}]}}\n'
        f"others lists fitting objects without an outline. {_corners(answer_format, size)}"
        'If no object fits, answer {"numbers": [], "others": []}.'
    )


def again_text(text: str, answer: str, problem: str) -> str:
    """Return the text after an answer that cannot be used.

    Args:
        text: the text before.
        answer: the answer to it.
        problem: what is wrong with the answer.
    """
    return f'{text}\n\nYour last answer was "{shorten(answer, 400)}". It cannot be used: {problem}. Answer again, with JSON only.'


def _corners(answer_format: str, size: tuple[int, int]) -> str:
    units = _UNITS[answer_format].format(width=size[0], height=size[1])
    return f"x1, y1 is the top left corner of the box and x2, y2 the bottom right corner{units}. "
