# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Construction of a session from the parameters of track_node."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from lang2segtrack_ros.detection.detector import Detector
from lang2segtrack_ros.detection.instruction_resolver import InstructionResolver
from lang2segtrack_ros.history.frame_history import FrameHistory
from lang2segtrack_ros.instructions.grammar_resolver import GrammarResolver
from lang2segtrack_ros.instructions.vlm.options import VlmOptions
from lang2segtrack_ros.models.cache import shared_detector, shared_segmenter
from lang2segtrack_ros.models.loading import find_folders
from lang2segtrack_ros.session.options import SessionOptions
from lang2segtrack_ros.session.session import Session
from lang2segtrack_ros.tracking.policies.registry import make_policy
from lang2segtrack_ros.types.instruction import AnyPrompt, InstructionPrompt
from lang2segtrack_ros.types.options import OptionError, info_of
from lang2segtrack_ros.types.prompts import PromptError, TextPrompt


def make_session(value: Callable[[str], Any]) -> Session:
    """Load the networks and return a session that uses them.

    Args:
        value: returns the value of a parameter by name, see `support.parameters`.

    Raises:
        WeightsError: the weights or the device are not available.
        PluginError: no plug-in has this name.
        PromptError: the text prompt in the parameter `text`, or the instruction in `instruction`, is refused.
        OSError: a file cannot be read or written.
    """
    device, dtype, licenses = value("device"), value("dtype"), value("accept_license")
    acceleration, policy = value("acceleration"), make_policy(value("policy"))
    find_folders(value("segmenter"), value("detector"), licenses)
    segmenter = shared_segmenter(value("segmenter"), device, value("image_size") or None, dtype, acceleration, licenses)
    detector = None
    if value("detector"):
        detector = shared_detector(value("detector"), device, dtype, value("detector_passes"), acceleration, licenses)
    session = Session(
        segmenter,
        detector,
        policy,
        background=value("background_detector"),
        history=_make_history(value),
        options=SessionOptions(**{item.name: value(item.name) for item in fields(SessionOptions)}),
        resolver=_make_resolver(value, detector),
    )
    session.prepare()
    try:
        for prompt in _start_prompts(value):
            session.prompt(prompt)
    except PromptError:
        session.close()
        raise
    return session


def _make_resolver(value: Callable[[str], Any], detector: Detector | None) -> InstructionResolver | None:
    """Return the vision-language model of the parameters, else the grammar. Return None if there is no detector for the grammar either."""
    try:
        options = VlmOptions(**{item.name: value(item.name) for item in fields(VlmOptions)})
        if options.is_in_use:
            from lang2segtrack_ros.instructions.vlm.factory import make_vlm_resolver  # loads aiohttp, which other nodes do not need

            return make_vlm_resolver(options, detector, value("device"), value("dtype"))
    except OptionError as error:
        raise PromptError(str(error)) from error
    return GrammarResolver(detector) if detector is not None else None


def _start_prompts(value: Callable[[str], Any]) -> Iterator[AnyPrompt]:
    """Yield the prompts of the parameters."""
    threshold = value("detection_threshold") or None
    if value("text"):
        yield TextPrompt(value("text"), threshold=threshold)
    if value("instruction"):
        yield InstructionPrompt(value("instruction"), threshold, value("everything"), "continuous")


def change_session(session: Session, values: Mapping[str, Any]) -> None:
    """Apply changed parameters to a running session. Parameters that do not concern the session are ignored.

    Args:
        session: the session.
        values: changed values by parameter name.
    """
    names = {item.name for item in fields(SessionOptions) if info_of(item).dynamic}
    session.options = replace(session.options, **{name: value for name, value in values.items() if name in names})


def describe_session(session: Session, policy: str) -> str:
    """Return the networks, the policy and the device of a session in one line.

    Args:
        session: the session.
        policy: name of its policy.
    """
    segmenter, detector = session.tracker.segmenter, session.detector
    return (
        f"segmenter {segmenter.name} at {segmenter.image_size} px, detector {detector.name if detector else 'none'}, "
        f"policy {policy}, device {segmenter.device}"
    )


def _make_history(value: Callable[[str], Any]) -> FrameHistory | None:
    if not value("history_s"):
        return None
    folder = Path(value("history_folder")).expanduser() if value("history_folder") else None
    size = value("history_mb") << 20
    return FrameHistory(value("history_s"), size, folder, keep_features=value("history_features"), while_idle=value("history_while_idle"))
