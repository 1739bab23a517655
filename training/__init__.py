# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Training of the built-in checkpoints from scratch on the toy world: `python -m training`."""
