# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""A world of colored shapes with known ground truth: scenes, a toy camera for a ROS graph, and the demo.

The tracking packages never import this package.
"""
