# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""From a name to a network on a device.

A name is "toy" (the built-in checkpoints), a short name of `catalogue`, a folder in transformers' layout, or a hub id.
"""
