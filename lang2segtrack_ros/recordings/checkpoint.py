# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Checkpoints: the state of a long run on disk. A resumed run gives the same output as an uninterrupted run.

A checkpoint stores names for the objects that every start creates again, such as networks and open files. A checkpoint is a pickle file,
and loading a pickle file can run code. Resume only from checkpoints of a source that you trust.
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class _Writer(pickle.Pickler):
    def __init__(self, file: Any, external: Mapping[str, object]) -> None:
        super().__init__(file, protocol=pickle.HIGHEST_PROTOCOL)
        self._names = {id(item): name for name, item in external.items() if item is not None}

    def persistent_id(self, item: Any) -> str | None:
        return self._names.get(id(item))


class _Reader(pickle.Unpickler):
    def __init__(self, file: Any, external: Mapping[str, object]) -> None:
        super().__init__(file)
        self._external = external

    def persistent_load(self, name: Any) -> Any:
        return self._external[name]


def save(path: Path, state: Any, external: Mapping[str, object]) -> None:
    """Write a state atomically: after a crash at any time, the file holds either the old or the new state.

    Args:
        path: the file.
        state: the state.
        external: objects in the state that the file refers to by name.

    Raises:
        OSError: the file cannot be written.
    """
    partial = path.with_suffix(".half")
    with partial.open("wb") as file:
        _Writer(file, external).dump(state)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def load(path: Path, external: Mapping[str, object]) -> Any:
    """Return the state in a file.

    Args:
        path: the file.
        external: objects for the names in the file.

    Raises:
        OSError: the file cannot be read.
        pickle.UnpicklingError: the file is not a checkpoint.
    """
    with path.open("rb") as file:
        return _Reader(file, external).load()
