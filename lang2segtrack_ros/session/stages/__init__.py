# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The stages of a frame: verify, apply prompts, associate, resolve crossings, finish.

A stage takes the state and a view of the frame, and returns the new state and actions. It has no side effects.
"""
