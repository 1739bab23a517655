# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The chain from an instruction and an image to chosen objects: plan, phrases for the detector, detections, choices, prompts.

answer = answer_instruction(load_detector("toy"), color, InstructionPrompt("the circle left of the star"))
for prompt in answer.prompts:
session.prompt(prompt)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from lang2segtrack_ros.detection.detector import Detection, Detector, detect, suppress_duplicates, unknown_words
from lang2segtrack_ros.instructions.answer import Answer
from lang2segtrack_ros.instructions.grammar import read_instruction
from lang2segtrack_ros.instructions.plan import GENERIC, InstructionError, Plan
from lang2segtrack_ros.instructions.resolve import resolve
from lang2segtrack_ros.instructions.scene import Scene, make_scene
from lang2segtrack_ros.types.frame import CameraModel
from lang2segtrack_ros.types.instruction import InstructionPrompt

EVERYTHING = {"toy": ("object",)}
"""Name of a detector -> phrases that name every object it can find. The toy detector was trained on the word "object"."""
_SHOWN_READINGS = 3


def read(detector: Detector, prompt: InstructionPrompt) -> tuple[Plan, ...]:
    """Return the readings of an instruction, and check that the detector can search for all its objects.

    Args:
        detector: the detector.
        prompt: the instruction.

    Raises:
        InstructionError: the grammar does not read the sentence, the detector does not know a word, or "everything" has no phrases.
        PromptError: the detector cannot process the phrases.
    """
    plans = read_instruction(prompt.text)
    unknown = unknown_words(detector, phrases_of(detector.name, prompt, plans))
    if unknown:
        raise InstructionError(f'the detector "{detector.name}" does not know: {", ".join(unknown)}; use words that it knows')
    return plans


def phrases_of(detector_name: str, prompt: InstructionPrompt, plans: Sequence[Plan]) -> list[str]:
    """Return all phrases that the detector searches for. Raise InstructionError if "everything" has no phrases.

    Args:
        detector_name: name of the detector.
        prompt: the instruction.
        plans: its readings.
    """
    nouns = dict.fromkeys(noun for plan in plans for noun in plan.nouns)
    if GENERIC not in nouns:
        return list(nouns)
    everything = prompt.names or EVERYTHING.get(detector_name, ())
    if not everything:
        raise InstructionError(
            f'the detector "{detector_name}" finds objects by name, and the instruction speaks of objects of any kind: '
            'list their names as everything, such as --everything "mug. tool. box."'
        )
    return list(dict.fromkeys([*everything, *(noun for noun in nouns if noun != GENERIC)]))


def answer_instruction(
    detector: Detector,
    color: NDArray[np.uint8],
    prompt: InstructionPrompt,
    depth: NDArray[np.float32] | None = None,
    camera: CameraModel | None = None,
    max_objects: int | None = None,
) -> Answer:
    """Return the objects on an image that an instruction means.

    Args:
        detector: the detector.
        color: RGB uint8 [H, W, 3].
        prompt: the instruction.
        depth: float32 [H, W] in meters, aligned to the image. None without depth.
        camera: camera model of the image. None without calibration.
        max_objects: maximum number of chosen objects. None for no limit.

    Raises:
        InstructionError: see `read`; or the readings choose different objects, or more than `max_objects` are chosen.
        DetectorError: the result of the detector is not valid.
    """
    plans = read(detector, prompt)
    scene = make_scene(search(detector, color, phrases_of(detector.name, prompt, plans), prompt.threshold), color, depth, camera)
    return answer_in_scene(plans, scene, max_objects)


def answer_in_scene(plans: Sequence[Plan], scene: Scene, max_objects: int | None = None) -> Answer:
    """Return the objects of a scene that the readings of an instruction mean.

    Args:
        plans: the readings.
        scene: the detected objects.
        max_objects: maximum number of chosen objects. None for no limit.

    Raises:
        InstructionError: the readings choose different objects, or more than `max_objects` are chosen.
    """
    answer = _agreed([resolve(plan, scene) for plan in plans])
    if max_objects is not None and len(answer.choices) > max_objects:
        raise InstructionError(f"the instruction chooses {len(answer.choices)} objects; the maximum is {max_objects}: name fewer objects")
    return answer


def search(detector: Detector, color: NDArray[np.uint8], phrases: Sequence[str], threshold: float | None) -> list[Detection]:
    """Return the detections of each phrase on an image. An object may have several names, so each phrase is searched for alone.

    Args:
        detector: the detector.
        color: RGB uint8 [H, W, 3].
        phrases: the phrases.
        threshold: minimum score, 0..1. None uses the default of the detector.
    """
    min_score = detector.default_threshold if threshold is None else threshold
    return [item for phrase in phrases for item in suppress_duplicates(detect(detector, color, [phrase], [min_score]))]


def _agreed(answers: Sequence[Answer]) -> Answer:
    """Return the first answer if all choose the same objects. Raise InstructionError otherwise."""
    first = answers[0]
    if len(answers) == 1:
        return first
    if all(_meaning(answer) == _meaning(first) for answer in answers):
        return replace(first, notes=(*first.notes, f"the sentence has {len(answers)} readings, and all choose the same objects"))
    texts = ["; ".join(str(target) for target in answer.plan.targets) for answer in answers[:_SHOWN_READINGS]]
    more = f" and {len(answers) - _SHOWN_READINGS} more" if len(answers) > _SHOWN_READINGS else ""
    raise InstructionError(
        f"the sentence has {len(answers)} readings, and they choose different objects: {' | '.join(texts)}{more}. "
        'Write "that is" before a relation of the target, parentheses around a reference with its relations, or a comma before a new target'
    )


def _meaning(answer: Answer) -> tuple[frozenset[tuple[int, str]], bool]:
    """Return what two answers must agree on: the chosen objects with their labels, and whether the answer is complete."""
    return frozenset((choice.item.number, choice.label) for choice in answer.choices), answer.is_complete
