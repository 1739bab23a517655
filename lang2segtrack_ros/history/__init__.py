# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Past frames, the backward pass over them, and the merging of forward and backward results."""
