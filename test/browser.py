# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Headless Chromium. It needs Chromium and Playwright (`apt install chromium`, `pip install playwright`), which the package does not."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from typing import Any

import pytest

_OPTIONS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-sync"]


@contextlib.contextmanager
def chromium() -> Iterator[Any]:
    """Start Chromium and yield it as Playwright's `Browser`. Skip the test if one of the two is not installed."""
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        pytest.skip("Chromium is not installed: install the package chromium to run these tests")
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed: pip install playwright to run these tests")
    with playwright.sync_playwright() as driver:
        running = driver.chromium.launch(executable_path=path, args=_OPTIONS)
        yield running
        running.close()
