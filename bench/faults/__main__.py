#!/usr/bin/env python3
# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Every fault, injected into a real track_node on a real graph: frames lost, seconds to recovery, ids and prompts kept.

Prints a table and writes out/bench/faults.json. Exit code 1 when a fault ended the process, or lost an id or a prompt, or when the node
leaked, or when a signal took 2 s. Run it with `make faults`.
"""

from __future__ import annotations

import argparse
import platform
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench.faults.rig import Rig, rig
from bench.faults.scenarios import SCENARIOS, Outcome, simulated_time
from bench.faults.stopping import moments, stop
from bench.numbers_file import numbers_file, write
from lang2segtrack_ros.toyworld.graph import isolated_environment

ROUNDS = 4
LEAK_MB = 8.0
"""Resident size wanders by some MB from one round of the same work to the next."""


def suffer(around: Rig, full: bool) -> list[Outcome]:
    """All faults, one after the other, on one process."""
    outcomes = []
    for scenario in SCENARIOS:
        outcomes.append(scenario(around, full))
        outcome = outcomes[-1]
        recovery, words = f"{outcome.recovery_s:.1f} s", " | ".join(filter(None, (outcome.words, outcome.told)))
        kept = f"ids {'kept' if outcome.ids_kept else 'LOST'}, prompts {'kept' if outcome.prompts_kept else 'LOST'}"
        lost = f"lost {outcome.lost:3} ({outcome.replaced:3} late) of {outcome.shown:3}"
        print(f"{outcome.fault:48} {lost}  {recovery:>7}  {kept}  {words[:110]}", flush=True)
        if around.process.poll() is not None:
            raise SystemExit(f"the process ended with {around.process.returncode}:\n{around.processes.log('track_node')[-3000:]}")
    return outcomes


def leaks(around: Rig) -> dict[str, Any]:
    """Threads, files and memory over rounds of the same work after all the faults."""
    usages = []
    for _ in range(ROUNDS):
        around.begin()
        around.run(5.0)
        usages.append(around.usage())
    first, last = usages[0], usages[-1]
    ok = last.threads <= first.threads and last.files <= first.files and last.resident_mb - first.resident_mb < LEAK_MB
    return {"rounds": [vars(usage) for usage in usages], "ok": ok}


def signals(logs: Path) -> list[dict[str, Any]]:
    """Each signal at each moment."""
    rows = []
    for number, (moment, how) in enumerate((moment, how) for moment in moments() for how in (signal.SIGINT, signal.SIGTERM)):
        with isolated_environment() as environment:
            ended = stop(environment, logs / f"signal{number}", moment, how)
        ok = ended.seconds < 2.0 and not ended.left_behind and "Traceback" not in ended.log
        rows.append({"moment": moment, "signal": ended.how, "seconds": round(ended.seconds, 2), "exit_code": ended.code, "ok": ok})
        print(
            f"{ended.how} {moment:24} {ended.seconds:5.2f} s  exit code {ended.code:4}  {'' if ok else 'NOT OK ' + ended.log[-300:]}",
            flush=True,
        )
    return rows


def main() -> int:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="as the tests do it")
    parser.add_argument("--out", type=numbers_file, default="out/bench/faults.json")
    options = parser.parse_args()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it, and so would what they start
    with tempfile.TemporaryDirectory() as folder:
        with rig(Path(folder) / "faults") as around:
            outcomes = suffer(around, not options.short)
            leaked = leaks(around)
            log = around.processes.log("track_node")
        print(f"threads, files, MB: {leaked['rounds'][0]} .. {leaked['rounds'][-1]}", flush=True)
        with rig(Path(folder) / "clock", "-p", "use_sim_time:=true") as around:
            outcomes.append(simulated_time(around, True))
        stopped = signals(Path(folder))
    options.out.with_suffix(".log").write_text(log)
    report = {"machine": f"{platform.machine()}, {platform.python_version()}", "faults": [outcome.row() for outcome in outcomes]}
    write(options.out, {**report, "leaks": leaked, "signals": stopped})
    survived = all(outcome.ids_kept and outcome.prompts_kept for outcome in outcomes)
    return 0 if survived and leaked["ok"] and all(row["ok"] for row in stopped) else 1


if __name__ == "__main__":
    sys.exit(main())
