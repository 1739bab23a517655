# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Input from videos, folders and cameras; output as pictures, videos, messages and data sets. ROS is not needed."""
