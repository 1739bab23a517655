# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The data that flows through the engine: frames, prompts and results, frozen and validated."""
