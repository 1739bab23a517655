# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Conversion of depth and masks into 3-D positions, boxes and points.

All coordinates are in the optical frame of the color camera, in meters.
"""
