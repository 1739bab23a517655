# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Parameters of web_node, declared once. The node, the launch file and docs/interfaces.md read this table."""

from __future__ import annotations

from lang2segtrack_ros.ros.support.parameter_table import Parameter, ParameterTable

TOKEN_VARIABLE = "LANG2SEGTRACK_WEB_TOKEN"
DEFAULT_PORTS = range(8080, 8100)
PARAMETERS = ParameterTable(
    (
        Parameter("address", "127.0.0.1", "IP address to listen on. An address that other machines reach, such as 0.0.0.0, needs a token."),
        Parameter(
            "port",
            -1,
            f"TCP port to listen on. Set to -1 to use the first free port from {DEFAULT_PORTS[0]} to {DEFAULT_PORTS[-1]}, or to 0 for any "
            "free port. The log shows the port.",
            -1,
            65535,
        ),
        Parameter(
            "token",
            "",
            f"Secret that a browser must send to open the page. If empty, the environment variable {TOKEN_VARIABLE} is used.",
        ),
        Parameter("certificate", "", "PEM file of the certificate for TLS, with its chain. If empty, the page uses plain HTTP."),
        Parameter("key", "", "PEM file of the certificate's private key. If empty, the key is in the file of the certificate."),
        Parameter("allowed_hosts", "", "More names of this machine in browsers, separated by commas. Its host name and IPs always work."),
        Parameter("max_rate", 15.0, "Maximum rate of images for each viewer in Hz.", 0.1, 120.0),
        Parameter("jpeg_quality", 80, "JPEG quality of the images. Lower values make them smaller.", 1, 100),
        Parameter("max_connections", 256, "Maximum number of connections. A browser opens up to seven. Further ones are refused.", 1, 1000),
    )
)
