# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The web page, its access control and its HTTP server. They need neither ROS nor the networks.

`server` accepts connections, with the certificate of `tls`. `requests` handles their requests: `access` checks them, `bodies` parses them,
and `pictures` holds the newest image. The page itself is under `page/`.
"""
