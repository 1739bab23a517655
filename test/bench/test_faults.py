# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Every fault of `make faults` in short: one node for all of them, which must be the same one at the end."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bench.faults.rig import Rig, rig
from bench.faults.scenarios import SCENARIOS, Outcome, simulated_time
from bench.faults.stopping import moments, stop
from lang2segtrack_ros.toyworld.graph import isolated_environment

WORDS = {
    "camera_stops": "stopped publishing /color/image_raw",
    "camera_replaced": "nobody publishes /color/image_raw",
    "encoding": "skipped_unknown_encoding",
    "engine_raises": "injected into the engine's loop",
    "publisher_raises": "injected into the publisher's loop",
    "detector_raises": "injected into the detector",
    "memory_objects": "out of memory: from now on 1 objects at once",
    "memory_images": "images at 128 px",
    "memory_detector": "the detector looks at smaller images",
    "memory_gone": "remove objects, or give the device memory",
}


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("faults")


@pytest.fixture(scope="module")
def around(logs: Path) -> Iterator[Rig]:
    with rig(logs) as made:
        yield made


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_the_node_survives(around: Rig, scenario: Callable[[Rig, bool], Outcome]) -> None:
    """Objects are found again under their ids, prompts given during the fault are done, and diagnostics say what was wrong."""
    process = around.process
    outcome = scenario(around, False)
    assert process.poll() is None, "the process must never end"
    assert outcome.ids_kept, outcome
    assert outcome.prompts_kept, outcome
    assert WORDS.get(scenario.__name__, "") in outcome.words


def test_nothing_leaked(around: Rig) -> None:
    """After all the faults: no thread or file more than after a quiet round of the same work."""
    around.begin()
    before = around.usage()
    around.begin()
    after = around.usage()
    assert after.files <= before.files + 1
    assert after.threads <= before.threads + 1


def test_simulated_time(tmp_path: Path) -> None:
    with rig(tmp_path, "-p", "use_sim_time:=true") as around:
        outcome = simulated_time(around, False)
    assert outcome.ids_kept, outcome
    assert outcome.prompts_kept, "no answer and no diagnostics while the clock stood still"


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("moment", moments(3))
def test_a_signal_ends_the_process_at_any_moment(tmp_path: Path, how: signal.Signals, moment: str) -> None:
    """While Python imports, while networks load, and in the middle of an image and of a detection that take for ever."""
    with isolated_environment() as environment:
        ended = stop(environment, tmp_path, moment, how)
    assert ended.seconds < 2.0, ended
    assert ended.left_behind == [], "no process of its group may outlive it"
    assert "Traceback" not in ended.log
