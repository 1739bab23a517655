# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The web page, its access control and its HTTP server. They need neither ROS nor the networks.

`access` checks requests, `bodies` parses them, and `pictures` holds the newest image. `server` serves images and the files under `page/`.
"""
