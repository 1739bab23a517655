# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Instructions answered by a vision-language model, on a server or on this machine."""
