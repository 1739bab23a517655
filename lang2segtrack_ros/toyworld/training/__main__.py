# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Trains one of the built-in checkpoints; go on with an interrupted training by giving the same folder."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch


def main() -> int:
    """Command line of the training."""
    parser = argparse.ArgumentParser(prog="python -m lang2segtrack_ros.toyworld.training", description=__doc__)
    parser.add_argument("network", choices=("segmenter", "detector"))
    parser.add_argument("--out", type=Path, default=Path("out/train"), help="folder for states, logs and the checkpoint")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=1, help="threads of torch on a CPU")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    torch.set_flush_denormal(True)
    folder = given.out / given.network
    if given.network == "segmenter":
        from lang2segtrack_ros.toyworld.training.segmenter import train_segmenter

        model = train_segmenter(folder, seed=given.seed, device=given.device)
    else:
        from lang2segtrack_ros.toyworld.training.detector import train_detector

        model = train_detector(folder, seed=given.seed, device=given.device)
    model.to("cpu").half().save_pretrained(folder / "checkpoint")
    print(f"written to {folder / 'checkpoint'}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
