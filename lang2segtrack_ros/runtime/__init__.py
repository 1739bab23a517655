# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""What runs the work: threads, CUDA streams, the allocator, metrics."""
