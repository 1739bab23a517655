# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""ROS 2 nodes around the engine.

Data flows one way through four threads:

1. Callbacks of the executor convert an image and put it into a one-slot mailbox (`session.engine_thread`).
2. The engine thread owns the session and every tensor.
3. The detector runs on its own thread.
4. The publisher thread (`outputs.publisher`) turns results into messages.

`support.parameters` declares every parameter once, `support.interfaces` every topic, service and action.
"""
