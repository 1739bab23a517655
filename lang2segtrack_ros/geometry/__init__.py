# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Depth and masks to positions, boxes and points in space. Everything in the optical frame of the colour camera, in metres."""
