# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Answers to the text and exemplar prompts that wait for a detection."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace

from lang2segtrack_ros.detection.worker import DetectionResult
from lang2segtrack_ros.identity.track_state import Origin
from lang2segtrack_ros.session.state import SessionState
from lang2segtrack_ros.types.prompt_handle import PromptOutcome, PromptStatus
from lang2segtrack_ros.types.prompts import DetectionPrompt, ExemplarPrompt, TextPrompt

log = logging.getLogger(__name__)


def answer_prompts(
    state: SessionState, result: DetectionResult, found: Mapping[int, int], labels: Mapping[int, str], interval: int, error: str
) -> SessionState:
    """Return the state in which all prompts that wait for a detection have their outcomes. Refused exemplars have ended.

    Args:
        state: the state after the association.
        result: the detections.
        found: track id by detection index.
        labels: labels of the tracks on the image by id.
        interval: frames between two detections for prompts without an interval of their own.
        error: reason for which a detection started no object. Empty without one.
    """
    outcomes = {}
    detections, refused = result.detections, dict(result.refused)
    for entry in state.prompts.with_status(PromptStatus.DETECTING):
        prompt = entry.prompt
        assert isinstance(prompt, (TextPrompt, ExemplarPrompt))
        if prompt in refused:
            outcomes[entry.handle] = PromptOutcome(error=refused[prompt])
            continue
        own = {found[index]: item.label for index, item in enumerate(detections) if item.label in prompt.phrases and index in found}
        seen = {item.label for index, item in enumerate(detections) if index in found}
        outcomes[entry.handle] = _outcome(prompt, own, [phrase for phrase in prompt.phrases if phrase not in seen], labels, interval, error)
        if prompt.mode == "once":
            for track_id in own:  # the only detection of this prompt confirms its objects
                state = state.with_track(replace(state.tracks[track_id], confirmed=True, origin=Origin.PROMPT))
    answered = {entry.prompt for entry in state.prompts if entry.handle in outcomes}
    for exemplar, reason in refused.items():
        state = replace(state, schedule=state.schedule.without(exemplar))
        if exemplar not in answered:  # the prompt has had its outcome already
            log.warning("the detections for %s end: %s", exemplar, reason)
    return replace(state, prompts=state.prompts.applied(outcomes))


def _outcome(
    prompt: DetectionPrompt, own: Mapping[int, str], missing: Sequence[str], labels: Mapping[int, str], interval: int, error: str
) -> PromptOutcome:
    """Return the outcome of a prompt: its tracks `own`, its `missing` phrases, or an error if it has no track because of one."""
    frames = prompt.interval or interval
    again = f"; the detector looks again every {frames} images" if frames > 1 else "; the detector looks again on every image"
    suffix = again if prompt.mode == "continuous" else ""
    notes = (f"not found on this image: {', '.join(missing)}{suffix}",) if missing else ()
    names = tuple(labels.get(track_id, label) for track_id, label in own.items())
    return PromptOutcome(tuple(own), names, error if not own else "", notes)
