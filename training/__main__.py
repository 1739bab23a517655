# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Trains the built-in checkpoints; an interrupted training goes on when the same command is given again."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

import torch

from training.packaging import draw_curves, package_detector, package_segmenter


def _train(network: str, folder: Path, seed: int, device: str) -> None:
    if network == "segmenter":
        from training.segmenter import train_segmenter

        package_segmenter(train_segmenter(folder, seed=seed, device=device), folder / "checkpoint")
    else:
        from training.detector import train_detector

        package_detector(train_detector(folder, seed=seed, device=device), folder / "checkpoint")
    print(f"written: {folder / 'checkpoint'}")


def main() -> int:
    """Command line of the training."""
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    parser.add_argument("network", choices=("all", "segmenter", "detector"), help="all: side by side on a CPU of two cores or more")
    parser.add_argument(
        "--out", type=Path, default=Path("out/train"), help="folder for states, logs and checkpoints (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=1, help="threads of torch on a CPU (default: %(default)s)")
    given = parser.parse_args()
    if given.network != "all":
        torch.set_num_threads(given.threads)
        torch.set_flush_denormal(True)  # vanishing numbers cost a CPU a hundred times as much as others
        _train(given.network, given.out / given.network, given.seed, given.device)
    else:
        given.out.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "training"]
        options = ["--out", str(given.out), "--seed", str(given.seed), "--device", given.device, "--threads", str(given.threads)]
        networks = ("segmenter", "detector")
        together = given.device == "cpu" and (os.cpu_count() or 1) > 1
        running: list[subprocess.Popen[bytes]] = []
        try:
            for network in networks:
                running.append(subprocess.Popen([*command, network, *options]))
                if not together and running[-1].wait():
                    return 1
            codes = [process.wait() for process in running]
            if any(codes):
                return 1
        finally:
            for process in running:
                if process.poll() is None:
                    process.terminate()
                    process.wait()
    draw_curves(given.out, given.out / "curves.png")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
