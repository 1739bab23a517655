# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The `lang2segtrack` command. Each subcommand parses its options and calls another room."""
