# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Memory policies, one in each file. A policy chooses among the candidate masks and selects the memories to read."""
