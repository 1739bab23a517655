# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Faults injected into a real track_node on a real graph. `make faults` and the tests share them."""
