# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The chain from a sentence to prompts, with the toy detector on the demo scene."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from lang2segtrack_ros.detection.detector import Detection
from lang2segtrack_ros.detection.grounding_dino import GroundingDinoDetector
from lang2segtrack_ros.instructions.chain import answer_instruction
from lang2segtrack_ros.instructions.plan import InstructionError
from lang2segtrack_ros.instructions.scene import box_iou, make_scene
from lang2segtrack_ros.io.answer_picture import draw_answer
from lang2segtrack_ros.toyworld.scene import Scene, SceneFrame
from lang2segtrack_ros.types.instruction import InstructionPrompt
from lang2segtrack_ros.types.prompts import MaskPrompt, PromptError
from test.conftest import body_box

RED_CIRCLE, BLUE_STAR, YELLOW_SQUARE, PURPLE_CROSS = 1, 2, 3, 4


class NamedBoxes:
    """A detector that answers each phrase from a table."""

    name = "table"
    default_threshold = 0.5

    def __init__(self, detections: Sequence[Detection]) -> None:
        self.detections = detections
        self.calls: list[tuple[list[str], list[float]]] = []

    def check(self, phrases: Sequence[str]) -> list[str]:
        return []

    def detect(self, color: np.ndarray, phrases: Sequence[str], thresholds: Sequence[float]) -> list[Detection]:
        self.calls.append((list(phrases), list(thresholds)))
        return [item for item in self.detections if item.label in phrases and item.score >= thresholds[0]]


MUG, TOOL = Detection("mug", 0.9, (10.0, 10.0, 30.0, 30.0)), Detection("tool", 0.6, (50.0, 10.0, 70.0, 30.0))
IMAGE = np.zeros((60, 90, 3), np.uint8)


@pytest.mark.parametrize(
    ("text", "bodies"),
    [
        ("the circle left of the star", [RED_CIRCLE]),
        ("everything that is not a star", [RED_CIRCLE, YELLOW_SQUARE, PURPLE_CROSS]),
        ("the second object from the left", [YELLOW_SQUARE]),
        ("the nearest object", [BLUE_STAR]),
        ("every object except the red one", [BLUE_STAR, YELLOW_SQUARE, PURPLE_CROSS]),
        ("the circle and the blue object", [RED_CIRCLE, BLUE_STAR]),
        ("the square below the circle left of the star", [YELLOW_SQUARE]),  # two readings, which choose the same object
    ],
)
def test_toy_scene(detector: GroundingDinoDetector, scene: Scene, frames: list[SceneFrame], text: str, bodies: list[int]) -> None:
    """The prompts have the boxes of the objects that the sentence means."""
    shot = frames[0]
    answer = answer_instruction(detector, shot.color, InstructionPrompt(text), shot.depth_m, scene.camera)
    assert answer.is_complete, answer.lines()
    assert len(answer.prompts) == len(bodies)
    for body in bodies:
        assert max(box_iou(choice.item.box, body_box(shot, body)) for choice in answer.choices) > 0.7
    assert (draw_answer(shot.color, answer) != shot.color).any()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("the mug left of the star", 'the detector "toy" does not know: mug'),
        ("the object left of the star above the cross", "2 readings, and they choose different objects"),
        ("everything", "chooses 4 objects; the maximum is 3"),
        ("the circle he likes", 'cannot read "he"'),
    ],
)
def test_toy_scene_refuses(detector: GroundingDinoDetector, frames: list[SceneFrame], text: str, message: str) -> None:
    """A refusal names its reason, and nothing is chosen."""
    with pytest.raises(InstructionError) as raised:
        answer_instruction(detector, frames[0].color, InstructionPrompt(text), max_objects=3)
    assert message in str(raised.value)


def test_everything_needs_names() -> None:
    """A detector finds objects by name, so "everything" is refused until its names are given."""
    detector = NamedBoxes([MUG, TOOL])
    with pytest.raises(InstructionError, match='--everything "mug'):
        answer_instruction(detector, IMAGE, InstructionPrompt("everything that is not a tool"))
    prompt = InstructionPrompt("everything that is not a tool", threshold=0.3, everything="Mug. Tool.")
    answer = answer_instruction(detector, IMAGE, prompt)
    assert [(choice.label, choice.item.box) for choice in answer.choices] == [("mug", MUG.box)]
    assert detector.calls == [(["mug"], [0.3]), (["tool"], [0.3])], "each phrase alone, because an object may have two names"


def test_one_object_with_two_names() -> None:
    """ "object" and "mug" find the same box, which is one object."""
    mask = np.zeros((60, 90), bool)
    mask[12:29, 11:30] = True
    named = [MUG, Detection("object", 0.7, (11.0, 10.0, 30.0, 31.0), mask), Detection("object", 0.6, TOOL.box), TOOL]
    scene = make_scene(named, IMAGE)
    assert [dict(item.names) for item in scene.objects] == [{"mug": 0.9, "object": 0.7}, {"object": 0.6, "tool": 0.6}]
    answer = answer_instruction(NamedBoxes(named), IMAGE, InstructionPrompt("the object left of the tool", everything="object"))
    assert [(choice.item.number, choice.label) for choice in answer.choices] == [(1, "object")]


def test_mask_of_the_detector_becomes_a_mask_prompt() -> None:
    """Masks are better prompts than boxes."""
    mask = np.zeros((60, 90), bool)
    mask[12:29, 11:30] = True
    answer = answer_instruction(NamedBoxes([Detection("mug", 0.9, MUG.box, mask)]), IMAGE, InstructionPrompt("the mug"))
    assert isinstance(answer.prompts[0], MaskPrompt)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"text": ""}, "is empty"),
        ({"text": "  "}, "is empty"),
        ({"text": 3}, "the instruction is 3"),
        ({"text": "everything", "everything": ("mug",)}, "everything is"),
        ({"text": "cup " * 2500}, "has 10000 characters; the maximum is 1000"),
        ({"text": "the cup", "threshold": 2}, "between 0 and 1"),
    ],
)
def test_prompt_validates_itself(arguments: dict[str, object], message: str) -> None:
    """As all prompts do."""
    with pytest.raises(PromptError, match=message):
        InstructionPrompt(**arguments)  # type: ignore[arg-type]
