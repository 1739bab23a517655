# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""ROS 2 bags without ROS: read, tracked through in both directions, and written anew with our topics.

`reading` opens bags, damaged ones too; `messages` turns results into messages; `job` does the work and goes on after an interruption.
"""
