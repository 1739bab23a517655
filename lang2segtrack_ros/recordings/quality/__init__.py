# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The quality of tracked recordings: where a mask jumps, hides or changes its object, for a person who checks labels before use."""

REVIEW_PORT = 8100
"""First TCP port of `lang2segtrack review`, to which the links of a report point."""
