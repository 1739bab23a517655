# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Results as topics: detections, masks, tracks, 3-D, diagnostics."""
