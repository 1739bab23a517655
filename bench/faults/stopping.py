# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""A signal at every moment of a node's life: how long it lives on, and what it leaves behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from bench.faults.node import FOLDER
from bench.faults.rig import TOY
from lang2segtrack_ros.toyworld.camera_messages import NAMESPACE, NODE_NAME
from lang2segtrack_ros.toyworld.graph import Processes, executable

IMPORTING = ("0.3 s", "0.8 s", "1.5 s", "2.5 s", "3.5 s")
"""After its start: the libraries are being imported."""
WORKING = ("loading the networks", "listening", "stuck in an image", "stuck in a detection")
LIMIT_S = 20.0
STUCK = (sys.executable, "-m", "bench.faults.node")
ARGUMENTS = ("--ros-args", *TOY, "-p", "text:=red circle", "-r", f"color/image_raw:={NAMESPACE}/{NODE_NAME}/color/image_raw")


@dataclass(frozen=True)
class Ended:
    """How a process ended: seconds after the signal, exit code (negative: killed by that signal), processes it left, its last words."""

    moment: str
    how: str
    seconds: float
    code: int
    left_behind: list[int]
    log: str


def moments(count: int = 100) -> list[str]:
    """Moments at which a signal may come, at most so many of the early ones and all of the others."""
    return [*IMPORTING[:count:2], *WORKING] if count < len(IMPORTING) else [*IMPORTING, *WORKING]


def stop(environment: dict[str, str], logs: Path, moment: str, how: signal.Signals) -> Ended:
    """Starts a node with toy networks, and sends it a signal at a moment."""
    name, stuck = "stopped", moment.startswith("stuck")
    with Processes({**environment, FOLDER: str(logs)}, logs) as processes:
        if stuck:
            (logs / moment.replace(" ", "_")).write_text("1")
            processes.start("camera", [*executable("toy_camera"), "--ros-args", "-p", "width:=320", "-p", "height:=240"])
        process = processes.start(name, [*(STUCK if stuck else executable("track_node")), *ARGUMENTS])
        if moment in IMPORTING:
            time.sleep(float(moment.split()[0]))
        else:
            _wait(processes, process, name, {"loading the networks": "loading segmenter", "listening": "listening to"}.get(moment, moment))
        began = time.monotonic()
        process.send_signal(how)
        code = process.wait(LIMIT_S)
        seconds = time.monotonic() - began
        return Ended(moment, how.name, seconds, code, _group(process.pid), processes.log(name))


def _wait(processes: Processes, process: subprocess.Popen[bytes], name: str, words: str) -> None:
    deadline = time.monotonic() + 90.0
    while words not in processes.log(name):
        if time.monotonic() > deadline or process.poll() is not None:
            raise TimeoutError(f'the node never said "{words}":\n{processes.log(name)[-2000:]}')
        time.sleep(0.02)


def _group(group: int) -> list[int]:
    """Processes of a process group that are still there."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                if os.getpgid(int(folder.name)) == group and "Z (" not in (folder / "status").read_text():
                    found.append(int(folder.name))
            except (OSError, ProcessLookupError):
                continue
    return found
