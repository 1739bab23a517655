# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The engine on a ROS 2 graph.

Four threads, data flowing one way: the executor's callbacks convert an image and put it into a one-slot mailbox (`engine_thread`),
the engine thread owns the session and every tensor, the publisher thread (`outputs`) turns results into messages, and the detector
has its own. `parameters` declares every parameter once.
"""
