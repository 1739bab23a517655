# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Tracking through ROS 2 bags without ROS: the output is a new bag with the input messages and the result topics.

`reading` opens bags, including damaged bags. `messages` decodes images and serializes results. `job` runs the whole work on one bag and
resumes after an interruption. `many` runs jobs on many bags.
"""
