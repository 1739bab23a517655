# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The accuracy benchmark: clips whose truth is known, run through the engine, and what came of it in the field's usual numbers."""
