# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Networks by name: catalog of checkpoints, download, loading onto a device, conversion and plug-ins.

A name is "toy" (the built-in checkpoints), a short name of the catalog, a folder in the layout of transformers, a hub id, or a plug-in.
"""
