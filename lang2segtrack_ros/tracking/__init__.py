# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Tracking of prompted objects through a stream: SAM 2 with the motion model of SAMURAI, all objects in one batch.

* `memory_bank` holds the memories of each object in tensors of fixed size.
* `kalman` is the motion model, and `depth_gate` limits masks by depth.
* `policies` choose among the candidate masks and select the memories to keep.
* `predictor` predicts the masks of a frame, and `open_frame` applies prompts to it.
* `stream_tracker` runs one step.

Objects are the first dimension of every array. N is the number of objects, h x w the stride-4 mask logits, HW the stride-16 tokens.
"""
