# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""pip's front door. The settings are in pyproject.toml. colcon uses CMakeLists.txt."""

import atexit
import shutil
import tempfile

from setuptools import setup

# pip would leave build/ and *.egg-info here, where colcon and its users may take them for their own.
scratch = tempfile.mkdtemp(prefix="lang2segtrack-build-")
atexit.register(shutil.rmtree, scratch, ignore_errors=True)
setup(options={"build": {"build_base": scratch}, "egg_info": {"egg_base": scratch}})
