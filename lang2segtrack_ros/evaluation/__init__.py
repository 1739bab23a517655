# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Accuracy benchmark: it runs the engine on clips with known ground truth and computes the standard metrics of the field."""
