# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Answers from the truth of the toy world, in the formats of real models."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import numpy as np

from bench.chat_server import Seen
from lang2segtrack_ros.detection.instruction_resolver import InstructionRequest
from lang2segtrack_ros.toyworld.arrangements import Arrangement, Item
from lang2segtrack_ros.types.instruction import InstructionPrompt
from lang2segtrack_ros.types.results import Track, TrackStatus


def boxes_of(items: Sequence[Item], width: int, height: int, answer_format: str = "pixels") -> list[list[float]]:
    """Return the boxes of objects of an arrangement on a sent image, in a format.

    Args:
        items: the objects; the image of their boxes has 320 x 240 pixels.
        width: of the sent image.
        height: of the sent image.
        answer_format: of the coordinates.
    """
    unit = {"pixels": (width, height), "thousandths": (1000, 1000), "fractions": (1, 1)}[answer_format]
    scale = [unit[0] / 320, unit[1] / 240] * 2
    digits = 4 if answer_format == "fractions" else 0
    return [[round(edge * factor, digits) for edge, factor in zip(item.box, scale)] for item in items]


def true_answer(items: Sequence[Item], answer_format: str = "pixels", around: str = "{}") -> Callable[[Seen], str]:
    """Return a reply with the boxes of some objects.

    Args:
        items: the objects.
        answer_format: format of the coordinates.
        around: text around the JSON, which replaces "{}".
    """

    def reply(seen: Seen) -> str:
        boxes = boxes_of(items, *seen.size, answer_format)
        return around.replace("{}", json.dumps([{"bbox_2d": box, "label": item.shape} for item, box in zip(items, boxes)]))

    return reply


def track_of(arrangement: Arrangement, number: int, track_id: int) -> Track:
    """Return a track with the true mask of an object."""
    (item,) = [item for item in arrangement.items if item.number == number]
    mask = arrangement.shot.instances == number
    box = tuple(map(float, item.box))
    return Track(track_id, item.shape, TrackStatus.TRACKED, 0.9, box, mask, 0.9, 5.0, float("nan"), 0)  # type: ignore[arg-type]


def request_for(
    arrangement: Arrangement, text: str, tracks: Sequence[Track] = (), chosen: Sequence[int] = (), max_objects: int = 32, scale: int = 1
) -> InstructionRequest:
    """Return a request on the image of an arrangement.

    Args:
        arrangement: the arrangement.
        text: the instruction.
        tracks: visible tracks.
        chosen: ids of the chosen ones.
        max_objects: limit of the session.
        scale: factor by which the image is enlarged. The tracks must fit it.
    """
    color = np.repeat(np.repeat(arrangement.shot.color, scale, 0), scale, 1)
    return InstructionRequest(0, color, InstructionPrompt(text), tuple(tracks), frozenset(chosen), max_objects=max_objects)
