# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""A resolver of instructions that asks a vision-language model."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from lang2segtrack_ros.detection.detector import Detection, Detector
from lang2segtrack_ros.detection.instruction_resolver import InstructionRequest, InstructionResult
from lang2segtrack_ros.instructions.scene import box_iou
from lang2segtrack_ros.instructions.vlm import prompts, snapping
from lang2segtrack_ros.instructions.vlm.adapters.items import AnswerError
from lang2segtrack_ros.instructions.vlm.answers import FoundPlace, ModelAnswer, parse_answer
from lang2segtrack_ros.instructions.vlm.coordinates import AmbiguousFormatError
from lang2segtrack_ros.instructions.vlm.model import VisionLanguageModel, VlmClosedError, shorten
from lang2segtrack_ros.instructions.vlm.pictures import scaled_down, with_numbers
from lang2segtrack_ros.types.instruction import InstructionPrompt
from lang2segtrack_ros.types.prompts import PromptError
from lang2segtrack_ros.types.results import Track

REPEATED_IOU = 0.9
"""IoU above which two boxes of one answer are the same object, named twice."""


@dataclass
class _Chosen:
    """The objects of an answer, each once.

    Attributes:
        detections: the objects.
        reasons: a sentence for each.
        missing: a sentence for each place without an object.
        repeated: number of objects that the answer named more than once.
    """

    detections: list[Detection] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    repeated: int = 0

    def add(self, found: Detection | snapping.NoObject, reason: str) -> None:
        """Add an object, unless it is there already."""
        if isinstance(found, snapping.NoObject):
            self.missing.append(found.reason)
        elif any(box_iou(item.box, found.box) >= REPEATED_IOU for item in self.detections):
            self.repeated += 1
        else:
            self.detections.append(found)
            self.reasons.append(reason)


