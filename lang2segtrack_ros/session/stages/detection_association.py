# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""What every association of detections with tracks needs: its state and actions, predictions, capacity, and answers to prompts."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from lang2segtrack_ros.detection.detector import Detection
from lang2segtrack_ros.detection.worker import DetectionResult
from lang2segtrack_ros.session.actions import Action
from lang2segtrack_ros.session.context import FrameContext
from lang2segtrack_ros.session.stages.answer_prompts import answer_prompts
from lang2segtrack_ros.session.stages.apply_prompts import check_capacity
from lang2segtrack_ros.session.state import SessionState
from lang2segtrack_ros.tracking.open_frame import PromptPrediction, TrackerError
from lang2segtrack_ros.types.prompts import PromptError

BOX_MARGIN = 0.15  # margin around a detection's box, as a ratio of its size; mask pixels beyond it belong to a neighbor


@dataclass
class DetectionAssociation:
    """The association of the detections of one frame, which may be earlier than the present.

    Attributes:
        state: the present state. The association changes it step by step.
        context: view of the frame of the detections.
        result: the detections.
        actions: the actions on the frame.
        found: track id by detection index.
        corrected: ids of tracks that had moved to another object.
        errors: reasons for which detections started no object.
    """

    state: SessionState
    context: FrameContext
    result: DetectionResult
    actions: list[Action] = field(default_factory=list)
    found: dict[int, int] = field(default_factory=dict)
    corrected: set[int] = field(default_factory=set)
    errors: list[str] = field(default_factory=list)

    def run(self) -> None:
        """Associate all detections, and answer the prompts that wait for them."""
        self._associate()
        labels, error = {track.id: track.label for track in self.context.tracks}, self.errors[-1] if self.errors else ""
        self.state = answer_prompts(self.state, self.result, self.found, labels, self.context.options.detect_every, error)

    def _associate(self) -> None:
        """Associate all detections."""
        raise NotImplementedError

    def _predict(self, detection: Detection, may_start: bool = False) -> PromptPrediction | None:
        """Predict the mask of a detection; if the network predicts none, count this and return None.

        Args:
            detection: the detection.
            may_start: True for a detection that may start an object, so that the reason is one of `errors`.
        """
        try:
            return self.context.masks.predict(detection.prompt)
        except (PromptError, TrackerError) as error:
            self.errors += [str(error)] if may_start else []
            self.state = replace(self.state, counters=self.state.counters.plus(predictions_refused=1))
            return None

    def _predict_inside(self, detection: Detection, may_start: bool = False) -> PromptPrediction | None:
        """Predict the mask of a detection without pixels far outside its box; see `_predict`."""
        predicted = self._predict(detection, may_start)
        return None if predicted is None else self.context.masks.clip_to_box(predicted, BOX_MARGIN)

    def _may_spawn(self) -> bool:
        """Return True if a detection may start an object. Note the reason if the session has no capacity."""
        if not self.context.allows_new:
            return False
        try:
            check_capacity(self.state, self.context)
        except TrackerError as error:
            self.errors.append(str(error))
            return False
        return True
