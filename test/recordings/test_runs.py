# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Commands that only read and write files start without the network libraries, which take seconds to load."""

from __future__ import annotations

import subprocess
import sys

LIGHT = (
    "cli.output_folder",
    "io.exports.registry",
    "io.imports.registry",
    "recordings.bags.collection",
    "recordings.bags.many",
    "recordings.exporting",
    "recordings.lerobot.dataset",
    "recordings.quality.job",
    "recordings.review.bag_trace",
    "recordings.review.correction_job",
    "recordings.review.writing",
    "viewers.review.requests",
    "viewers.web.server",
)
"""Modules of `export`, `import`, `report`, `lerobot` and `review`."""


def test_no_network_library_is_loaded() -> None:
    code = f"import importlib, sys\nfor name in {LIGHT}: importlib.import_module('lang2segtrack_ros.' + name)\n"
    code += "print([name for name in ('torch', 'transformers') if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
