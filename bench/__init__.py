# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Benchmarks and soak tests. Run one from the repository's root with `python -m bench.NAME`."""
