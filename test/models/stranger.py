# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""A package of a stranger with a detector, a segmenter and a memory policy, which pip installs from a wheel without a network."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

_SOURCE = """
from lang2segtrack_ros.models.catalogue import Restriction
from lang2segtrack_ros.models.loading import load_detector, load_segmenter
from lang2segtrack_ros.models.plugins import PluginSpec
from lang2segtrack_ros.tracking.policies.samurai import SamuraiPolicy


def detector(device):
    made = load_detector("toy", device)
    made.name = "the stranger's detector"
    return made


detector.spec = PluginSpec(
    frozenset({"text", "batch"}), "Stranger License", Restriction("stranger", "the Stranger License forbids Mondays", "https://example.org")
)


def segmenter(device):
    made = load_segmenter("toy", device, image_size=64)
    made.name = "the stranger's segmenter"
    return made


segmenter.spec = PluginSpec(frozenset({"masks"}), "MIT")


class Policy(SamuraiPolicy):
    pass
"""
_INFO = "lang2segtrack_test_stranger-1.0.dist-info"
_FILES = {
    "lang2segtrack_test_stranger.py": _SOURCE,
    f"{_INFO}/METADATA": "Metadata-Version: 2.1\nName: lang2segtrack-test-stranger\nVersion: 1.0\n",
    f"{_INFO}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    f"{_INFO}/entry_points.txt": """[lang2segtrack.detectors]
stranger-detector = lang2segtrack_test_stranger:detector
[lang2segtrack.segmenters]
stranger-segmenter = lang2segtrack_test_stranger:segmenter
[lang2segtrack.policies]
stranger-policy = lang2segtrack_test_stranger:Policy
lost-policy = lang2segtrack_test_lost:Policy
""",
}


def install(folder: Path) -> Path:
    """Install the package into a new folder, and return that folder."""
    wheel = folder / "lang2segtrack_test_stranger-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, text in {**_FILES, f"{_INFO}/RECORD": "".join(f"{name},,\n" for name in (*_FILES, f"{_INFO}/RECORD"))}.items():
            archive.writestr(name, text)
    site = folder / "site"
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--target", str(site), str(wheel)]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    return site
