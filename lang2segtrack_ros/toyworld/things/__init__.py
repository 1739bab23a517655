# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Everyday things of the toy world: their names, their drawings, and the tables and walls that they are in front of."""
