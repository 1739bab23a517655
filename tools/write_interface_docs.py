#!/usr/bin/env python3
# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Writes docs/interfaces.md; run by `make docs`."""

from pathlib import Path

from lang2segtrack_ros.ros.interface_docs import markdown

(Path(__file__).resolve().parent.parent / "docs" / "interfaces.md").write_text(markdown(), encoding="utf-8")
