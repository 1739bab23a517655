# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Bags and their tracks as a LeRobot dataset: camera videos, states, actions, and the tracked objects beside them."""
