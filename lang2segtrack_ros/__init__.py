# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Tracking and segmentation of named objects with stable ids in an RGB(-D) stream.

    from lang2segtrack_ros import Frame, Session, TextPrompt, load_detector, load_segmenter

    session = Session(load_segmenter("toy"), load_detector("toy"))
    session.prompt(TextPrompt("red circle. blue star."))
    for image, stamp_ns in images:
        result = session.step(Frame(image, stamp_ns))

The engine runs without ROS. The package `ros` contains the ROS 2 nodes, and the package `cli` contains the command line tool.
The package imports public names on first use, so `import lang2segtrack_ros` alone loads neither torch nor transformers.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lang2segtrack_ros.instructions.grammar_resolver import GrammarResolver
    from lang2segtrack_ros.models.loading import load_detector, load_segmenter
    from lang2segtrack_ros.session.options import SessionOptions
    from lang2segtrack_ros.session.session import Session
    from lang2segtrack_ros.types.frame import Frame
    from lang2segtrack_ros.types.instruction import InstructionPrompt
    from lang2segtrack_ros.types.prompts import BoxPrompt, ExemplarPrompt, MaskPrompt, PointPrompt, TextPrompt
    from lang2segtrack_ros.types.results import FrameResult, Track

__version__ = "0.1.0"
__all__ = [
    "BoxPrompt",
    "ExemplarPrompt",
    "Frame",
    "FrameResult",
    "GrammarResolver",
    "InstructionPrompt",
    "MaskPrompt",
    "PointPrompt",
    "Session",
    "SessionOptions",
    "TextPrompt",
    "Track",
    "load_detector",
    "load_segmenter",
]
_MODULES = {
    "BoxPrompt": "types.prompts",
    "ExemplarPrompt": "types.prompts",
    "Frame": "types.frame",
    "FrameResult": "types.results",
    "GrammarResolver": "instructions.grammar_resolver",
    "InstructionPrompt": "types.instruction",
    "MaskPrompt": "types.prompts",
    "PointPrompt": "types.prompts",
    "Session": "session.session",
    "SessionOptions": "session.options",
    "TextPrompt": "types.prompts",
    "Track": "types.results",
    "load_detector": "models.loading",
    "load_segmenter": "models.loading",
}


def __getattr__(name: str) -> Any:
    """Import a public name on first use (PEP 562)."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List all public names, also those that are not imported yet."""
    return sorted({*globals(), *__all__})
