# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The state of a long run on disk, so that it goes on after an interruption as if there had been none.

Networks, files and what else is made anew on every start are named, not stored. A checkpoint is a pickle: do not go on with one from
somebody you do not trust.
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class _Writer(pickle.Pickler):
    def __init__(self, file: Any, outside: Mapping[str, object]) -> None:
        super().__init__(file, protocol=pickle.HIGHEST_PROTOCOL)
        self._names = {id(item): name for name, item in outside.items() if item is not None}

    def persistent_id(self, item: Any) -> str | None:
        return self._names.get(id(item))


class _Reader(pickle.Unpickler):
    def __init__(self, file: Any, outside: Mapping[str, object]) -> None:
        super().__init__(file)
        self._outside = outside

    def persistent_load(self, name: Any) -> Any:
        return self._outside[name]


def save(path: Path, state: Any, outside: Mapping[str, object]) -> None:
    """Writes a state in one move: after a crash at any moment there is the old or the new one, whole.

    Args:
        path: the file.
        state: what to keep.
        outside: objects in it that are not kept, by name.

    Raises:
        OSError: it cannot be written.
    """
    half = path.with_suffix(".half")
    with half.open("wb") as file:
        _Writer(file, outside).dump(state)
        file.flush()
        os.fsync(file.fileno())
    half.replace(path)


def load(path: Path, outside: Mapping[str, object]) -> Any:
    """The state of a file, with the objects of the same names put in. Raises OSError, pickle.UnpicklingError."""
    with path.open("rb") as file:
        return _Reader(file, outside).load()
