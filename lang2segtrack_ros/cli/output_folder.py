# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The output folder of a command: written beside its name, put in place as a whole, and replaced only if a command wrote it.

The command works in the folder `<name>.work` beside the output. An interrupted command puts the results so far in place, with a file that
says so. The working folder then stays, and the same command goes on from there.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lang2segtrack_ros.recordings.runs import OfflineError, remove_leftovers

MARKER = ".lang2segtrack.json"
"""File with the list of all files that a command wrote into an output folder."""
UNFINISHED = "UNFINISHED.txt"
"""File that says how far an interrupted command came."""


class OutputFolder:
    """An output folder that appears under its name only as a whole.

    Args:
        path: the folder.
        overwrite: True replaces a folder that a command wrote before.
        sources: files and folders of the input. The output must not contain them.
        key: text that differs for commands with different outputs. A command may complete an unfinished output of the same key.
        settings: settings of the run for later commands, such as its source; see `read_settings`. None writes none.

    Attributes:
        path: absolute path of the folder.
        work: the working folder.
        partial: the folder to write into, inside `work`.
        already_done: True if the folder holds the whole output of the same key, so there is nothing to do.

    Raises:
        OfflineError: the folder exists, is a file, contains a source, or holds files that no command wrote.
    """

    def __init__(self, path: Path, overwrite: bool, sources: Sequence[Path], key: str, settings: Mapping[str, Any] | None = None) -> None:
        self.path = path.expanduser().resolve()
        self.work = self.path.with_name(self.path.name + ".work")
        self.partial = self.work / "output"
        self._overwrite = overwrite
        self._key = key
        self._settings = dict(settings or {})
        for source in (item.resolve() for item in sources if item.exists()):
            if self.path in (source, *source.parents):
                raise OfflineError(f"{self.path} contains the source: choose another folder")
        self._check()
        content = self._content()
        self.already_done = not overwrite and content.get("key") == key and bool(content.get("complete"))
        if self.already_done and not self.partial.exists():  # otherwise an interrupted run with --overwrite may go on
            remove_leftovers(self.work)

    def clear_partial(self) -> None:
        """Remove what an earlier run wrote and did not put in place."""
        shutil.rmtree(self.partial, ignore_errors=True)
        self.partial.mkdir(parents=True)

    def restore_partial(self) -> bool:
        """Bring back the files of an earlier run of the same key. Return False if there are none."""
        if not self.partial.exists() and self._content().get("key") == self._key:
            shutil.copytree(self.path, self.partial, ignore=shutil.ignore_patterns(MARKER, UNFINISHED), copy_function=_link)
        return self.partial.exists()

    def finish(self, unfinished: str = "") -> None:
        """Put the files in place, with their list, and remove the working folder.

        Args:
            unfinished: a sentence that says how far an interrupted command came; the working folder then stays. Empty for a whole output.

        Raises:
            OfflineError: another command has written the folder meanwhile.
            OSError: files cannot be written.
        """
        if unfinished:
            (self.partial / UNFINISHED).write_text(f"{unfinished}\nThe same command goes on from there.\n", encoding="utf-8")
        files = sorted(str(item.relative_to(self.partial)) for item in self.partial.rglob("*") if item.is_file())
        content = {"files": [*files, MARKER], "key": self._key, "complete": not unfinished, "settings": self._settings}
        (self.partial / MARKER).write_text(json.dumps(content) + "\n", encoding="utf-8")
        self._check()
        if self.path.exists():
            shutil.rmtree(self.path)
        self.partial.rename(self.path)
        if not unfinished:
            shutil.rmtree(self.work, ignore_errors=True)

    def _check(self) -> None:
        """Check that the folder may be written. Raises OfflineError."""
        path = self.path
        if not path.exists():
            return
        if not path.is_dir():
            raise OfflineError(f"{path} is a file: choose another name for the folder")
        content = self._content()
        if not self._overwrite and content.get("key") != self._key:
            raise OfflineError(f"{path} exists already: choose another folder, or add --overwrite")
        foreign = self._foreign_files(content)
        if foreign and not (content.get("complete") and not self._overwrite):
            shown = ", ".join(foreign[:3]) + (f" and {len(foreign) - 3} more" if len(foreign) > 3 else "")
            raise OfflineError(f"{path} holds files that lang2segtrack did not write there ({shown}), so it stays: choose another folder")

    def _content(self) -> dict[str, Any]:
        """Return the content of the marker; empty if there is none."""
        content = _read_marker(self.path)
        return content if isinstance(content.get("files"), list) else {}

    def _foreign_files(self, content: dict[str, Any]) -> list[str]:
        """Return the names of the files in the folder that are not in its list."""
        names = (str(item.relative_to(self.path)) for item in self.path.rglob("*") if not item.is_dir())
        return sorted(set(names) - set(content.get("files", ())))


def _read_marker(path: Path) -> dict[str, Any]:
    try:
        content = json.loads((path / MARKER).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def read_settings(path: Path) -> dict[str, Any]:
    """Return the settings of the run that wrote an output folder; empty if there are none.

    Args:
        path: the folder.
    """
    settings = _read_marker(path).get("settings")
    return settings if isinstance(settings, dict) else {}


def _link(source: str, target: str) -> None:
    """Make a hard link, or a copy where the file system has no hard links."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
