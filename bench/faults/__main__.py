# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Command that injects every fault into a real track_node on a real graph. It measures lost frames, time to recovery, and kept ids and
prompts.

Prints a table and writes out/bench/faults.json. The exit code is 1 when a fault ended the process, or lost an id or a prompt. It is
also 1 when the node leaked or a signal took 2 s. `make faults` runs this command.
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
"""Largest accepted growth. The resident size varies by some MB between rounds of the same work."""


def run_faults(test_rig: Rig, full: bool) -> list[Outcome]:
    """Run all faults, one after the other, on one process.

    Args:
        test_rig: rig with the running node.
        full: True runs the long version of each fault.
    """
    outcomes = []
    for scenario in SCENARIOS:
        outcomes.append(scenario(test_rig, full))
        outcome = outcomes[-1]
        recovery, words = f"{outcome.recovery_s:.1f} s", " | ".join(filter(None, (outcome.words, outcome.details)))
        kept = f"ids {'kept' if outcome.ids_kept else 'LOST'}, prompts {'kept' if outcome.prompts_kept else 'LOST'}"
        lost = f"lost {outcome.lost:3} ({outcome.replaced:3} late) of {outcome.shown:3}"
        print(f"{outcome.fault:48} {lost}  {recovery:>7}  {kept}  {words[:110]}", flush=True)
        if test_rig.process.poll() is not None:
            raise SystemExit(
                f"the process ended with exit code {test_rig.process.returncode}:\n{test_rig.processes.log('track_node')[-3000:]}"
            )
    return outcomes


def leaks(test_rig: Rig) -> dict[str, Any]:
    """Return threads, files and memory over rounds of the same work after all faults."""
    usages = []
    for _ in range(ROUNDS):
        test_rig.begin()
        test_rig.run(5.0)
        usages.append(test_rig.usage())
    first, last = usages[0], usages[-1]
    ok = last.threads <= first.threads and last.files <= first.files and last.resident_mb - first.resident_mb < LEAK_MB
    return {"rounds": [vars(usage) for usage in usages], "ok": ok}


def signals(logs: Path) -> list[dict[str, Any]]:
    """Send each signal at each moment. Return one row per case."""
    rows = []
    for number, (moment, sent_signal) in enumerate(
        (moment, sent_signal) for moment in moments() for sent_signal in (signal.SIGINT, signal.SIGTERM)
    ):
        with isolated_environment() as environment:
            ended = stop(environment, logs / f"signal{number}", moment, sent_signal)
        ok = ended.seconds < 2.0 and not ended.left_behind and "Traceback" not in ended.log
        rows.append({"moment": moment, "signal": ended.sent_signal, "seconds": round(ended.seconds, 2), "exit_code": ended.code, "ok": ok})
        result = "" if ok else f"NOT OK {ended.log[-300:]}"
        print(f"{ended.sent_signal} {moment:24} {ended.seconds:5.2f} s  exit code {ended.code:4}  {result}", flush=True)
    return rows


def main() -> int:
    """Run the command. Return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="run the short version of the tests")
    parser.add_argument("--out", type=numbers_file, default="out/bench/faults.json", help="JSON file to write (default: %(default)s)")
    options = parser.parse_args()
    # Background jobs of a shell ignore SIGINT, and child processes would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with tempfile.TemporaryDirectory() as folder:
        with rig(Path(folder) / "faults") as test_rig:
            outcomes = run_faults(test_rig, not options.short)
            leaked = leaks(test_rig)
            log = test_rig.processes.log("track_node")
        print(f"threads, files, MB: {leaked['rounds'][0]} .. {leaked['rounds'][-1]}", flush=True)
        with rig(Path(folder) / "clock", "-p", "use_sim_time:=true") as test_rig:
            outcomes.append(simulated_time(test_rig, True))
        stopped = signals(Path(folder))
    options.out.with_suffix(".log").write_text(log)
    report = {"machine": f"{platform.machine()}, {platform.python_version()}", "faults": [outcome.row() for outcome in outcomes]}
    write(options.out, {**report, "leaks": leaked, "signals": stopped})
    survived = all(outcome.ids_kept and outcome.prompts_kept for outcome in outcomes)
    return 0 if survived and leaked["ok"] and all(row["ok"] for row in stopped) else 1


if __name__ == "__main__":
    sys.exit(main())
