# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Jobs on many bags: one after another, in parallel processes, or on Ray (https://docs.ray.io), an engine for work on a cluster."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lang2segtrack_ros.recordings.bag_types import BagError
from lang2segtrack_ros.recordings.runs import InterruptedRunError

if TYPE_CHECKING:
    from lang2segtrack_ros.recordings.bags.job import BagSummary

Work = Callable[..., "BagSummary"]
"""Function that tracks through a bag: `work(source, target)`, with the bag and the new bag's folder. Without Ray it also gets `stop=`, a
function that returns True to interrupt the job. Other processes require that it can be pickled."""


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


def attempt(work: Callable[[Path, Path], BagSummary], source: Path, target: Path) -> BagOutcome:
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


def one_by_one(work: Work, pairs: Sequence[tuple[Path, Path]], stop: Callable[[], bool]) -> Iterator[BagOutcome]:
    """Run the job on one bag after another, in this process, and yield the outcomes."""
    for source, target in pairs:
        yield attempt(partial(work, stop=stop), source, target)


class Processes:
    """Jobs on several bags in parallel, each in a process of its own, so that a process that dies costs one bag.

    Args:
        work: the job.
        jobs: number of parallel jobs. Each gets an equal part of the CPU cores; all share the GPU.
    """

    def __init__(self, work: Work, jobs: int) -> None:
        self._work = work
        self._jobs = jobs
        self._context = multiprocessing.get_context("spawn")  # a fork would copy the threads' locks of torch
        self._stop = self._context.Event()
        self.stop = self._stop.set

    def run(self, pairs: Sequence[tuple[Path, Path]]) -> Iterator[BagOutcome]:
        """Run the job on all bags, and yield the outcomes as the jobs finish.

        Args:
            pairs: bags and their outputs.

        Raises:
            InterruptedRunError: `stop` was called. Every running job has written its checkpoint.
        """
        threads = ThreadPoolExecutor(self._jobs)
        try:
            for done in as_completed([threads.submit(self._attempt, source, target) for source, target in pairs]):
                yield done.result()
        finally:
            self._stop.set()
            threads.shutdown(cancel_futures=True)

    def _attempt(self, source: Path, target: Path) -> BagOutcome:
        cores = max(1, (os.cpu_count() or 1) // self._jobs)
        with ProcessPoolExecutor(1, self._context, _start_process, (cores, self._stop)) as process:
            try:
                return process.submit(_in_process, self._work, source, target).result()
            except BrokenProcessPool:
                return BagOutcome(source, error="its process died: run the same command again, with fewer --jobs if memory is short")


_stop_event: Any = None  # of the parent process; set in a process of `Processes`


def _start_process(cores: int, stop: Any) -> None:
    """Prepare a process. Signals go to the parent, which sets `stop`; a terminal sends Ctrl-C to all."""
    global _stop_event
    import torch

    _stop_event = stop
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(cores)


def _in_process(work: Work, source: Path, target: Path) -> BagOutcome:
    return attempt(partial(work, stop=_stop_event.is_set), source, target)


def on_ray(work: Work, pairs: Sequence[tuple[Path, Path]], workers: int, address: str) -> Iterator[BagOutcome]:
    """Run the job on several bags in parallel on Ray, and yield the outcomes as the jobs finish.

    Every worker must be able to access the files under the same paths.

    Args:
        work: the job.
        pairs: bags and their outputs.
        workers: number of parallel jobs. Each gets an equal part of the CPU cores and of the GPUs, but at most one GPU.
        address: of a running Ray cluster; "auto" for the cluster of this computer; "local" to run Ray during this call only.

    Raises:
        BagError: Ray is not installed, or does not answer.
    """
    try:
        import ray
    except ImportError as error:
        raise BagError(f"parallel jobs need Ray ({error}): pip install 'ray>=2.30', or leave out --ray") from error
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # by default Ray sends usage statistics to its developers
    try:
        ray.init(address=address, include_dashboard=False, log_to_driver=False, logging_level="error")
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise BagError(f"Ray does not answer at {address}: {error}") from error
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
