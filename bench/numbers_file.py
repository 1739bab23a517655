# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""JSON file of a benchmark's results."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any


def numbers_file(text: str) -> Path:
    """Parse the command line argument that names the file, and create its folder.

    The check happens before a long run, so an invalid path costs no time.

    Args:
        text: path of the file.

    Raises:
        argparse.ArgumentTypeError: The path is a folder, or the file cannot be written.
    """
    path = Path(text)
    if path.is_dir():
        raise argparse.ArgumentTypeError(f"{path} is a folder: give the path of the file to write")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise argparse.ArgumentTypeError(f"{path.parent} cannot be created: {error.strerror}") from error
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise argparse.ArgumentTypeError(f"{path} is not writable: choose another path")
    return path


def write(path: Path, numbers: Any) -> None:
    """Write the results as JSON."""
    path.write_text(json.dumps(numbers, indent=2) + "\n")
