# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Prompted objects followed through a stream: SAM 2 with SAMURAI's motion model, all objects in one batch.

`segmenter` wraps the network's modules, `memory_bank` holds what each object remembers in tensors of fixed size, `kalman` is the
motion model, `policies` decide which candidate mask is taken and which memories are kept. `proposer` brings these together on a frame,
`open_frame` is where prompts act, `stream_tracker` does a step, and `track_results` makes of its tensors what others see.
Arrays of objects come first in every shape: N objects, h x w = stride-4 mask logits, HW = stride-16 tokens.
"""
