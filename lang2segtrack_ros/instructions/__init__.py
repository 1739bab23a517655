# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Instructions: a sentence about objects and their relations becomes a plan, and the plan selects detections on an image."""
