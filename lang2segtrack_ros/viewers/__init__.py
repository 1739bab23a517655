# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""User interfaces that show the tracks and take prompts: a window, a video player and a web page. They need no ROS."""
