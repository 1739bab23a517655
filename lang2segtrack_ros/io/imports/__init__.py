# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Labels of other tools as prompts and traces, one file for each format; `registry` lists them."""
