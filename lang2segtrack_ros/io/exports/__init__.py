# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Traces in the formats of labeling and training tools, one file for each format; `registry` lists them."""
