# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Corrections of a tracked recording by a person. The recording stays unchanged; a journal beside it holds the edits.

`edits` are the kinds of edits, and `journal` is their file. `stored` reads the trace, `timeline` checks edits on the states of its tracks,
and `apply` gives the edited trace. `correction` tracks one object again from a correction, and `segments` holds the result.
"""
