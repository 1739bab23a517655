# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Command that trains the built-in checkpoints. The same command resumes an interrupted training."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

import torch

from lang2segtrack_ros.models.catalogue import TOY_FOLDER
from lang2segtrack_ros.toyworld.families import FAMILIES, KNOWN_THINGS, SHAPES_FAMILY, THINGS_FAMILY
from training.packaging import draw_curves, package_detector, package_segmenter


def _train(network: str, family: str, folder: Path, seed: int, device: str) -> None:
    if network == "segmenter":
        from training import segmenter

        if family == "things":
            model = segmenter.train_segmenter(folder, segmenter.THINGS_PHASES, seed, device, KNOWN_THINGS, TOY_FOLDER / "segmenter")
        else:
            model = segmenter.train_segmenter(folder, seed=seed, device=device)
        package_segmenter(model, folder / "checkpoint")
    else:
        from training import detector

        if family == "things":
            model = detector.train_detector(folder, THINGS_FAMILY, detector.THINGS_PHASES, seed, device, TOY_FOLDER / "detector")
        else:
            model = detector.train_detector(folder, SHAPES_FAMILY, seed=seed, device=device)
        package_detector(model, folder / "checkpoint", FAMILIES[family])
    print(f"written: {folder / 'checkpoint'}")


def main() -> int:
    """Run the command. Return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    parser.add_argument(
        "network",
        choices=("all", "segmenter", "detector"),
        help="network to train; all trains both, in parallel on a CPU of two cores or more",
    )
    parser.add_argument("--family", choices=tuple(FAMILIES), default="shapes", help="objects to learn (default: %(default)s)")
    parser.add_argument(
        "--out", type=Path, default=Path("out/train"), help="folder for states, logs and checkpoints (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of weights and batches (default: %(default)s)")
    parser.add_argument(
        "--device", default="cuda" if torch.cuda.is_available() else "cpu", help="device of the training (default: %(default)s)"
    )
    parser.add_argument("--threads", type=int, default=1, help="number of torch threads on a CPU (default: %(default)s)")
    options = parser.parse_args()
    if options.network != "all":
        torch.set_num_threads(options.threads)
        torch.set_flush_denormal(True)  # denormal numbers cost a CPU a hundred times as much as others
        _train(options.network, options.family, options.out / options.network, options.seed, options.device)
    else:
        options.out.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "training", "--family", options.family]
        arguments = ["--out", str(options.out), "--seed", str(options.seed), "--device", options.device, "--threads", str(options.threads)]
        networks = ("segmenter", "detector")
        in_parallel = options.device == "cpu" and (os.cpu_count() or 1) > 1
        running: list[subprocess.Popen[bytes]] = []
        try:
            for network in networks:
                running.append(subprocess.Popen([*command, network, *arguments]))
                if not in_parallel and running[-1].wait():
                    return 1
            codes = [process.wait() for process in running]
            if any(codes):
                return 1
        finally:
            for process in running:
                if process.poll() is None:
                    process.terminate()
                    process.wait()
    draw_curves(options.out, options.out / "curves.png")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
