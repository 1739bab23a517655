# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The file that a bench writes its numbers to."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any


def numbers_file(text: str) -> Path:
    """An argument that names the file, whose folder is made; told at once what is wrong with it, not when a long run is over."""
    path = Path(text)
    if path.is_dir():
        raise argparse.ArgumentTypeError(f"names the file to write, and {path} is a folder")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise argparse.ArgumentTypeError(f"{path.parent} cannot be made: {error.strerror}") from error
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise argparse.ArgumentTypeError(f"{path} may not be written")
    return path


def write(path: Path, numbers: Any) -> None:
    """Writes the numbers as JSON."""
    path.write_text(json.dumps(numbers, indent=2) + "\n")
