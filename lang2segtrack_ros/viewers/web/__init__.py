# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The web page: who may use it, what it may ask for, how it is served. Needs neither ROS nor the networks.

`access` decides, `bodies` reads, `pictures` keeps the newest image, `server` serves them and the files under `page/`.
"""
