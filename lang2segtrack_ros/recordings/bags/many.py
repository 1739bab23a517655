# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Many bags, one after the other or side by side on Ray (https://docs.ray.io), an engine for work on one machine or a cluster."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lang2segtrack_ros.recordings.bag_types import BagError
from lang2segtrack_ros.recordings.bags.job import BagSummary

Work = Callable[[Path, Path], BagSummary]
"""Tracks through a bag, from a folder to a new one; must be picklable for Ray."""


@dataclass(frozen=True)
class Done:
    """What became of a bag: its summary, or why there is none; `before` when an earlier run had finished it."""

    source: Path
    summary: BagSummary | None = None
    error: str = ""
    before: bool = False
    seconds: float = 0.0


def pair_up(sources: Sequence[Path], folder: Path) -> list[tuple[Path, Path]]:
    """Each bag and its output below `folder`. Raises BagError when two would have the same."""
    targets: dict[Path, Path] = {}
    for source in sources:
        target = folder / (source.stem if source.suffix in (".mcap", ".db3") else source.resolve().name)
        if target.resolve() == source.resolve():
            raise BagError(f"{source} would be its own output: choose another --out")
        if target in targets:
            raise BagError(f"{targets[target]} and {source} would both become {target}: rename one, or run them apart")
        targets[target] = source
    return [(source, target) for target, source in targets.items()]


def attempt(work: Work, source: Path, target: Path) -> Done:
    """One bag; its errors are its own."""
    if target.exists():
        return Done(source, before=True)
    began = time.monotonic()
    try:
        summary = work(source, target)
    except Exception as error:  # the others go on; the table and the exit code tell
        return Done(
            source, error=f"{error}" if isinstance(error, (ValueError, RuntimeError, OSError)) else f"{type(error).__name__}: {error}"
        )
    return Done(source, summary, seconds=time.monotonic() - began)


def one_by_one(work: Work, pairs: Sequence[tuple[Path, Path]]) -> Iterator[Done]:
    """Each bag in turn, in this process."""
    for source, target in pairs:
        yield attempt(work, source, target)


def on_ray(work: Work, pairs: Sequence[tuple[Path, Path]], workers: int, address: str = "") -> Iterator[Done]:
    """Bags side by side on Ray, as they finish. Files must lie where every worker sees them.

    Args:
        work: what is done with a bag.
        pairs: bags and their outputs.
        workers: at once, on this machine; each gets its part of the cores, and of the GPUs at most one.
        address: of a running cluster, "auto" for the one this machine belongs to; empty starts Ray here and ends it again.

    Raises:
        BagError: Ray is not installed, or does not answer.
    """
    try:
        import ray
    except ImportError as error:
        raise BagError(f"several bags at once need Ray ({error}): pip install 'ray>=2.30', or leave --workers at 1") from error
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray would report to its makers; nothing of ours is sent anywhere
    try:
        ray.init(address=address or None, include_dashboard=False, log_to_driver=False, logging_level="error")
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise BagError(f"Ray does not answer at {address or 'this machine'}: {error}") from error
    try:
        total: dict[str, float] = ray.cluster_resources()
        gpus = min(1.0, total.get("GPU", 0) / workers)  # 0 would hide a GPU that there is
        cores = max(1, int(total.get("CPU", 1) // workers))
        remote: Any = ray.remote(num_gpus=gpus, num_cpus=cores, max_retries=1)(_on_worker)
        waiting = {remote.remote(work, source, target, cores): source for source, target in pairs}
        while waiting:
            (ready,), _ = ray.wait(list(waiting), num_returns=1)
            source = waiting.pop(ready)
            try:
                yield ray.get(ready)
            except ray.exceptions.RayError as error:  # the worker died: out of memory, a machine that went away
                yield Done(source, error=f"its worker was lost: {error}".splitlines()[0])
    finally:
        ray.shutdown()


def _on_worker(work: Work, source: Path, target: Path, cores: int) -> Done:
    import torch

    torch.set_num_threads(cores)
    return attempt(work, source, target)


def table(rows: Sequence[Done]) -> str:
    """All bags, one line each."""
    head = ("bag", "state", "images", "tracks", "filled", "not tracked", "seconds")
    lines: list[tuple[str, ...]] = [head]
    for row in rows:
        summary = row.summary
        if summary is None:
            lines.append((row.source.name, "done before" if row.before else f"failed: {row.error}", "", "", "", "", ""))
            continue
        counts = (summary.images, len(summary.labels), sum(summary.filled.values()), sum(summary.refused.values()), f"{row.seconds:.0f}")
        lines.append((row.source.name, "damaged" if summary.damage else "done", *map(str, counts)))
    widths = [max(len(line[column]) for line in lines if not line[1].startswith("failed") or column < 1) for column in range(len(head))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in lines)
