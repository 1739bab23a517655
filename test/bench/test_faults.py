# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""A short version of each fault of `make faults`. One node runs them all and must survive."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from itertools import cycle
from pathlib import Path

import pytest

from bench.faults.rig import Rig, rig
from bench.faults.scenarios import SCENARIOS, Outcome, simulated_time
from bench.faults.stopping import moments, stop
from lang2segtrack_ros.toyworld.graph import isolated_environment

EXPECTED_WORDS = {
    "camera_stops": "stopped publishing /color/image_raw",
    "camera_replaced": "nobody publishes /color/image_raw",
    "encoding": "skipped_unknown_encoding",
    "engine_raises": "injected into the engine's loop",
    "publisher_raises": "injected into the publisher's loop",
    "detector_raises": "injected into the detector",
    "memory_objects": "out of memory: from now on 1 objects at once",
    "memory_images": "images at 128 px",
    "memory_detector": "the detector uses smaller images",
    "memory_gone": "remove objects, or free memory on the device",
}


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("faults")


@pytest.fixture(scope="module")
def test_rig(logs: Path) -> Iterator[Rig]:
    with rig(logs) as new_rig:
        yield new_rig


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_node_recovers_from_every_fault(test_rig: Rig, scenario: Callable[[Rig, bool], Outcome]) -> None:
    """Objects keep their ids, prompts given during the fault are completed, and diagnostics report the fault."""
    process = test_rig.process
    outcome = scenario(test_rig, False)
    assert process.poll() is None, "the process must survive"
    assert outcome.ids_kept, outcome
    assert outcome.prompts_kept, outcome
    assert EXPECTED_WORDS.get(scenario.__name__, "") in outcome.words


def test_faults_leak_no_threads_or_files(test_rig: Rig) -> None:
    """After all faults, a round of the same work must add no thread and at most one file."""
    test_rig.begin()
    before = test_rig.usage()
    test_rig.begin()
    after = test_rig.usage()
    assert after.files <= before.files + 1
    assert after.threads <= before.threads + 1


def test_node_handles_jumps_of_simulated_time(tmp_path: Path) -> None:
    with rig(tmp_path, "-p", "use_sim_time:=true") as test_rig:
        outcome = simulated_time(test_rig, False)
    assert outcome.ids_kept, outcome
    assert outcome.prompts_kept, "services and diagnostics must work while the clock stands still"


@pytest.mark.parametrize(
    ("moment", "sent_signal"),
    list(zip(moments(3), cycle([signal.SIGTERM, signal.SIGINT]))),  # `make faults` sends both at each
)
def test_signal_ends_the_process_at_any_moment(tmp_path: Path, moment: str, sent_signal: signal.Signals) -> None:
    """Moments: during imports, while networks load, and during an image and a detection that never end."""
    with isolated_environment() as environment:
        ended = stop(environment, tmp_path, moment, sent_signal)
    assert ended.seconds < 2.0, ended
    assert ended.left_behind == [], "no process of its group may survive"
    assert "Traceback" not in ended.log
