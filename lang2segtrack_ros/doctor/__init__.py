# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Checks of an installation, a machine and a ROS graph, with advice for each problem. `lang2segtrack doctor` runs them.

Each check takes its inputs as arguments, so that a test can pass broken ones.
"""
