# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Traces, each made once: one is really tracked, the other has each case that a format may get wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from lang2segtrack_ros.segmentation.sam2 import Sam2Segmenter
from lang2segtrack_ros.session.session import Session
from lang2segtrack_ros.toyworld.scene import SceneFrame
from lang2segtrack_ros.types.frame import Frame
from lang2segtrack_ros.types.prompts import BoxPrompt
from test.conftest import body_box
from test.io.exports.traces import odd_results, write_trace


@pytest.fixture(scope="session")
def tracked(tmp_path_factory: pytest.TempPathFactory, segmenter: Sam2Segmenter, frames: list[SceneFrame]) -> Path:
    """Track two objects of the demo scene, and write the trace. One of them is removed in between."""
    session = Session(segmenter)
    session.prompt(BoxPrompt(body_box(frames[0], 1), "red circle"))
    session.prompt(BoxPrompt(body_box(frames[0], 2), "blue star"))
    results = []
    for number in range(10):
        if number == 7:
            session.remove(2)
        results.append(session.step(Frame(frames[number].color, number * 66_666_667)))
    return write_trace(tmp_path_factory.mktemp("tracked") / "tracks.jsonl", results)


@pytest.fixture(scope="session")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the trace with each special case."""
    return write_trace(tmp_path_factory.mktemp("odd") / "tracks.jsonl", odd_results())


@pytest.fixture(params=["tracked", "odd"])
def trace(request: pytest.FixtureRequest) -> Path:
    """Return one trace after the other."""
    path: Path = request.getfixturevalue(request.param)
    return path
