# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Jobs on many bags, one after another or in parallel on Ray (https://docs.ray.io).

Ray is an engine for parallel work on one computer or on a cluster.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lang2segtrack_ros.recordings.bag_types import BagError
from lang2segtrack_ros.recordings.bags.job import BagSummary
from lang2segtrack_ros.recordings.resumable import InterruptedRunError

Work = Callable[[Path, Path], BagSummary]
"""Function that tracks through a bag. Arguments: the bag and the new bag's folder. Ray requires that it can be pickled."""


@dataclass(frozen=True)
class BagOutcome:
    """Outcome of the job on one bag.

    Attributes:
        source: the bag.
        summary: summary of the job; None if the job failed or did not run.
        error: the reason of a failure; empty for none.
        seconds: duration of the job.
    """

    source: Path
    summary: BagSummary | None = None
    error: str = ""
    seconds: float = 0.0

    @property
    def already_done(self) -> bool:
        """Return True if an earlier run with the same options wrote the output."""
        return self.summary is not None and self.summary.already_done


def pair_up(sources: Sequence[Path], folder: Path) -> list[tuple[Path, Path]]:
    """Return each bag with its output folder.

    Args:
        sources: the bags.
        folder: the folder of the outputs.

    Raises:
        BagError: two bags would have the same output, or a bag would be its own output.
    """
    targets: dict[Path, Path] = {}
    for source in sources:
        target = folder / (source.stem if source.suffix in (".mcap", ".db3") else source.resolve().name)
        if target.resolve() == source.resolve():
            raise BagError(f"{source} would be its own output: choose another folder with --out")
        if target in targets:
            raise BagError(f"{targets[target]} and {source} would both become {target}: rename one of them, or run them separately")
        targets[target] = source
    return [(source, target) for target, source in targets.items()]


def attempt(work: Work, source: Path, target: Path) -> BagOutcome:
    """Run the job on one bag, and return its errors as part of the outcome.

    Args:
        work: the job.
        source: the bag.
        target: the new bag's folder.

    Raises:
        InterruptedRunError: the user interrupted the job.
    """
    began = time.monotonic()
    try:
        summary = work(source, target)
    except InterruptedRunError:
        raise
    except Exception as error:  # the other bags continue; the table and the exit code report this one
        return BagOutcome(
            source, error=f"{error}" if isinstance(error, (ValueError, RuntimeError, OSError)) else f"{type(error).__name__}: {error}"
        )
    return BagOutcome(source, summary, seconds=time.monotonic() - began)


def one_by_one(work: Work, pairs: Sequence[tuple[Path, Path]]) -> Iterator[BagOutcome]:
    """Run the job on one bag after another, in this process, and yield the outcomes."""
    for source, target in pairs:
        yield attempt(work, source, target)


def on_ray(work: Work, pairs: Sequence[tuple[Path, Path]], workers: int, address: str = "") -> Iterator[BagOutcome]:
    """Run the job on several bags in parallel on Ray, and yield the outcomes as the jobs finish.

    Every worker must be able to access the files under the same paths.

    Args:
        work: the job.
        pairs: bags and their outputs.
        workers: number of parallel jobs. Each gets an equal part of the CPU cores and of the GPUs, but at most one GPU.
        address: of a running Ray cluster; "auto" for the cluster of this computer. If it is empty, Ray runs only during this call.

    Raises:
        BagError: Ray is not installed, or does not answer.
    """
    try:
        import ray
    except ImportError as error:
        raise BagError(f"parallel jobs need Ray ({error}): pip install 'ray>=2.30', or set --workers to 1") from error
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # by default Ray sends usage statistics to its developers
    try:
        ray.init(address=address or None, include_dashboard=False, log_to_driver=False, logging_level="error")
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise BagError(f"Ray does not answer at {address or 'this computer'}: {error}") from error
    try:
        total: dict[str, float] = ray.cluster_resources()
        gpus = min(1.0, total.get("GPU", 0) / workers)  # a request of 0 would hide an existing GPU from the job
        cores = max(1, int(total.get("CPU", 1) // workers))
        remote: Any = ray.remote(num_gpus=gpus, num_cpus=cores, max_retries=1)(_on_worker)
        waiting = {remote.remote(work, source, target, cores): source for source, target in pairs}
        while waiting:
            (ready,), _ = ray.wait(list(waiting), num_returns=1)
            source = waiting.pop(ready)
            try:
                yield ray.get(ready)
            except ray.exceptions.RayError as error:  # the worker process died, or its computer left the cluster
                yield BagOutcome(source, error=f"the Ray worker of this bag died: {error}".splitlines()[0])
    finally:
        ray.shutdown()


def _on_worker(work: Work, source: Path, target: Path, cores: int) -> BagOutcome:
    import torch

    torch.set_num_threads(cores)
    return attempt(work, source, target)


def table(rows: Sequence[BagOutcome]) -> str:
    """Return a table of the outcomes as text, one line for each bag."""
    head = ("bag", "state", "images", "tracks", "filled", "not tracked", "seconds")
    lines: list[tuple[str, ...]] = [head]
    for row in rows:
        summary = row.summary
        if summary is None or row.already_done:
            lines.append((row.source.name, "done before" if row.already_done else f"failed: {row.error}", "", "", "", "", ""))
            continue
        objects = summary.counts.objects
        filled = sum(count.filled for count in objects.values())
        counts = (summary.images, len(objects), filled, sum(summary.refused.values()), f"{row.seconds:.0f}")
        lines.append((row.source.name, "damaged" if summary.damage else "done", *map(str, counts)))
    widths = [max(len(line[column]) for line in lines if not line[1].startswith("failed") or column < 1) for column in range(len(head))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in lines)
