# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The common parts of all runs over recordings: errors, progress, and the locked working folder. This module loads no network library."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

Report = Callable[[str, int, "int | None"], None]
"""Progress callback. Arguments: name of the stage, number of images done, total number of images or None if it is unknown."""
CHECKPOINT = "checkpoint"
"""Name of the checkpoint in a working folder."""
_WORKING_FILES = frozenset({"lock", CHECKPOINT, f"{CHECKPOINT}.half", "forward.jsonl", "backward.jsonl", "output", "bag", "history"})
"""Names of everything in a working folder."""


class OfflineError(RuntimeError):
    """Error of a run over a recording that gives no output; the message gives the reason."""


class InterruptedRunError(RuntimeError):
    """A run that was asked to stop. Its checkpoint is written, and the message says how far it came."""


@contextmanager
def working_folder(work: Path, target: Path) -> Iterator[None]:
    """Create the working folder of a run, and lock it against other runs.

    The operating system releases the lock when the process ends. At the end, a folder without a checkpoint is removed.

    Args:
        work: the working folder.
        target: the output, for the message.

    Raises:
        OfflineError: another run holds the lock, or the folder holds files that no run wrote.
    """
    foreign = _foreign_files(work)
    if foreign:
        raise OfflineError(f"the working folder {work} holds other files ({foreign[0]}), so it stays: choose another name for the output")
    work.mkdir(parents=True, exist_ok=True)
    with (work / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise OfflineError(f"another run is working on {target}: wait for it, or choose another name") from error
        try:
            yield
        finally:
            if not (work / CHECKPOINT).exists():
                shutil.rmtree(work, ignore_errors=True)


def remove_leftovers(work: Path) -> None:
    """Remove the working folder of a run that was killed after it had put its output in place. Other folders of that name stay."""
    if not _foreign_files(work):
        shutil.rmtree(work, ignore_errors=True)


def _foreign_files(work: Path) -> list[str]:
    return sorted({item.name for item in work.iterdir()} - _WORKING_FILES) if work.is_dir() else []


def digest(*parts: object) -> str:
    """Return a short text that differs if one of the parts differs."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:32]