class VlmResolver:
    """A resolver that asks a vision-language model; see `InstructionResolver`.

    The first request asks for boxes. A check again shows the visible tracks with outlines and numbers, and asks for numbers and for boxes
    of further objects. A model that only grounds phrases is asked for boxes in both cases.

    Args:
        model: the model.
        max_edge: longer edge of the images for the model, in pixels.
        detector: detector that gives the boxes of points. None refuses points that lie on no track.

    Attributes:
        name: name of the resolver for messages.
    """

    def __init__(self, model: VisionLanguageModel, max_edge: int = 1024, detector: Detector | None = None) -> None:
        self.name = model.name
        self._model = model
        self._max_edge = max_edge
        self._detector = detector
        self._closed = False
        self._instructions = self._asked_again = self._refused_answers = self._not_found = 0

    def check(self, prompt: InstructionPrompt) -> list[str]:
        """Return sentences on settings of the instruction that the model does not use.

        Args:
            prompt: the instruction.

        Raises:
            PromptError: the resolver is closed.
        """
        if self._closed:
            raise PromptError(f"{self.name} is closed: give the instruction after the next start")
        return [f"{self.name} reads the instruction itself and ignores everything"] if prompt.everything else []

    def resolve(self, request: InstructionRequest) -> InstructionResult:
        """Return the answer of the model; see `InstructionResolver.resolve`.

        Args:
            request: the request.

        Raises:
            PromptError: the answer cannot be used, also after a second request, or it chooses more than `max_objects` objects.
            VlmError: the model gives no answer.
            DetectorError: the result of the detector for a point is not valid.
        """
        if self._closed:
            raise VlmClosedError(f"{self.name} is closed")
        self._instructions += 1
        began = time.perf_counter()
        visible = [track for track in request.tracks if track.box is not None]
        drawn = visible if request.chosen and not self._model.grounds_phrases else []
        image = scaled_down(request.color, self._max_edge)
        height, width = request.color.shape[:2]
        size = image.shape[1], image.shape[0]
        if drawn:
            image = with_numbers(image, drawn, (width, height))
        text = self._text(request.prompt, drawn, size)
        answer, said = self._ask(image, text, [track.id for track in drawn])
        chosen = self._choose(request, answer, visible, (width / size[0], height / size[1]))
        if len(chosen.detections) > request.max_objects:
            raise PromptError(
                f"{self.name} chooses {len(chosen.detections)} objects; the maximum is {request.max_objects}: name fewer objects"
            )
        if not chosen.detections and not chosen.missing:
            chosen.missing.append(f"{self.name} finds no such object")
        self._not_found += not chosen.detections
        seconds = time.perf_counter() - began
        notes = [f"{self.name} answered in {seconds:.1f} s to an image of {size[0]} x {size[1]} pixels"]
        if chosen.repeated:
            notes.append(f"{chosen.repeated} objects were named more than once")
        others = visible if request.chosen else []
        return InstructionResult(
            request,
            tuple(chosen.detections),
            tuple(dict.fromkeys([*(item.box for item in chosen.detections), *(track.box for track in others if track.box is not None)])),
            (f'asked {self.name}: "{request.prompt.text}"', f"answer: {shorten(said)}"),
            tuple(chosen.reasons),
            tuple(chosen.missing),
            tuple(notes),
        )

    def close(self) -> None:
        """End a running request within a second, and refuse further ones."""
        self._closed = True
        self._model.close()

    def metrics(self) -> dict[str, object]:
        """Return the counters of the resolver and of its model."""
        return {
            "vlm_instructions": self._instructions,
            "vlm_asked_again": self._asked_again,
            "vlm_answers_refused": self._refused_answers,
            "vlm_nothing_found": self._not_found,
            **self._model.metrics(),
        }

    def _text(self, prompt: InstructionPrompt, drawn: Sequence[Track], size: tuple[int, int]) -> str:
        if self._model.grounds_phrases:
            return prompt.text.strip().rstrip(".")
        if drawn:
            return prompts.check_text(prompt.text, drawn, self._model.answer_format, size)
        return prompts.first_text(prompt.text, self._model.answer_format, size)

    def _ask(self, image: NDArray[np.uint8], text: str, numbers: Sequence[int]) -> tuple[ModelAnswer, str]:
        """Return the checked answer and its text. An answer that cannot be used is asked for again once. Raise PromptError after that."""
        size = image.shape[1], image.shape[0]
        said = self._model.generate(image, text)
        try:
            return parse_answer(said, self._model.answer_format, size, numbers), said
        except AnswerError as error:
            problem = error
        if not self._model.grounds_phrases and not isinstance(problem, AmbiguousFormatError):  # others would say the same again
            self._asked_again += 1
            said = self._model.generate(image, prompts.again_text(text, said, str(problem)))
            try:
                return parse_answer(said, self._model.answer_format, size, numbers), said
            except AnswerError as error:
                problem = error
        self._refused_answers += 1
        raise PromptError(f'{self.name} gave an answer that cannot be used: {problem}. It said: "{shorten(said)}"') from problem

    def _choose(self, request: InstructionRequest, answer: ModelAnswer, visible: Sequence[Track], scale: tuple[float, float]) -> _Chosen:
        """Return the objects of an answer, on the image of the request."""
        chosen, by_id = _Chosen(), {track.id: track for track in visible}
        for number in answer.numbers:
            chosen.add(snapping.of_track(by_id[number]), f"{self.name} chose the track {number}")
        for item in answer.objects:
            place = tuple(value * scale[index % 2] for index, value in enumerate(item.place))
            chosen.add(self._object(request, item, place, visible), item.reason or f"{self.name} named it{_quoted(item.label)}")
        return chosen

    def _object(
        self, request: InstructionRequest, item: FoundPlace, place: tuple[float, ...], visible: Sequence[Track]
    ) -> Detection | snapping.NoObject:
        if len(place) == 4:
            return snapping.at_box((place[0], place[1], place[2], place[3]), item.label, visible)
        point = place[0], place[1]
        return snapping.at_point(point, item.label, visible, self._detector, request.color, request.prompt.threshold)


def _quoted(label: str) -> str:
    return f' "{label}"' if label else ""
