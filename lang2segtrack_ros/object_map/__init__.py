# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The object map: named objects with their places in a fixed frame, evidence that they are gone, and a file that keeps them."""
