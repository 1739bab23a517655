# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Threads, call queues, CUDA streams, the memory allocator, and metrics."""
