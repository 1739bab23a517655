# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Memory policies, one a file: which candidate mask an object takes and which memories it reads."""
