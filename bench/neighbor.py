# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Speed of `lang2segtrack track` alone and beside a busy process, for several settings of OpenMP.

    python -m bench.neighbor --rounds 3

Each run is a process of its own, with the toy networks on the CPU. The settings take turns, so that slow minutes of the machine meet all
of them. The table has the median of the rounds.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lang2segtrack_ros.io.writers import write_png
from lang2segtrack_ros.toyworld.scene import demo_scene

SETTINGS = {
    "spinning": {"GOMP_SPINCOUNT": "300000"},  # the default of libgomp; it has priority over the wait policy
    "passive": {"OMP_WAIT_POLICY": "PASSIVE"},
    "one thread": {"OMP_NUM_THREADS": "1"},
}
VARIABLES = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY", "OMP_NUM_THREADS", "KMP_BLOCKTIME")


@contextmanager
def busy_process() -> Iterator[None]:
    """Run a process that never sleeps."""
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def images_per_second(images: Path, settings: dict[str, str]) -> float:
    """Return the rate of the forward pass over a folder of images.

    Args:
        images: the folder.
        settings: environment variables of the run.
    """
    environment = {name: value for name, value in os.environ.items() if name not in VARIABLES} | settings
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "lang2segtrack_ros.cli.main", "track", str(images), "--out", f"{folder}/out", "--device", "cpu"]
        command += ["--segmenter", "toy", "--detector", "toy", "--text", "red circle. blue star. yellow square."]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return float(re.findall(r"forward: .* ([\d.]+) per second", done.stderr)[-1])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Speed of lang2segtrack track beside a busy process.")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each setting (default: %(default)s)")
    parser.add_argument("--images", type=int, default=120, help="images of a run (default: %(default)s)")
    options = parser.parse_args()
    rates: dict[tuple[str, str], list[float]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        scene = demo_scene(320, 240)
        for index in range(options.images):
            write_png(Path(folder) / f"{index:04}.png", scene.render(index).color)
        for _ in range(options.rounds):
            for name, settings in SETTINGS.items():
                rates[name, "alone"].append(images_per_second(Path(folder), settings))
                with busy_process():
                    rates[name, "beside"].append(images_per_second(Path(folder), settings))
                print(f"{name}: {rates[name, 'alone'][-1]:.1f} alone, {rates[name, 'beside'][-1]:.1f} beside", file=sys.stderr, flush=True)
    best = max(statistics.median(values) for (_, when), values in rates.items() if when == "alone")
    print(f"{os.cpu_count()} CPUs, {options.rounds} rounds of {options.images} images; ratios to the fastest setting alone")
    print(f"{'setting':<12} {'alone 1/s':>10} {'beside 1/s':>11} {'alone':>6} {'beside':>7}")
    for name in SETTINGS:
        alone, beside = (statistics.median(rates[name, when]) for when in ("alone", "beside"))
        print(f"{name:<12} {alone:>10.1f} {beside:>11.1f} {alone / best:>6.2f} {beside / best:>7.2f}")


if __name__ == "__main__":
    main()
