# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""pip's front door for tools that still look for it; all settings are in pyproject.toml. colcon uses CMakeLists.txt."""

from setuptools import setup

setup()
