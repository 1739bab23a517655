# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Start of an executable: Python packages that are missing, and Ctrl-C while libraries load."""

from __future__ import annotations

import importlib.util
import pkgutil
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

PYTHON_PACKAGES = {
    "torch": "torch",
    "transformers": "transformers",
    "huggingface_hub": "huggingface_hub",
    "numpy": "numpy",
    "scipy": "scipy",
    "cv2": "opencv-python-headless",
    "pycocotools": "pycocotools",
    "yaml": "pyyaml",
    "pydantic": "pydantic",
    "rosbags": "rosbags",
    "aiohttp": "aiohttp",
    "lark": "lark-parser",
    "jinja2": "jinja2",
    "tqdm": "tqdm",
}
"""Required module -> its package on PyPI. ROS's rosdep brings only some of them."""
INSTALL = "ros2 run lang2segtrack install_python.sh ~/lang2segtrack_venv && source ~/lang2segtrack_venv/bin/activate"
"""Command that installs these packages beside a ROS installation."""


def run(main: str) -> int:
    """Import and call the main function of an executable.

    Args:
        main: "package.module:function". Its module may import all libraries.

    Returns:
        Its exit code, or 3 if a required Python package is missing, after one sentence on stderr.
    """
    try:
        with ended_by_interrupt():
            function: Callable[[], int | None] = pkgutil.resolve_name(main)
        return function() or 0
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in PYTHON_PACKAGES:
            raise
        missing = ", ".join(package for module, package in PYTHON_PACKAGES.items() if importlib.util.find_spec(module) is None)
        print(f"Python packages are missing: {missing or error.name}. Install them: {INSTALL}", file=sys.stderr)
        return 3


@contextmanager
def ended_by_interrupt() -> Iterator[None]:
    """Let SIGINT end the process at once inside a with block, without a traceback.

    KeyboardInterrupt does not do that during imports: extension modules turn it into other exceptions, or print it.
    """
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
