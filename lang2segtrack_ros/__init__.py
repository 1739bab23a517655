# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Tracked, segmented, named objects with stable ids from an RGB-D stream and a sentence.

The engine needs no ROS: a `frame.Frame` goes into `session.Session.step`, a `results.FrameResult` comes out, prompts go in
between. `ros` puts it on a ROS 2 graph, `cli` on the command line.
"""

__version__ = "0.1.0"
