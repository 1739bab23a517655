# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Data types that flow through the engine: frames, prompts and results. All are frozen and validated."""
