# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""What is wrong with an installation, a machine or a ROS graph, and what to do about it. Behind `lang2segtrack doctor`.

Every check is a function of what it looks at, so that each can be shown something broken.
"""
