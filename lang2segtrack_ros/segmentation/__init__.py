# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The SAM 2 network as batched functions without state, and the masks that come out of it.

Arrays of objects come first in every shape: N objects, h x w = stride-4 mask logits, HW = stride-16 tokens.
"""
