# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Answers to the text prompts that wait for a detection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from lang2segtrack_ros.detection.detector import Detection
from lang2segtrack_ros.identity.track_state import Origin
from lang2segtrack_ros.session.state import SessionState
from lang2segtrack_ros.types.prompt_handle import PromptOutcome, PromptStatus
from lang2segtrack_ros.types.prompts import TextPrompt


def answer_prompts(
    state: SessionState, detections: Sequence[Detection], found: Mapping[int, int], labels: Mapping[int, str], interval: int, error: str
) -> SessionState:
    """Return the state in which all prompts that wait for a detection have their outcomes.

    Args:
        state: the state after the association.
        detections: the detections.
        found: track id by detection index.
        labels: labels of the tracks on the image by id.
        interval: frames between two detections for prompts without an interval of their own.
        error: reason for which a detection started no object. Empty without one.
    """
    outcomes = {}
    for entry in state.prompts.with_status(PromptStatus.DETECTING):
        prompt = entry.handle.prompt
        assert isinstance(prompt, TextPrompt)
        own = {found[index]: item.label for index, item in enumerate(detections) if item.label in prompt.phrases and index in found}
        seen = {item.label for index, item in enumerate(detections) if index in found}
        outcomes[entry.handle] = _outcome(prompt, own, [phrase for phrase in prompt.phrases if phrase not in seen], labels, interval, error)
        if prompt.mode == "once":
            for track_id in own:  # the only detection of this prompt confirms its objects
                state = state.with_track(replace(state.tracks[track_id], confirmed=True, origin=Origin.PROMPT))
    return replace(state, prompts=state.prompts.applied(outcomes))


def _outcome(
    prompt: TextPrompt, own: Mapping[int, str], missing: Sequence[str], labels: Mapping[int, str], interval: int, error: str
) -> PromptOutcome:
    """Return the outcome of a prompt: its tracks `own`, its `missing` phrases, or an error if it has no track because of one."""
    frames = prompt.interval or interval
    again = f"; the detector looks again every {frames} images" if frames > 1 else "; the detector looks again on every image"
    suffix = again if prompt.mode == "continuous" else ""
    notes = (f"not found on this image: {', '.join(missing)}{suffix}",) if missing else ()
    names = tuple(labels.get(track_id, label) for track_id, label in own.items())
    return PromptOutcome(tuple(own), names, error if not own else "", notes)
