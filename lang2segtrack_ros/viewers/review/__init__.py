# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The page of `lang2segtrack review`. Access rules, server and style are those of `viewers.web`.

`requests` handles the requests of the page, `bodies` parses them, and `service` carries them out. The page itself is under `page/`.
"""
