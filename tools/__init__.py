# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Scripts for set-up, figures, documentation and the accuracy baseline."""
