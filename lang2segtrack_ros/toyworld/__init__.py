# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""A world of coloured shapes whose truth is known: scenes, a camera that shows them on a ROS graph, and the demo.

The product never imports this room.
"""
