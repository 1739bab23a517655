# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The resolver that reads instructions by the grammar, and chooses among detections and tracks by geometry."""

from __future__ import annotations

import threading
from dataclasses import replace

from lang2segtrack_ros.detection.detector import Detection, Detector
from lang2segtrack_ros.detection.instruction_resolver import SAME_OBJECT_IOU, InstructionRequest, InstructionResult
from lang2segtrack_ros.instructions.chain import answer_in_scene, phrases_of, read, search
from lang2segtrack_ros.instructions.scene import box_iou, make_scene
from lang2segtrack_ros.runtime.streams import own_stream
from lang2segtrack_ros.types.instruction import InstructionPrompt
from lang2segtrack_ros.types.prompts import PromptError
from lang2segtrack_ros.types.results import Track


class GrammarResolver:
    """The resolver that needs a detector, and no further network.

    Args:
        detector: the detector.

    Attributes:
        name: "grammar".
    """

    name = "grammar"

    def __init__(self, detector: Detector) -> None:
        self._detector = detector
        self._closed = threading.Event()

    def check(self, prompt: InstructionPrompt) -> list[str]:
        """Return no sentence, or refuse an instruction that the grammar or the detector cannot read.

        Args:
            prompt: the instruction.

        Raises:
            InstructionError: see `chain.read`.
            PromptError: the detector cannot process the phrases.
        """
        read(self._detector, prompt)
        return []

    def resolve(self, request: InstructionRequest) -> InstructionResult:
        """Return the objects that the grammar chooses; see `InstructionResolver.resolve`.

        A track that the detector has missed counts as detected under its label. Tracks that are chosen already come before other objects
        if any of several will do.

        Args:
            request: the request.

        Raises:
            InstructionError: the readings of the sentence choose different objects, or too many are chosen.
            PromptError: the resolver is closed, or the detector cannot process the phrases.
            DetectorError: the result of the detector is not valid.
        """
        prompt = request.prompt
        plans = read(self._detector, prompt)
        phrases = phrases_of(self._detector.name, prompt, plans)
        found: list[Detection] = []
        with own_stream(getattr(self._detector, "device", None)):
            for phrase in phrases:
                if self._closed.is_set():
                    raise PromptError("the session was closed before the instruction was answered")
                found += search(self._detector, request.color, [phrase], prompt.threshold)
        found = [_preferred(item, request) for item in found] + _missed(found, request.tracks, phrases)
        scene = make_scene(found, request.color, request.depth, request.camera)
        answer = answer_in_scene(plans, scene, request.max_objects)
        return InstructionResult(
            request,
            tuple(Detection(choice.label, choice.item.score, choice.item.box, choice.item.mask) for choice in answer.choices),
            tuple(item.box for item in scene.objects),
            tuple(answer.plan.lines()),
            tuple(choice.reason for choice in answer.choices),
            answer.missing,
            answer.notes,
        )

    def close(self) -> None:
        """End a running request after the present detection, and refuse further ones."""
        self._closed.set()

    def metrics(self) -> dict[str, object]:
        """Return no counters."""
        return {}


def _same(detection: Detection, track: Track) -> bool:
    return track.box is not None and box_iou(detection.box, track.box) >= SAME_OBJECT_IOU


def _preferred(detection: Detection, request: InstructionRequest) -> Detection:
    """Return a detection of a chosen track with the highest score, so that "a mug" stays the same mug."""
    is_chosen = any(track.id in request.chosen and _same(detection, track) for track in request.tracks)
    return replace(detection, score=1.0) if is_chosen else detection


def _missed(found: list[Detection], tracks: tuple[Track, ...], phrases: list[str]) -> list[Detection]:
    """Return tracks whose label is a phrase, and that no detection of this phrase shows, as detections."""
    return [
        Detection(track.label, min(max(track.score, 0.0), 1.0), track.box, track.mask)
        for track in tracks
        if track.box is not None and track.label in phrases and not any(item.label == track.label and _same(item, track) for item in found)
    ]
