# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The output folder of a command: written beside its name, put in place when it is whole, and replaced only if a command wrote it."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

from lang2segtrack_ros.recordings.forward import OfflineError

MARKER = ".lang2segtrack.json"
"""File with the list of all files that a command wrote into an output folder."""


class OutputFolder:
    """An output folder that appears under its name only when it is whole.

    Args:
        path: the folder.
        overwrite: True replaces a folder that a command wrote before.
        source: file or folder of the input. The output must not contain it.

    Attributes:
        partial: the folder to write into.

    Raises:
        OfflineError: the folder exists, is a file, contains the source, or holds files that no command wrote.
    """

    def __init__(self, path: Path, overwrite: bool, source: Path) -> None:
        self.path = path.resolve()
        self._overwrite = overwrite
        self._source = source.resolve()
        self._check()
        # The process id separates parallel runs with the same output.
        self.partial = self.path.with_name(f"{self.path.name}.{os.getpid()}.partial")

    def finish(self) -> None:
        """Put the whole folder in place, with the list of its files. Raises OfflineError and OSError."""
        files = sorted(str(item.relative_to(self.partial)) for item in self.partial.rglob("*") if item.is_file())
        (self.partial / MARKER).write_text(json.dumps({"files": [*files, MARKER]}) + "\n")
        self._check()  # another process may have created it meanwhile
        if self.path.exists():
            shutil.rmtree(self.path)
        self.partial.rename(self.path)

    def discard(self) -> None:
        """Remove what is not whole."""
        shutil.rmtree(self.partial, ignore_errors=True)

    def _check(self) -> None:
        path = self.path
        if self._source.exists() and (self._source == path or path in self._source.parents):
            raise OfflineError(f"{path} contains the source: choose another folder")
        if not path.exists():
            return
        if not self._overwrite:
            raise OfflineError(f"{path} exists already: choose another folder, or add --overwrite")
        if not path.is_dir():
            raise OfflineError(f"{path} is a file: choose another name for the folder")
        foreign = self._foreign_files()
        if foreign:
            shown = ", ".join(foreign[:3]) + (f" and {len(foreign) - 3} more" if len(foreign) > 3 else "")
            raise OfflineError(f"{path} holds files that lang2segtrack did not write there ({shown}), so it stays: choose another folder")

    def _foreign_files(self) -> list[str]:
        """Return the names of the files in the folder that are not in its list."""
        try:
            known = set(json.loads((self.path / MARKER).read_text())["files"])
        except (OSError, ValueError, LookupError, TypeError):
            known = set()
        names = (str(item.relative_to(self.path)) for item in self.path.rglob("*") if not item.is_dir())
        return sorted(name for name in names if name not in known)
