# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Identity of objects: association of detections with tracks, re-identification, and the state of each track."""
