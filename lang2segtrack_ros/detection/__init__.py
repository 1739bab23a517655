# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Open-vocabulary object detection: text and an image in, boxes with exactly one label each out."""
