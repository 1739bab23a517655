# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Signals at every moment of a node's life: time to exit, and processes left behind."""

from __future__ import annotations

import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from bench.faults.node import FOLDER
from bench.faults.rig import TOY
from lang2segtrack_ros.toyworld.camera_messages import NAMESPACE, NODE_NAME
from lang2segtrack_ros.toyworld.graph import Processes, executable

IMPORT_DELAYS = ("0.3 s", "0.8 s", "1.5 s", "2.5 s", "3.5 s")
"""Delays after the start, while Python imports libraries."""
WORK_MOMENTS = ("loading the networks", "listening", "stuck in an image", "stuck in a detection")
LIMIT_S = 20.0
FAULTY_NODE = (sys.executable, "-m", "bench.faults.node")
ARGUMENTS = ("--ros-args", *TOY, "-p", "text:=red circle", "-r", f"color/image_raw:={NAMESPACE}/{NODE_NAME}/color/image_raw")


@dataclass(frozen=True)
class Ending:
    """End of a process after a signal.

    Attributes:
        moment: moment of the signal.
        sent_signal: name of the signal.
        seconds: seconds from the signal to the exit.
        code: exit code; negative for a process killed by that signal.
        left_behind: ids of processes of its group that still run.
        log: output of the process.
    """

    moment: str
    sent_signal: str
    seconds: float
    code: int
    left_behind: list[int]
    log: str


def moments(count: int = 100) -> list[str]:
    """Return the moments at which a signal is sent.

    Args:
        count: largest number of import moments. All later moments are always returned.
    """
    return [*IMPORT_DELAYS[:count:2], *WORK_MOMENTS] if count < len(IMPORT_DELAYS) else [*IMPORT_DELAYS, *WORK_MOMENTS]


def stop(environment: dict[str, str], logs: Path, moment: str, sent_signal: signal.Signals) -> Ending:
    """Start a node with toy networks and send it a signal.

    Args:
        environment: environment variables of the graph.
        logs: folder for logs and faults.
        moment: moment of the signal, see `moments`.
        sent_signal: signal to send.

    Raises:
        GraphError: The node did not reach the moment.
        subprocess.TimeoutExpired: The node did not end.
    """
    name, is_stuck = "stopped", moment.startswith("stuck")
    with Processes({**environment, FOLDER: str(logs)}, logs) as processes:
        if is_stuck:
            (logs / moment.replace(" ", "_")).write_text("1")
            processes.start("camera", [*executable("toy_camera"), "--ros-args", "-p", "width:=320", "-p", "height:=240"])
        process = processes.start(name, [*(FAULTY_NODE if is_stuck else executable("track_node")), *ARGUMENTS])
        if moment in IMPORT_DELAYS:
            time.sleep(float(moment.split()[0]))
        else:
            words = {"loading the networks": "loading segmenter", "listening": "listening to"}
            processes.wait_for(name, words.get(moment, moment), 90.0)
        started = time.monotonic()
        process.send_signal(sent_signal)
        code = process.wait(LIMIT_S)
        seconds = time.monotonic() - started
        return Ending(moment, sent_signal.name, seconds, code, _processes_of_group(process.pid), processes.log(name))


def _processes_of_group(group: int) -> list[int]:
    """Return the running processes of a process group."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                if os.getpgid(int(folder.name)) == group and "Z (" not in (folder / "status").read_text():
                    found.append(int(folder.name))
            except (OSError, ProcessLookupError):
                continue
    return found
