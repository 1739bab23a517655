# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Which detection is which object, whether an object is still the same, and where each is in its life."""
