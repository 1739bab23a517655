# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The SAM 2 network as stateless batched functions, and the masks that it predicts.

Objects are the first dimension of every array. N is the number of objects, h x w the stride-4 mask logits, HW the stride-16 tokens.
"""
